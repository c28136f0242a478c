"""The common part of metrics that need no judge: a subclass grades one answer, the rest is here."""

from typing import Any

from deepeval.metrics import BaseMetric  # noqa: TID253  # only the registry imports this, when metrics are to run
from deepeval.test_case import LLMTestCase  # noqa: TID253


class AnswerMetric(BaseMetric):  # type: ignore[misc]  # deepeval's classes are untyped for mypy
    """A metric whose `grade` is a pure function of the test case. An answer passes at `threshold`.

    yes_no  the only scores are 0 and 1, so that the share of passed answers would be the mean score again
    """

    threshold: float = 0.5
    yes_no: bool = False

    def grade(self, case: LLMTestCase) -> tuple[float, str]:
        """Score between 0 and 1, and why."""
        raise NotImplementedError

    def measure(self, test_case: LLMTestCase, *_: Any, **__: Any) -> float:
        """Grade the answer; deepeval reads score, reason and success from the instance."""
        score, self.reason = self.grade(test_case)
        self.score, self.success = score, score >= self.threshold
        return score

    async def a_measure(self, test_case: LLMTestCase, *_: Any, **__: Any) -> float:
        """As `measure`: there is nothing to wait for."""
        return self.measure(test_case)

    @property
    def __name__(self) -> str:
        return type(self).__qualname__


def facts_of(case: LLMTestCase) -> dict[str, Any]:
    """The test case's metadata: language, dataset, choices, and whatever the data set's row says."""
    return dict(case.metadata or {})
