"""Does an answer from given passages keep to them? (judged)"""

from deepeval.metrics import GEval  # noqa: TID253
from deepeval.models import DeepEvalBaseLLM  # noqa: TID253
from deepeval.test_case import LLMTestCase, SingleTurnParams  # noqa: TID253


class NoHallucination(GEval):  # type: ignore[misc]  # deepeval's classes are untyped for mypy
    """G-Eval with pinned steps. 1 is an answer that claims nothing beyond its passages, 0 one that is made up."""

    def __init__(self, model: DeepEvalBaseLLM) -> None:
        super().__init__(
            name="No hallucination",
            evaluation_params=[SingleTurnParams.ACTUAL_OUTPUT, SingleTurnParams.RETRIEVAL_CONTEXT],
            evaluation_steps=[
                "List the factual claims of the actual output.",
                "For each claim, check whether the retrieval context states it or clearly implies it.",
                "Take off heavily for a claim that contradicts the retrieval context.",
                "Take off for a claim that the retrieval context does not support, the more so the more it matters.",
                "An answer that says the retrieval context does not tell is free of hallucination.",
            ],
            model=model,
            threshold=0.5,
        )

    @staticmethod
    def applies_to(case: LLMTestCase) -> bool:
        """Items with passages."""
        return bool(case.retrieval_context)
