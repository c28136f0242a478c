"""Where a grader meets an answer: every type of grader behind one call."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from vllm_quality.eval.graders.embeddings import Embedder
from vllm_quality.eval.graders.expression import parse_expression
from vllm_quality.eval.graders.model_graders import ask_label, ask_score
from vllm_quality.eval.graders.python_grader import PythonGrader, PythonGraderError, PythonLimits
from vllm_quality.eval.graders.schema import (
    Grader,
    LabelModel,
    Multi,
    PythonCode,
    ScoreModel,
    Simple,
    StringCheck,
    TextCheck,
    TextSimilarity,
)  # fmt: skip
from vllm_quality.eval.graders.similarity import similarity
from vllm_quality.eval.graders.templates import MissingValueError, render
from vllm_quality.eval.graders.text_checks import CheckError, string_check, text_check
from vllm_quality.eval.judge import Judge, JudgeError
from vllm_quality.eval.result import in_short

_NO_JUDGE = "no judge is configured"
_NO_EMBEDDINGS = "no model for embeddings is configured"
_WORDED = ("starts_with", "regex", "contains_any", "contains_all", "icontains_any", "icontains_all", "levenshtein")


@dataclass(frozen=True)
class Grade:
    """What a grader made of an answer.

    score    None where there is no judgement; otherwise in the grader's own range
    passed   None without a threshold
    status   "ok"; "model_error": the answer lacks what is graded, which is the worst score; "judge_error": no judgement
    reason   the judge's own words, or what was wrong
    """

    score: float | None
    passed: bool | None = None
    status: Literal["ok", "model_error", "judge_error"] = "ok"
    reason: str = ""
    seconds: float = 0.0


LATE = Grade(None, status="judge_error", reason="the time for grading was over")


class Bench:
    """All that graders work with. Model graders need a judge, cosine needs embeddings; without, they give no score."""

    def __init__(
        self, judge: Judge | None = None, embedder: Embedder | None = None, limits: PythonLimits | None = None
    ) -> None:
        self._judge = judge
        self._embedder = embedder
        self._limits = limits
        self._python: dict[str, PythonGrader] = {}

    async def grade(self, grader: Grader, sample: Mapping[str, Any], item: Mapping[str, Any]) -> Grade:
        """The grade of one answer: `sample` as OpenAI has it (output_text, output_json, …), `item` the data row's."""
        started = time.monotonic()
        found = await self._attempt(grader, sample, item)
        return replace(found, seconds=time.monotonic() - started)

    async def _attempt(self, grader: Grader, sample: Mapping[str, Any], item: Mapping[str, Any]) -> Grade:
        try:
            score, passed, reason = await self._score(grader, sample, item)
        except MissingValueError as error:
            if error.namespace == "sample":
                return Grade(grader.span[0], passed=False, status="model_error", reason=str(error))
            return Grade(None, status="judge_error", reason=str(error))
        except PythonGraderError as error:
            return Grade(None, status="judge_error", reason=f"the python grader gave no grade: {error}")
        except ArithmeticError as error:
            return Grade(None, status="judge_error", reason=f"calculate_output has no value: {error}")
        except (JudgeError, CheckError) as error:
            return Grade(None, status="judge_error", reason=str(error))
        except (TypeError, ValueError, RecursionError) as error:  # an odd text must not end the suite
            return Grade(None, status="judge_error", reason=f"the grader failed ({in_short(error)})")
        if passed is None and grader.pass_threshold is not None:
            passed = score >= grader.pass_threshold
        return Grade(score, passed, reason=reason)

    async def _score(
        self, grader: Grader, sample: Mapping[str, Any], item: Mapping[str, Any]
    ) -> tuple[float, bool | None, str]:
        """Score, whether it passed where the grader knows by itself, reason."""
        if not isinstance(grader, Multi):
            return await self._simple(grader, sample, item)
        formula = parse_expression(grader.calculate_output, grader.graders)
        scores, reasons = {}, []
        for name in sorted(formula.names):
            scores[name], _, reason = await self._simple(grader.graders[name], sample, item)
            reasons.append(f"{name} {scores[name]:g}{f' ({reason})' if reason else ''}")
        return formula.value(scores), None, "; ".join(reasons)

    async def _simple(
        self, grader: Simple, sample: Mapping[str, Any], item: Mapping[str, Any]
    ) -> tuple[float, bool | None, str]:
        values = {"sample": sample, "item": item}
        match grader:
            case StringCheck(operation=operation):
                passed = string_check(operation, render(grader.input, values), render(grader.reference, values))
                return float(passed), passed, ""
            case TextCheck(operation=operation):
                reference = _filled(grader.reference, values) if operation in _WORDED else grader.reference
                passed = text_check(operation, render(grader.input, values), reference, grader.pass_threshold)
                return float(passed), passed, ""
            case TextSimilarity(evaluation_metric=metric):
                texts = render(grader.input, values), render(grader.reference, values)
                return (await self._cosine(*texts) if metric == "cosine" else similarity(metric, *texts)), None, ""
            case PythonCode(source=source):
                if source not in self._python:
                    self._python[source] = PythonGrader(source, self._limits)
                return await self._python[source].grade(sample, item), None, ""
            case ScoreModel():
                score, reason = await ask_score(self._asked(), grader, values)
                return score, None, reason
            case LabelModel():
                label, reason = await ask_label(self._asked(), grader, values)
                passed = label in grader.passing_labels
                return float(passed), passed, f"{label}{f': {reason}' if reason else ''}"

    def _asked(self) -> Judge:
        if self._judge is None:
            raise JudgeError(_NO_JUDGE)
        return self._judge

    async def _cosine(self, text: str, reference: str) -> float:
        if self._embedder is None:
            raise JudgeError(_NO_EMBEDDINGS)
        return await self._embedder.cosine(text, reference)


def _filled(reference: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(reference, list | tuple):
        return [_filled(part, values) for part in reference]
    return render(reference, values) if isinstance(reference, str) else reference
