"""The canary of evals: the frozen answers graded by the judge in the way that score_model and label_model ask it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from vllm_quality.eval.canary_run import JudgedLabel
from vllm_quality.eval.client import in_order
from vllm_quality.eval.graders.bench import Grade
from vllm_quality.eval.graders.schema import Grader, ScoreModel
from vllm_quality.eval.labelled import SUITE, LabelledAnswer
from vllm_quality.eval.result import hash_of

CANARY = f"{SUITE}_graders"  # one for all evals: two of one run ask the same
_TASK = (
    "You grade an answer to a question by a reference answer. Say in steps what the reference states, and whether the answer "
    "states the same or contradicts it; wording and length do not matter. Then give the result as a number: 10 when the "
    "answer is right and complete, 0 when it is wrong, something between when it is right in part."
)
_PARTS = (
    "Question: {{item.question}}\n\nPassages: {{item.passages}}\n\nReference answer: {{item.reference}}\n\n"
    "Answer: {{sample.output_text}}"
)
# Whatever the evals say: what watches must stay as it is.
GRADER = ScoreModel.model_validate(
    {
        "type": "score_model",
        "name": "canary",
        "range": (0, 10),
        "pass_threshold": 5,
        "input": [{"role": "system", "content": _TASK}, {"role": "user", "content": _PARTS}],
    }
)
_FINGERPRINT = hash_of(GRADER.model_dump(mode="json"))

GradeOne = Callable[[Grader, Mapping[str, Any], Mapping[str, Any]], Awaitable[Grade]]


async def grade_labelled(
    labelled: Sequence[LabelledAnswer], grade: GradeOne, judge: str, *, workers: int
) -> list[JudgedLabel]:
    """Have the judge grade labelled answers, one request each; a judgement that fails has no score.

    grade  grades a sample of an item by a grader
    judge  the judge's model
    """

    async def one(answer: LabelledAnswer) -> JudgedLabel:
        item = {
            "question": answer.question,
            "reference": answer.reference,
            "passages": "\n".join(answer.context) or "none",
        }
        found = await grade(GRADER, {"output_text": answer.answer}, item)
        score = None if found.score is None else found.score / GRADER.span[1]
        error = found.reason if score is None else None
        reason = "" if score is None else found.reason
        return JudgedLabel(answer, _FINGERPRINT, judge, found.status, score, found.passed, reason, error)

    return await in_order(labelled, one, workers=workers)
