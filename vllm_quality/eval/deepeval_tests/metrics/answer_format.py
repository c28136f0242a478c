"""Does the answer keep to the form that was asked for?"""

import re

from deepeval.test_case import LLMTestCase  # noqa: TID253

from vllm_quality.eval.deepeval_tests.answer_metric import AnswerMetric, facts_of
from vllm_quality.eval.deepeval_tests.texts import normal, position_of

_LABELS = "abcdefghij"


class AnswerFormat(AnswerMetric):
    """1 for an answer that is one of the choices (or its letter or number) and within `max_words` and `max_chars`.

    An answer that begins with a choice and goes on gets one half; one that is too long gets nothing.
    """

    threshold = 1.0

    @staticmethod
    def applies_to(case: LLMTestCase) -> bool:
        """Items with choices, or with `max_words` or `max_chars` in their metadata."""
        facts = facts_of(case)
        return bool(facts.get("choices") or facts.get("max_words") or facts.get("max_chars"))

    def grade(self, case: LLMTestCase) -> tuple[float, str]:
        """Check the length, then the choice."""
        facts, answer = facts_of(case), (case.actual_output or "").strip()
        for name, length in (("max_words", len(answer.split())), ("max_chars", len(answer))):
            if facts.get(name) and length > facts[name]:
                return 0.0, f"{length} is over {name} {facts[name]}"
        choices = [normal(choice) for choice in facts.get("choices") or ()]
        return self._choice(normal(answer), choices) if choices else (1.0, "the length is right")

    def _choice(self, answer: str, choices: list[str]) -> tuple[float, str]:
        labels = [*_LABELS[: len(choices)], *(str(number + 1) for number in range(len(choices)))]
        bare = re.sub(rf"^({'|'.join(labels)})\s+", "", answer)
        if answer in {*choices, *labels} or bare in choices:
            return 1.0, "the answer is one of the choices"
        if any(position_of(choice, bare) == 0 for choice in choices) or answer.split(" ")[0] in labels:
            return 0.5, "the answer begins with a choice and goes on"
        return 0.0, "the answer is none of the choices"
