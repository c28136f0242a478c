"""OpenAI's stored chat completions, as the API gives them and as they are exported, and logs of requests with their responses.

The request's messages stand beside the completion (`messages`, `input`) or in `request`, the answer in `choices` or in
`response`; either may be wrapped in a `body`, as in the API's batches, or be JSON in a string, as loggers write it.
Sources: https://platform.openai.com/docs/api-reference/chat/list and /batch/request-output.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from vllm_quality.datasets.dialogue import Dialogue, read_messages
from vllm_quality.datasets.rows import RowError, parse_json
from vllm_quality.datasets.schema import Message

Parts = Sequence[Mapping[str, Any]]

_ASKED = ("messages", "input", "prompt")
_REQUEST = ("request", "request_body")
_RESPONSE = ("response", "response_body", "completion")


def read_stored(row: Mapping[str, Any]) -> Dialogue:
    """A stored completion as a dialogue; its metadata are its own, with model and created. Raises `RowError`."""
    parts = parts_of(row)
    asked = messages_of(parts)
    answered = _answer(row, parts)
    if answered is not None:
        asked = (*asked, Message("assistant", answered))
    return Dialogue(asked, None, (), {**_facts(parts), **metadata_of(parts)})


def is_stored(parts: Parts) -> bool:
    """Whether a row has the form of a stored completion or of a logged request."""
    return any(isinstance(part.get("messages"), list | str) or "choices" in part for part in parts)


def read_stored_messages(listed: Sequence[Any]) -> tuple[Message, ...]:
    """Messages in OpenAI's form; of a stored one the text may be in `content_parts`. Raises `RowError`."""
    turns = [
        {**turn, "content": turn["content_parts"]}
        if isinstance(turn, Mapping) and turn.get("content") is None and turn.get("content_parts")
        else turn
        for turn in listed
    ]
    return read_messages(turns, "role", "content")


def parts_of(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The row itself, then what it holds of the request, then of the response. Raises `RowError` for broken JSON in them."""
    return (row, *_inner(row, _REQUEST), *_inner(row, ("body",)), *_inner(row, _RESPONSE))


def messages_of(parts: Parts) -> tuple[Message, ...]:
    """The request's messages. Raises `RowError`."""
    for part in parts:
        for name in _ASKED:
            value = part.get(name)
            value = parse_json(value) if isinstance(value, str) and value.lstrip().startswith("[{") else value
            if isinstance(value, list):
                return read_stored_messages(value)
            if isinstance(value, str) and value.strip():
                return (Message("user", value),)
    raise RowError("has no 'messages' of the request; OpenAI's list leaves them out, its export has them")


def metadata_of(parts: Parts) -> dict[str, Any]:
    """What was given as metadata with the request; the row's own win. Raises `RowError`."""
    found: dict[str, Any] = {}
    for part in reversed(parts):
        value = part.get("metadata")
        value = parse_json(value) if isinstance(value, str) and value.strip() else value
        if isinstance(value, Mapping):
            found |= value
    return found


def _inner(row: Mapping[str, Any], names: Sequence[str]) -> list[Mapping[str, Any]]:
    found = []
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = parse_json(value)
        if isinstance(value, dict):
            found += [value, *_inner(value, ("body",))]
    return found


def _answer(row: Mapping[str, Any], parts: Parts) -> str | None:
    """The first choice's text; None where there is none, as in calls of tools and failed requests."""
    for part in parts:
        choices = part.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
            message = choices[0].get("message")
            text = message.get("content") if isinstance(message, Mapping) else choices[0].get("text")
            return text if isinstance(text, str) and text.strip() else None
    value = row.get("response")
    return value if isinstance(value, str) and value.strip() and not value.lstrip().startswith("{") else None


def _facts(parts: Parts) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for part in reversed(parts):
        facts |= {name: part[name] for name in ("model", "created") if isinstance(part.get(name), str | int | float)}
    return facts
