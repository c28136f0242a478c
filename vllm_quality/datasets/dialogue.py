"""What a row of data says: a conversation, of which an evaluation asks the last question and a load test plays every turn."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vllm_quality.datasets.rows import RowError, is_text, parse_json
from vllm_quality.datasets.schema import Message

_ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bing", "bard", "model"), "assistant"),
}


@dataclass(frozen=True)
class Question:
    """What a row asks. `messages` ends with the user's word."""

    messages: tuple[Message, ...]
    reference: str | None = None
    choices: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metadata_json(self) -> str:
        """The metadata as a JSON object with sorted keys."""
        return _sorted_json(self.metadata)


@dataclass(frozen=True)
class Dialogue:
    """All that a row says, from the first message to the last, whoever has the last word.

    reference  the right answer where the row names it beside its messages
    """

    messages: tuple[Message, ...]
    reference: str | None = None
    choices: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def answered(self) -> tuple[Message, ...]:
        """All messages; where the last word is the user's, the reference behind it, if there is one."""
        if self.reference is None or not self.messages or self.messages[-1].role == "assistant":
            return self.messages
        return (*self.messages, Message("assistant", self.reference))

    def question(self) -> Question:
        """The last question; an answer behind it is its reference, unless the row names another. Raises `RowError`."""
        answered = bool(self.messages) and self.messages[-1].role == "assistant"
        asked = self.messages[:-1] if answered else self.messages
        if not asked or asked[-1].role != "user":
            raise RowError("has no user message at the end of its conversation")
        if not asked[-1].content.strip():
            raise RowError("has an empty question")
        answer = self.messages[-1].content if answered else None
        return Question(asked, answer if self.reference is None else self.reference, self.choices, self.metadata)

    def check(self) -> "Dialogue":
        """The dialogue itself. Raises `RowError` when something in it cannot be written as UTF-8 or JSON."""
        try:
            texts = [_sorted_json(self.metadata), self.reference or "", *self.choices]
        except (ValueError, TypeError, RecursionError):
            raise RowError("has metadata that JSON cannot hold") from None
        if not all(is_text(text) for text in [*texts, *(message.content for message in self.messages)]):
            raise RowError("holds half of a surrogate pair, which is no text")
        return self


def read_messages(turns: Sequence[Any], role: str, content: str) -> tuple[Message, ...]:
    """The messages of a list of objects whose speaker and text are in the fields `role` and `content`. Raises `RowError`."""
    messages = []
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, Mapping):
            raise RowError(f"has a message {number} that is no object")
        known = _ROLES.get(turn[role]) if isinstance(turn.get(role), str) else None
        if known is None:
            raise RowError(f"has a message {number} without a known {role!r}")
        messages.append(Message(known, _content(turn.get(content), number)))
    return tuple(messages)


def from_first_question(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages without the answers that stand before the first question: a conversation's cut-off beginning."""
    first = next((at for at, message in enumerate(messages) if message.role == "user"), len(messages))
    return tuple(message for at, message in enumerate(messages) if at >= first or message.role != "assistant")


def exchange(system: str | None, asked: str, answered: str | None) -> tuple[Message, ...]:
    """A system prompt, a question and its answer as messages; None is left out."""
    said = (("system", system), ("user", asked), ("assistant", answered))
    return tuple(Message(role, text) for role, text in said if text is not None)


def listed(value: object, name: str) -> Sequence[Any]:
    """A list, or the JSON of one, as CSV has it. Raises `RowError`."""
    found = parse_json(value) if isinstance(value, str) else value
    if not isinstance(found, list):
        raise RowError(f"has {name!r} that is no list")
    return found


def text_of(row: Mapping[str, Any], name: str) -> str:
    """A field's text. Raises `RowError` where there is none."""
    found = optional_text(row, name)
    if found is None:
        raise RowError(f"has no text in {name!r}")
    return found


def optional_text(row: Mapping[str, Any], name: str) -> str | None:
    """A field's text; a number is its digits. Nothing and white space are both None. Raises `RowError`."""
    value = row.get(name)
    if isinstance(value, bool) or (value is not None and not isinstance(value, str | int | float)):
        raise RowError(f"has {name!r} that is neither text nor number")
    return None if value is None or not str(value).strip() else str(value)


def _content(value: object, number: int) -> str:
    """A message's text; OpenAI's form may cut it into parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(
        isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in value
    ):
        return "".join(part["text"] for part in value)
    raise RowError(f"has a message {number} that is not text")


def _sorted_json(metadata: Mapping[str, Any]) -> str:
    return json.dumps(metadata, ensure_ascii=False, sort_keys=True, default=str)
