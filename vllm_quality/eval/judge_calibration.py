"""`judge calibrate`: does the judge agree with people, and does it favour a place, a length or a language?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from pydantic import BaseModel

from vllm_quality.errors import UserError
from vllm_quality.eval.agreement import Estimate, cohen_kappa, correlation, estimate, mean
from vllm_quality.eval.canary_run import JudgedLabel
from vllm_quality.eval.client import RetryPolicy, in_order, run_async
from vllm_quality.eval.deepeval_canary import judge_labelled
from vllm_quality.eval.deepeval_judge import make_deepeval_judge
from vllm_quality.eval.environment import prepare_deepeval
from vllm_quality.eval.judge import Judge, JudgeError, JudgeSettings
from vllm_quality.eval.labelled import LabelledAnswer

_MOST_ERRORS = 0.25  # of the judgements; beyond that there is nothing to say of the judge but that
_PAIR_PROMPT = """Two answers to one question are shown. Say which of them is better, going by the reference answer.

Question: {question}

Reference answer: {reference}

First answer: {first}

Second answer: {second}

Return only JSON with two fields: "reason", one sentence, and "better", either "first" or "second"."""


class CalibrationError(UserError):
    """Nothing can be said of the judge."""


class Preference(BaseModel):
    """Which of two answers the judge prefers."""

    reason: str
    better: Literal["first", "second"]


@dataclass(frozen=True)
class Agreement:
    """Judge against labels.

    accuracy    share of the answers that the judge calls right or wrong as the label does
    kappa       the same beyond chance
    mean_error  of the score less the label: above 0 the judge is too kind
    """

    answers: int
    accuracy: Estimate
    kappa: Estimate
    mean_error: Estimate


@dataclass(frozen=True)
class PositionBias:
    """A right and a wrong answer to each question, shown in both orders.

    consistent  share of the pairs whose winner is the same in both
    first       share of all choices that fell on the answer shown first; 0.5 is no bias
    right       share of all choices that fell on the right answer
    """

    pairs: int
    consistent: Estimate
    first: Estimate
    right: Estimate


@dataclass(frozen=True)
class Calibration:
    """What is known of a judge.

    length_bias  correlation of the score's error with the answer's length, among answers of one language and label; 0 is no
                 bias, None where the error does not vary
    """

    judge: str
    labels: str
    judge_errors: int
    all: Agreement
    languages: dict[str, Agreement]
    length_bias: Estimate
    position: PositionBias

    def as_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return asdict(self)


def calibrate(
    judge: JudgeSettings,
    labelled: Sequence[LabelledAnswer],
    *,
    labels: Path,
    concurrency: int,
    timeout_s: float,
    work_folder: Path,
    retry: RetryPolicy | None = None,
) -> Calibration:
    """Have the judge grade every labelled answer, and choose between a right and a wrong one of each question, twice.

    labels  where the answers are from, for the report
    Raises `CalibrationError` when the judge fails at too many, or all labels are alike; `EndpointError` when it is not there.
    """
    if len({answer.right for answer in labelled}) < 2:
        raise CalibrationError(f"{labels} calls all answers alike; it needs right ones and wrong ones.")
    prepare_deepeval(work_folder)

    async def run() -> tuple[list[JudgedLabel], list[_Choice]]:
        caller = judge.client(concurrency=concurrency, timeout_s=timeout_s, retry=retry or RetryPolicy())
        async with caller as client:
            asked = Judge(client, judge.model)
            await asked.check_ready()
            grades = await judge_labelled(labelled, make_deepeval_judge(asked), workers=concurrency)
            pairs = _pairs(labelled)
            return grades, await in_order(pairs, lambda pair: _choose(asked, *pair), workers=concurrency)

    grades, choices = run_async(run)
    scored = [grade for grade in grades if grade.score is not None]
    failed = [grade for grade in grades if grade.score is None]
    if len(failed) > _MOST_ERRORS * len(grades):
        raise CalibrationError(
            f"The judge {judge.model!r} failed at {len(failed)} of {len(grades)} answers ({failed[0].error}); "
            "take a judge that keeps to its JSON."
        )
    spoken = sorted({grade.labelled.language for grade in scored})
    return Calibration(
        judge=judge.model,
        labels=str(labels),
        judge_errors=len(failed) + sum(choice.right_first is None for choice in choices),
        all=_agreement(scored),
        languages={
            language: _agreement([grade for grade in scored if grade.labelled.language == language])
            for language in spoken
        },
        length_bias=estimate(correlation, _errors_and_lengths(scored), _questions(scored)),
        position=_position(choices),
    )


def _agreement(scored: Sequence[JudgedLabel]) -> Agreement:
    pairs = [(grade.labelled.right, bool(grade.passed)) for grade in scored]
    return Agreement(
        answers=len(scored),
        accuracy=estimate(lambda drawn: mean([left == right for left, right in drawn]), pairs, _questions(scored)),
        kappa=estimate(cohen_kappa, pairs, _questions(scored)),
        mean_error=estimate(mean, [_error(grade) for grade in scored], _questions(scored)),
    )


def _error(grade: JudgedLabel) -> float:
    return float(grade.score or 0) - grade.labelled.label


def _errors_and_lengths(scored: Sequence[JudgedLabel]) -> list[tuple[float, float]]:
    """The score's error and the answer's length, each less the mean of its own kind.

    The kind is the language, since Korean says the same in fewer characters, and the label: right answers may happen to be
    the longer ones, which is no fault of the judge.
    """
    kinds: dict[tuple[str, bool], list[JudgedLabel]] = {}
    for grade in scored:
        kinds.setdefault((grade.labelled.language, grade.labelled.right), []).append(grade)
    found: dict[str, tuple[float, float]] = {}
    for own in kinds.values():
        error, length = fmean(map(_error, own)), fmean(len(grade.labelled.answer) for grade in own)
        for grade in own:
            found[grade.labelled.item.id] = (round(_error(grade) - error, 9), len(grade.labelled.answer) / length - 1)
    return [found[grade.labelled.item.id] for grade in scored]


def _questions(scored: Sequence[JudgedLabel]) -> list[str]:
    return [grade.labelled.question for grade in scored]


@dataclass(frozen=True)
class _Choice:
    """Whether the right answer won when it was shown first, and when second; None where the judge failed."""

    right_first: bool | None
    right_second: bool | None


def _pairs(labelled: Sequence[LabelledAnswer]) -> list[tuple[LabelledAnswer, LabelledAnswer]]:
    """A right and a wrong answer to each question that has both."""
    found = []
    for question in dict.fromkeys(answer.question for answer in labelled):
        own = [answer for answer in labelled if answer.question == question]
        right, wrong = [answer for answer in own if answer.right], [answer for answer in own if not answer.right]
        if right and wrong:
            found.append((right[0], wrong[0]))
    return found


async def _choose(judge: Judge, right: LabelledAnswer, wrong: LabelledAnswer) -> _Choice:
    async def wins(first: str, second: str, winner: str) -> bool:
        prompt = _PAIR_PROMPT.format(question=right.question, reference=right.reference, first=first, second=second)
        return (await judge.structured(prompt, Preference)).better == winner

    try:
        return _Choice(
            await wins(right.answer, wrong.answer, "first"), await wins(wrong.answer, right.answer, "second")
        )
    except JudgeError:
        return _Choice(None, None)


def _position(choices: Sequence[_Choice]) -> PositionBias:
    told = [
        (c.right_first, c.right_second) for c in choices if c.right_first is not None and c.right_second is not None
    ]
    own = range(len(told))
    return PositionBias(
        pairs=len(told),
        consistent=estimate(lambda drawn: mean([a == b for a, b in drawn]), told, own),
        first=estimate(lambda drawn: mean([(a + (not b)) / 2 for a, b in drawn]), told, own),
        right=estimate(lambda drawn: mean([(a + b) / 2 for a, b in drawn]), told, own),
    )
