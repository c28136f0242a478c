"""deepeval's own golden files (`EvaluationDataset.save_as`): single questions and whole conversations, in JSON and in CSV."""

import re
from collections.abc import Mapping
from typing import Any

from vllm_quality.datasets.dialogue import Dialogue, exchange, listed, optional_text, read_messages, text_of
from vllm_quality.datasets.rows import RowError, parse_json

_BETWEEN_PASSAGES = "|"  # deepeval's CSV
# deepeval writes a passage that knows its source as one text.
_SOURCED = re.compile(r"deepeval_source=.*?,deepeval_context=(?P<text>.*)", re.DOTALL)
_FACTS = ("scenario", "expected_outcome", "user_description", "chatbot_role")


def read_golden(row: Mapping[str, Any], kept: Mapping[str, Any]) -> Dialogue:
    """A `Golden` or `ConversationalGolden` as a dialogue. Raises `RowError`.

    kept  metadata that the data set's mapping keeps; wins over the golden's `additional_metadata`

    The metadata gets `context` and, where it differs, `retrieval_context`; of a conversation also its scenario and expected
    outcome. That is no reference: it says how the conversation should end, not what the answer is.
    """
    turns = _field(row, "turns")
    passages = _passages(row)
    facts = {name: text for name in _FACTS if (text := _text(row, name)) is not None}
    if turns is None and "scenario" in facts:
        raise RowError("describes a scenario without 'turns', which cannot be asked")
    if turns is not None:
        said = listed(turns, "turns")
        messages = read_messages(said, "role", "content")
        last = said[-1] if said and isinstance(said[-1], Mapping) else {}
        passages = passages or _passages(last)  # those of the answer that was given last
        return Dialogue(messages, _text(row, "expected_output"), (), {**facts, **_more(row), **passages, **kept})
    messages = exchange(None, text_of(row, "input"), None)
    return Dialogue(messages, _text(row, "expected_output"), (), {**_more(row), **passages, **kept})


def _passages(row: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: _listed_passages(_field(row, name)) for name in ("context", "retrieval_context")}
    context, retrieved = found["context"] or found["retrieval_context"], found["retrieval_context"]
    return {
        **({"context": context} if context else {}),
        **({"retrieval_context": retrieved} if retrieved and retrieved != context else {}),
    }


def _listed_passages(value: object) -> list[str]:
    if isinstance(value, str):
        value = value.split(_BETWEEN_PASSAGES)
    if value is None:
        return []
    if not isinstance(value, list):
        raise RowError("has a context that is no list of texts")
    return [_passage(part.get("context") if isinstance(part, Mapping) else part) for part in value]


def _passage(value: object) -> str:
    if not isinstance(value, str):
        raise RowError("has a context that is no list of texts")
    sourced = _SOURCED.fullmatch(value)
    return sourced["text"] if sourced else value


def _more(row: Mapping[str, Any]) -> Mapping[str, Any]:
    value = _field(row, "additional_metadata")
    found = parse_json(value) if isinstance(value, str) else value
    if found is not None and not isinstance(found, Mapping):
        raise RowError("has 'additional_metadata' that is no object")
    return found or {}


def _field(row: Mapping[str, Any], name: str) -> Any:
    """A field by deepeval's Python name, or in camel case, as Confident AI exports it; empty is None."""
    head, *tail = name.split("_")
    found = row.get(name)
    return (row.get(head + "".join(part.title() for part in tail)) if found is None else found) or None


def _text(row: Mapping[str, Any], name: str) -> str | None:
    return optional_text({name: _field(row, name)}, name)
