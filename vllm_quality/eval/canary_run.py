"""The frozen answers, judged again with every run as a canary: what becomes of their grades, whoever asked the judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from vllm_quality.eval.answers import Status
from vllm_quality.eval.labelled import LabelledAnswer, first_questions, load_labels
from vllm_quality.eval.result import hash_of
from vllm_quality.eval.standard_errors import mean_stderr
from vllm_quality.settings import Profile

QUESTIONS: Mapping[Profile, int | None] = {"smoke": 6, "standard": None, "full": None}


@dataclass(frozen=True)
class JudgedLabel:
    """A labelled answer and what the judge made of it.

    asked   what decides how it was asked, steps included
    score   from 0 to 1; None without a judgement
    passed  whether the judge calls it right
    """

    labelled: LabelledAnswer
    asked: str
    judge: str | None
    status: Status
    score: float | None = None
    passed: bool | None = None
    reason: str = ""
    error: str | None = None

    @property
    def prompt_hash(self) -> str:
        """What the judge was asked: scores are compared only where it is equal."""
        return hash_of([self.labelled.item.id, self.asked])


def canary_answers(profile: Profile) -> list[LabelledAnswer]:
    """The packaged answers that a profile has judged."""
    return first_questions(load_labels(), QUESTIONS[profile])


def canary_metrics(step: str, canary: Sequence[JudgedLabel]) -> dict[str, float]:
    """The canary's mean score and agreement with the labels. They tell of the judge, and are never judged."""
    if not canary:
        return {}
    scored = [entry for entry in canary if entry.score is not None]
    scores = [float(entry.score or 0) for entry in scored]
    stderr = mean_stderr(scores, [entry.labelled.question for entry in scored])
    agree = [entry.passed == entry.labelled.right for entry in scored]
    return {
        **({f"{step}/canary_score": fmean(scores), f"{step}/canary_agreement_ratio": fmean(agree)} if scored else {}),
        **({f"{step}/canary_score_stderr": stderr} if stderr is not None else {}),
        f"{step}/canary_scored_count": float(len(scored)),
        f"{step}/canary_judge_errors_count": float(len(canary) - len(scored)),
    }


def canary_sample(suite: str, entry: JudgedLabel) -> dict[str, object]:
    """A row of the `samples` table, under a suite of its own: these are no answers of the release."""
    return {
        "suite": suite,
        "item_hash": entry.labelled.item.id,
        "prompt_hash": entry.prompt_hash,
        "metric": "canary_score",
        "score": entry.score,
        "status": entry.status,
        "finish_reason": None,
        "prompt_tokens": None,
        "output_tokens": None,
        "judge": entry.judge,
    }


def canary_text(suite: str, entry: JudgedLabel) -> dict[str, object]:
    """A row of the texts."""
    return {
        "suite": suite,
        "item_hash": entry.labelled.item.id,
        "prompt": entry.labelled.question,
        "answer": entry.labelled.answer,
        "expected": entry.labelled.reference,
        "reason": entry.reason,
        "error": entry.error,
    }
