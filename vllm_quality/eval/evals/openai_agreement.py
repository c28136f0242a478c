"""Do our graders say what OpenAI's said? The answers of a saved run, graded again without any model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_quality.eval.client import in_order, run_async
from vllm_quality.eval.evals.openai_rows import Rows
from vllm_quality.eval.evals.rows import complete_sample
from vllm_quality.eval.graders.bench import Bench, Grade
from vllm_quality.eval.graders.schema import Grader, needs_embeddings, needs_judge

_MOST = 200  # answers that are graded again
_WORKERS = 4
_UUID = r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_CLOSE = 0.01  # between two scores without a pass threshold


@dataclass(frozen=True)
class Agreement:
    """Of so many answers that both graded, on how many both say the same."""

    agreed: int
    compared: int


def agreement_with(criteria: Sequence[tuple[str, Grader]], rows: Rows) -> dict[str, Agreement]:
    """Criterion's name -> agreement, for those that need no other model; empty without OpenAI's results.

    criteria  OpenAI's id ("" for none) and the grader
    """
    known = [(key, grader) for key, grader in criteria if not needs_judge(grader) and not needs_embeddings(grader)]
    answered = [(row, results) for row, results in rows.answered[:_MOST] if results]
    if not known or not answered:
        return {}
    bench = Bench()

    async def grade(pair: tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]) -> list[tuple[str, bool]]:
        row, results = pair
        sample = complete_sample(row["sample"])
        found = []
        for key, grader in known:
            theirs = next((result for result in results if _is_of(result, key, grader.name)), None)
            if theirs is None:
                continue
            ours = await bench.grade(grader, sample, row["item"])
            if (same := _same(ours, theirs)) is not None:
                found.append((grader.name, same))
        return found

    verdicts = [verdict for row in run_async(lambda: in_order(answered, grade, workers=_WORKERS)) for verdict in row]
    names = dict.fromkeys(name for name, _ in verdicts)
    return {
        name: Agreement(sum(same for n, same in verdicts if n == name), sum(n == name for n, _ in verdicts))
        for name in names
    }


def _is_of(result: Mapping[str, Any], key: str, name: str) -> bool:
    """Results go by the criterion's name, or by its id, which is the name and a UUID."""
    told = str(result.get("name", ""))
    return bool(told) and (told in (key, name) or re.fullmatch(re.escape(name) + _UUID, told) is not None)


def _same(ours: Grade, theirs: Mapping[str, Any]) -> bool | None:
    if ours.score is None:
        return None
    if ours.passed is not None and isinstance(theirs.get("passed"), bool):
        return bool(ours.passed == theirs["passed"])
    score = theirs.get("score")
    return abs(ours.score - score) <= _CLOSE if isinstance(score, int | float) else None
