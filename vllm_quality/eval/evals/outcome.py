"""What became of each row of an eval, and the figures that follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from vllm_quality.eval.answers import Answer, Status
from vllm_quality.eval.evals.plan import Check, Row
from vllm_quality.eval.graders.bench import LATE, Grade
from vllm_quality.eval.graders.schema import (
    LabelModel,
    Multi,
    StringCheck,
    TextCheck,
    TextSimilarity,
    needs_embeddings,
    needs_judge,
)
from vllm_quality.eval.graders.templates import MissingValueError, as_text, render
from vllm_quality.eval.result import EVERY, count_metrics, find_problem, hash_of
from vllm_quality.eval.signals import Signal, signal_metrics, signal_of, signal_rows
from vllm_quality.eval.standard_errors import mean_stderr

MISSING = {True: "no judge", False: "no embeddings"}
_MOST_JUDGE_ERRORS = (
    0.25  # of one criterion's judgements; beyond that the judge, or the grader's code, fails at the answers
)
_REFERENCES = ("reference", "reference_answer", "ideal", "expected", "answer", "label")


@dataclass(frozen=True)
class Result:
    """One criterion on one row.

    score   from 0 (worst) to 1, where the grader has a range; None without a judgement
    raw     in the grader's own range
    judge   who judged, where it takes a model; "no judge" or "no embeddings" where there is none
    """

    status: Status
    score: float | None = None
    raw: float | None = None
    passed: bool | None = None
    reason: str = ""
    judge: str | None = None
    seconds: float = 0.0

    @property
    def late(self) -> bool:
        """Whether the time for grading was over before this one had its grade."""
        return self.status == "judge_error" and self.reason == LATE.reason

    @property
    def lacks_model(self) -> bool:
        """Whether the model that it takes is not configured, which is nobody's failure."""
        return self.judge in MISSING.values()


@dataclass(frozen=True)
class Outcome:
    """A row, its answer and what its checks made of it."""

    row: Row
    key: str
    answer: Answer
    results: Mapping[str, Result]
    asked_s: float

    @property
    def passed(self) -> bool | None:
        """Whether the row passed as a whole; None where a check has no verdict that counts."""
        if self.row.threshold is not None:
            scores = [(self.row.checks[name].weight, result.score) for name, result in self.results.items()]
            if any(score is None for _, score in scores):
                return None
            total = sum(weight for weight, _ in scores)
            return not total or sum(weight * (score or 0.0) for weight, score in scores) / total >= self.row.threshold
        verdicts = [result.passed for name, result in self.results.items() if self.row.checks[name].weight]
        return None if None in verdicts or not verdicts else all(verdicts)


def result_of(check: Check, answer: Answer, grade: Grade | None, judge: str | None) -> Result:
    """A grade in the place where the row's own fate counts. No grade: the answer could not be had."""
    if grade is None:
        return Result("infra_error", judge=judge, reason=answer.error or "")
    if grade.score is None:
        return Result("judge_error", judge=judge, reason=grade.reason, seconds=grade.seconds)
    low, high = check.grader.span
    share = (grade.score - low) / (high - low)
    inverted = check.inverted and grade.status == "ok"
    return Result(
        "model_error" if grade.status == "model_error" else answer.status,
        score=1 - share if inverted else share,
        raw=grade.score,
        passed=None if grade.passed is None else grade.passed != inverted,
        reason=grade.reason,
        judge=judge,
        seconds=grade.seconds,
    )


def judge_of(check: Check, judge: str | None, embedder: str | None) -> str | None:
    """Who judges by this check: a model's name, that there is none, or None where none is needed."""
    if needs_judge(check.grader):
        return judge or MISSING[True]
    return (embedder or MISSING[False]) if needs_embeddings(check.grader) else None


def collect_metrics(step: str, criteria: Sequence[str], outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Mean score and pass ratio of each criterion with standard errors, counts, and early signals, by metric path.

    A criterion of yes or no has its score alone, which is its pass ratio: judged twice, it would alarm twice.
    """
    found: dict[str, float] = {}
    for name in criteria:
        own = [outcome.results[name] for outcome in outcomes if name in outcome.results]
        _add_mean(found, f"{step}/{name}_score", [result.score for result in own])
        if not is_yes_no(name, outcomes):
            _add_mean(found, f"{step}/{name}_pass_ratio", [result.passed for result in own])
        found[f"{step}/{name}_scored_count"] = float(sum(result.score is not None for result in own))
    if len(criteria) > 1:
        _add_mean(found, f"{step}/{EVERY}_pass_ratio", [outcome.passed for outcome in outcomes])
    counts = count_metrics(step, [outcome.answer.status for outcome in outcomes])
    errors = sum(r.status == "judge_error" and not r.lacks_model for o in outcomes for r in o.results.values())
    counts[f"{step}/not_reached_count"] = float(sum(not outcome.answer.reached for outcome in outcomes))
    return (
        found
        | counts
        | {f"{step}/judge_errors_count": float(errors)}
        | signal_metrics(step, [_signal(outcome) for outcome in outcomes])
    )


def _signal(outcome: Outcome) -> Signal:
    """What the release's answer shows; nothing where it was not asked or could not be had."""
    return signal_of(outcome.answer) if outcome.row.sample is None else Signal()


def is_yes_no(name: str, outcomes: Sequence[Outcome]) -> bool:
    """Whether a criterion only ever says yes or no."""
    graders = (outcome.row.checks[name].grader for outcome in outcomes if name in outcome.row.checks)
    return all(isinstance(grader, StringCheck | TextCheck | LabelModel) for grader in graders)


def _add_mean(found: dict[str, float], name: str, values: Sequence[float | None]) -> None:
    known = [float(value) for value in values if value is not None]
    if known:
        found[name] = fmean(known)
    stderr = mean_stderr(known, range(len(known)))
    if stderr is not None:
        found[f"{name}_stderr"] = stderr


def problem_of(criteria: Sequence[str], outcomes: Sequence[Outcome], gave_up: str | None, limit_s: float) -> str | None:
    """Why the scores must not be compared, in one sentence; None when they can be. `limit_s`: what asking could take."""
    example = next((outcome.answer.error for outcome in outcomes if outcome.answer.status == "infra_error"), None)
    unanswered = find_problem([outcome.answer.status for outcome in outcomes], gave_up, example)
    if unanswered is not None:
        late = sum(not outcome.answer.reached for outcome in outcomes)
        if 2 * late > sum(outcome.answer.status == "infra_error" for outcome in outcomes):
            return (
                f"{late} of {len(outcomes)} items were not reached within the {limit_s:g} s that asking them may take; raise "
                "the eval's time_limit_s."
            )
        return unanswered
    for name in criteria:
        own = [outcome.results[name] for outcome in outcomes if name in outcome.results]
        asked = [result for result in own if result.status != "infra_error"]
        failed = [result for result in asked if result.status == "judge_error" and not result.lacks_model]
        if len(failed) > _MOST_JUDGE_ERRORS * len(asked):
            return f"{len(failed)} of {len(asked)} answers could not be graded by {name} ({failed[0].reason})."
    return None


def sample_rows(suite: str, outcome: Outcome) -> list[dict[str, object]]:
    """A row's rows of the `samples` table, one per criterion."""
    own = _item_row(suite, outcome)
    return [
        {**own, "metric": f"{name}_score", "score": result.score, "status": result.status, "judge": result.judge}
        for name, result in outcome.results.items()
    ]


def signal_samples(suite: str, outcome: Outcome) -> list[dict[str, object]]:
    """A row's rows of the `samples` table for its signals."""
    return signal_rows(_item_row(suite, outcome), _signal(outcome))


def _item_row(suite: str, outcome: Outcome) -> dict[str, object]:
    return {
        "suite": suite,
        "item_hash": outcome.key,
        "prompt_hash": hash_of(outcome.row.messages),
        "finish_reason": outcome.answer.finish_reason,
        "prompt_tokens": outcome.answer.prompt_tokens,
        "output_tokens": outcome.answer.output_tokens,
    }


def text_row(suite: str, outcome: Outcome) -> dict[str, object]:
    """A row's row of the texts."""
    reasons = [f"{name}: {result.reason}" for name, result in outcome.results.items() if result.reason]
    errors = [
        f"{name}: {result.reason}"
        for name, result in outcome.results.items()
        if result.status == "judge_error" and not result.lacks_model
    ]
    return {
        "suite": suite,
        "item_hash": outcome.key,
        "prompt": "\n\n".join(message["content"] for message in outcome.row.messages or ()),
        "answer": outcome.answer.text,
        "expected": _expected(outcome.row),
        "reason": "; ".join(reasons),
        "error": outcome.answer.error or "; ".join(errors) or None,
    }


def _expected(row: Row) -> str | None:
    for check in row.checks.values():
        grader = check.grader if not isinstance(check.grader, Multi) else next(iter(check.grader.graders.values()))
        reference = grader.reference if isinstance(grader, StringCheck | TextSimilarity | TextCheck) else None
        if isinstance(reference, str):
            try:
                return render(reference, {"item": row.item})
            except (MissingValueError, ValueError):
                continue
    return next((as_text(row.item[name]) for name in _REFERENCES if name in row.item), None)
