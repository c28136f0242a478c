"""Is a Korean question answered in Korean?"""

from deepeval.test_case import LLMTestCase  # noqa: TID253

from vllm_quality.eval.deepeval_tests.answer_metric import AnswerMetric, facts_of
from vllm_quality.eval.deepeval_tests.texts import is_hangul


class KoreanRatio(AnswerMetric):
    """The share of Hangul among the answer's letters. An answer of digits alone is in no wrong language."""

    @staticmethod
    def applies_to(case: LLMTestCase) -> bool:
        """Korean items, but for those whose reference is in another script (a number, a name, code)."""
        reference = case.expected_output
        return facts_of(case).get("language") == "ko" and (reference is None or any(map(is_hangul, reference)))

    def grade(self, case: LLMTestCase) -> tuple[float, str]:
        """Count letters."""
        letters = [letter for letter in case.actual_output or "" if letter.isalpha()]
        if not letters:
            return 1.0, "the answer has no letters"
        hangul = sum(map(is_hangul, letters))
        return hangul / len(letters), f"{hangul} of {len(letters)} letters are Hangul"
