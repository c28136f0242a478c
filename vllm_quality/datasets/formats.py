"""The forms in which teams keep questions, each with a small reader that turns a row into a conversation."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from vllm_quality.datasets.files import RowError, is_text, parse_json
from vllm_quality.datasets.schema import Message

FormatName = Literal["jsonl", "json", "csv", "parquet", "openai_chat", "sharegpt", "alpaca", "deepeval"]


class Columns(BaseModel):
    """Which of a row's fields mean what; a field that a row lacks is empty.

    messages   conversation in OpenAI's form; wins over input
    choices    list of texts (in CSV a JSON list)
    metadata   fields kept as they are, such as category, context or max_tokens
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str = "input"
    messages: str = "messages"
    system: str = "system"
    reference: str = "reference"
    choices: str = "choices"
    metadata: tuple[str, ...] = ()


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
        return json.dumps(self.metadata, ensure_ascii=False, sort_keys=True, default=str)


Row = Mapping[str, Any]


@dataclass(frozen=True)
class Format:
    """The file endings a format comes in, and how one row is understood (raises `RowError`)."""

    endings: tuple[str, ...]
    read: Callable[[Row, Columns], Question]


def understand(name: FormatName, row: object, columns: Columns) -> Question:
    """A row as a question. Raises `RowError`: why it is none."""
    if not isinstance(row, Mapping):
        raise RowError("is not an object with named fields")
    question = FORMATS[name].read(row, columns)
    try:
        texts = [question.metadata_json, question.reference or "", *question.choices]
    except (ValueError, TypeError, RecursionError):
        raise RowError("has metadata that JSON cannot hold") from None
    if not all(is_text(text) for text in [*texts, *(message.content for message in question.messages)]):
        raise RowError("holds half of a surrogate pair, which is no text")
    return question


def _named_columns(row: Row, columns: Columns) -> Question:
    reference = _optional_text(row, columns.reference)
    if row.get(columns.messages) is not None:
        messages, last = _conversation(_listed(row[columns.messages], columns.messages), "role", "content")
    else:
        messages, last = (Message("user", _text(row, columns.input)),), None
    if (system := _optional_text(row, columns.system)) is not None:
        messages = (Message("system", system), *messages)
    choices = () if row.get(columns.choices) is None else _choices(row[columns.choices], columns.choices)
    return Question(messages, last if reference is None else reference, choices, _kept(row, columns.metadata))


def _openai_chat(row: Row, columns: Columns) -> Question:
    if row.get(columns.messages) is None:
        raise RowError(f"has no {columns.messages!r}")
    return _named_columns(row, columns)


def _sharegpt(row: Row, columns: Columns) -> Question:
    turns = row.get("conversations", row.get("conversation"))
    if turns is None:
        raise RowError("has no 'conversations'")
    messages, last = _conversation(_listed(turns, "conversations"), "from", "value")
    return Question(messages, last, (), _kept(row, columns.metadata))


def _alpaca(row: Row, columns: Columns) -> Question:
    asked = _text(row, "instruction")
    if (context := _optional_text(row, "input")) is not None:
        asked = f"{asked}\n\n{context}"
    system = _optional_text(row, "system")
    messages = (Message("user", asked),) if system is None else (Message("system", system), Message("user", asked))
    return Question(messages, _optional_text(row, "output"), (), _kept(row, columns.metadata))


def _deepeval(row: Row, columns: Columns) -> Question:
    reference = _optional_text(row, "expected_output") or _optional_text(row, "expectedOutput")
    kept = dict(_kept(row, columns.metadata))
    for name in ("retrieval_context", "retrievalContext", "context"):
        if row.get(name) and "context" not in kept:
            kept["context"] = row[name]
    if row.get("turns") is not None:
        messages, last = _conversation(_listed(row["turns"], "turns"), "role", "content")
        return Question(messages, last if reference is None else reference, (), kept)
    if row.get("scenario") is not None:
        raise RowError("describes a scenario without 'turns', which cannot be asked")
    return Question((Message("user", _text(row, "input")),), reference, (), kept)


FORMATS: Mapping[FormatName, Format] = {
    "jsonl": Format((".jsonl", ".ndjson"), _named_columns),
    "json": Format((".json",), _named_columns),
    "csv": Format((".csv",), _named_columns),
    "parquet": Format((".parquet",), _named_columns),
    "openai_chat": Format((".jsonl", ".ndjson", ".json"), _openai_chat),
    "sharegpt": Format((".jsonl", ".ndjson", ".json"), _sharegpt),
    "alpaca": Format((".jsonl", ".ndjson", ".json", ".parquet"), _alpaca),
    "deepeval": Format((".json", ".jsonl", ".csv"), _deepeval),
}

_ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bing", "bard", "model"), "assistant"),
}


def _conversation(turns: Sequence[Any], role: str, content: str) -> tuple[tuple[Message, ...], str | None]:
    """The messages up to the user's last word, and the answer behind it where there is one."""
    messages = []
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, Mapping):
            raise RowError(f"has a message {number} that is no object")
        known = _ROLES.get(turn[role]) if isinstance(turn.get(role), str) else None
        if known is None:
            raise RowError(f"has a message {number} without a known {role!r}")
        messages.append(Message(known, _content(turn.get(content), number)))
    answer = messages.pop().content if messages and messages[-1].role == "assistant" else None
    if not messages or messages[-1].role != "user":
        raise RowError("has no user message at the end of its conversation")
    if not messages[-1].content.strip():
        raise RowError("has an empty question")
    return tuple(messages), answer


def _content(value: object, number: int) -> str:
    """A message's text; OpenAI's form may cut it into parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(
        isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in value
    ):
        return "".join(part["text"] for part in value)
    raise RowError(f"has a message {number} that is not text")


def _listed(value: object, name: str) -> Sequence[Any]:
    """A list, or the JSON of one, as CSV has it."""
    found = parse_json(value) if isinstance(value, str) else value
    if not isinstance(found, list):
        raise RowError(f"has {name!r} that is no list")
    return found


def _choices(value: object, name: str) -> tuple[str, ...]:
    found = _listed(value, name)
    if not all(isinstance(choice, str) and choice.strip() for choice in found):
        raise RowError(f"has {name!r} that are not all texts")
    return tuple(found)


def _text(row: Row, name: str) -> str:
    found = _optional_text(row, name)
    if found is None:
        raise RowError(f"has no text in {name!r}")
    return found


def _optional_text(row: Row, name: str) -> str | None:
    """A field's text; a number is its digits. Nothing and white space are both None."""
    value = row.get(name)
    if isinstance(value, bool) or (value is not None and not isinstance(value, str | int | float)):
        raise RowError(f"has {name!r} that is neither text nor number")
    return None if value is None or not str(value).strip() else str(value)


def _kept(row: Row, names: Iterable[str]) -> Mapping[str, Any]:
    return {name: row[name] for name in names if row.get(name) is not None}
