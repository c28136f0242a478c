"""Does the answer give the reference?"""

from deepeval.test_case import LLMTestCase  # noqa: TID253

from vllm_quality.eval.deepeval_tests.answer_metric import AnswerMetric, facts_of
from vllm_quality.eval.deepeval_tests.texts import normal, position_of


class ExactAnswer(AnswerMetric):
    """1 when the answer is the reference or mentions it, else 0. Where there are choices, the first one mentioned counts."""

    yes_no = True

    @staticmethod
    def applies_to(case: LLMTestCase) -> bool:
        """Items with a reference."""
        return bool(case.expected_output)

    def grade(self, case: LLMTestCase) -> tuple[float, str]:
        """Compare in normal form."""
        answer, reference = normal(case.actual_output or ""), normal(case.expected_output or "")
        if answer == reference:
            return 1.0, "the answer is the reference"
        choices = {normal(choice) for choice in facts_of(case).get("choices") or ()}
        if reference in choices:
            # The longest of those at one place: "New York City" is not a mention of "New York".
            found = [
                (at, -len(choice), choice) for choice in choices if (at := position_of(choice, answer)) is not None
            ]
            first = min(found)[2] if found else None
            return float(first == reference), f"the first choice mentioned is {first!r}"
        # "a" is also an English article: a single letter has to begin or end the answer.
        words = answer.split()
        is_letter = len(reference) == 1 and reference.isascii() and reference.isalpha()
        mentioned = (
            reference in (words[0], words[-1]) if is_letter and words else position_of(reference, answer) is not None
        )
        return float(mentioned), f"the answer {'mentions' if mentioned else 'does not mention'} the reference"
