"""Does the answer keep to the form that was asked for?"""

import json
import re
from typing import Any

from deepeval.test_case import LLMTestCase  # noqa: TID253

from vllm_quality.eval.deepeval_tests.answer_metric import AnswerMetric, facts_of
from vllm_quality.eval.deepeval_tests.texts import normal, position_of

_LABELS = "abcdefghij"
_BOUNDS = ("min_words", "max_words", "min_chars", "max_chars")
_FENCE = re.compile(r"```(?:json)?\s*\n(.*)\n\s*```", re.DOTALL | re.IGNORECASE)


class AnswerFormat(AnswerMetric):
    """1 for an answer within its length that is JSON of its schema, or one of the choices (or its letter or number).

    The length is `min_words`, `max_words`, `min_chars` and `max_chars`; an answer outside of it gets nothing. JSON in a code
    fence, and an answer that begins with a choice and goes on, get one half.
    """

    threshold = 1.0

    @staticmethod
    def applies_to(case: LLMTestCase) -> bool:
        """Items with choices, or with a length or `json_schema` in their metadata."""
        facts = facts_of(case)
        return any(facts.get(name) for name in ("choices", "json_schema", *_BOUNDS))

    def grade(self, case: LLMTestCase) -> tuple[float, str]:
        """Check the length, then the JSON, then the choice."""
        facts, answer = facts_of(case), (case.actual_output or "").strip()
        lengths = {"words": len(answer.split()), "chars": len(answer)}
        for bound in _BOUNDS:
            kind, limit = bound[4:], facts.get(bound)
            if limit and (lengths[kind] < limit if bound.startswith("min") else lengths[kind] > limit):
                side = "under" if bound.startswith("min") else "over"
                return 0.0, f"{lengths[kind]} {kind} is {side} {bound} {limit}"
        if facts.get("json_schema"):
            return _json(answer, facts["json_schema"])
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


def _json(answer: str, schema: Any) -> tuple[float, str]:
    """Whether an answer is JSON of a schema (draft 2020-12). A schema that is none raises: the item is at fault."""
    from jsonschema import Draft202012Validator
    from referencing import Registry

    wanted = json.loads(schema) if isinstance(schema, str) else schema
    Draft202012Validator.check_schema(wanted)
    fenced = _FENCE.fullmatch(answer)
    try:
        found = json.loads(fenced[1] if fenced else answer)
    except ValueError:
        return 0.0, "the answer is not JSON"
    # A registry of our own: the default one would fetch a schema that `$ref` names by its address.
    errors = Draft202012Validator(wanted, registry=Registry()).iter_errors(found)
    worst = min((error.message for error in errors), default=None)
    if worst is not None:
        return 0.0, f"the JSON does not follow the schema: {worst[:200]}"
    return (0.5, "the JSON follows the schema, in a code fence") if fenced else (1.0, "the JSON follows the schema")
