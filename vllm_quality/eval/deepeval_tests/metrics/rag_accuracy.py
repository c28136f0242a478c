"""Is an answer from given passages right? (judged)"""

from deepeval.metrics import GEval  # noqa: TID253
from deepeval.models import DeepEvalBaseLLM  # noqa: TID253
from deepeval.test_case import LLMTestCase, SingleTurnParams  # noqa: TID253


class RagAccuracy(GEval):  # type: ignore[misc]  # deepeval's classes are untyped for mypy
    """G-Eval with pinned steps: criteria alone would have the judge write other steps in every run."""

    def __init__(self, model: DeepEvalBaseLLM) -> None:
        super().__init__(
            name="RAG accuracy",
            evaluation_params=[
                SingleTurnParams.INPUT,
                SingleTurnParams.ACTUAL_OUTPUT,
                SingleTurnParams.EXPECTED_OUTPUT,
                SingleTurnParams.RETRIEVAL_CONTEXT,
            ],
            evaluation_steps=[
                "Find what the input asks for, and the expected output's answer to it.",
                "Check whether the actual output gives the same answer, in whatever words or language it is put.",
                "Take off heavily for an answer that contradicts the expected output or leaves its main point out.",
                "Take off a little for a detail of the expected output that is missing; wording and style do not count.",
            ],
            model=model,
            threshold=0.5,
        )

    @staticmethod
    def applies_to(case: LLMTestCase) -> bool:
        """Items with passages and a reference."""
        return bool(case.retrieval_context and case.expected_output)
