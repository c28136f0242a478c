"""The forms in which teams keep questions and conversations, each with a small reader that turns a row into a dialogue."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from vllm_quality.datasets.dialogue import (
    Dialogue,
    exchange,
    from_first_question,
    listed,
    optional_text,
    read_messages,
    text_of,
)
from vllm_quality.datasets.goldens import read_golden
from vllm_quality.datasets.lm_eval_documents import read_document
from vllm_quality.datasets.rows import RowError, parse_json
from vllm_quality.datasets.schema import Message
from vllm_quality.datasets.stored_completions import read_stored

FormatName = Literal[
    "jsonl",
    "json",
    "csv",
    "parquet",
    "openai_chat",
    "sharegpt",
    "alpaca",
    "deepeval",
    "qianfan",
    "openai_stored",
    "lm_eval",
    "prompt_response",
    "text",
    "items",
]

# Where a row of "prompt_response" has its question and its answer, unless `columns` says so; the first one that is there.
PROMPT_NAMES = ("prompt", "question", "instruction", "query", "text", "input")
RESPONSE_NAMES = ("response", "answer", "output", "completion", "chosen", "expected_output", "reference")


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


Row = Mapping[str, Any]


@dataclass(frozen=True)
class Format:
    """The file endings a format comes in, and how one row is understood (raises `RowError`)."""

    endings: tuple[str, ...]
    read: Callable[[Any, Columns], Dialogue]


def understand(name: FormatName, row: object, columns: Columns) -> Dialogue:
    """A row as a dialogue. Raises `RowError`: why it is none."""
    return FORMATS[name].read(row, columns).check()


def _named_columns(row: object, columns: Columns) -> Dialogue:
    row = _fields(row)
    reference = optional_text(row, columns.reference)
    if row.get(columns.messages) is not None:
        messages = read_messages(listed(row[columns.messages], columns.messages), "role", "content")
    else:
        messages = (Message("user", text_of(row, columns.input)),)
    if (system := optional_text(row, columns.system)) is not None:
        messages = (Message("system", system), *messages)
    choices = () if row.get(columns.choices) is None else _choices(row[columns.choices], columns.choices)
    return Dialogue(messages, reference, choices, _kept(row, columns.metadata))


def _openai_chat(row: object, columns: Columns) -> Dialogue:
    if _fields(row).get(columns.messages) is None:
        raise RowError(f"has no {columns.messages!r}")
    return _named_columns(row, columns)


def _sharegpt(row: object, columns: Columns) -> Dialogue:
    """`conversations`, or the bare list of them; many begin with an answer, cut off from what was asked before it."""
    if isinstance(row, list):
        turns, kept = row, {}
    else:
        fields = _fields(row)
        found = fields.get("conversations", fields.get("conversation"))
        if found is None:
            raise RowError("has no 'conversations'")
        turns, kept = list(listed(found, "conversations")), dict(_kept(fields, columns.metadata))
    # Some rows of ShareGPT hold their turns as JSON in a string (inference-perf's issue 429).
    turns = [parse_json(turn) if isinstance(turn, str) else turn for turn in turns]
    return Dialogue(from_first_question(read_messages(turns, "from", "value")), None, (), kept)


def _alpaca(row: object, columns: Columns) -> Dialogue:
    row = _fields(row)
    asked = text_of(row, "instruction")
    if (context := optional_text(row, "input")) is not None:
        asked = f"{asked}\n\n{context}"
    messages = exchange(optional_text(row, "system"), asked, optional_text(row, "output"))
    return Dialogue(messages, None, (), _kept(row, columns.metadata))


def _deepeval(row: object, columns: Columns) -> Dialogue:
    row = _fields(row)
    return read_golden(row, _kept(row, columns.metadata))


def _qianfan(row: object, _columns: Columns) -> Dialogue:
    """A list of {prompt, response}, one conversation; the last response is not sent, so it may be missing."""
    if not isinstance(row, list):
        raise RowError("is not a list of turns")
    messages: list[Message] = []
    for number, turn in enumerate(row, start=1):
        if not isinstance(turn, Mapping):
            raise RowError(f"has a turn {number} that is no object")
        answered = _qianfan_response(turn.get("response"))
        if answered is None and number < len(row):
            raise RowError(f"has a turn {number} without a 'response', though others follow")
        system = optional_text(turn, "system") if number == 1 else None
        messages += exchange(system, text_of(turn, "prompt"), answered)
    return Dialogue(tuple(messages))


def _qianfan_response(value: object) -> str | None:
    """The response; Qianfan's own exports wrap it in one or two lists, the preferred one first."""
    while isinstance(value, list) and value:
        value = value[0]
    return optional_text({"response": None if value == [] else value}, "response")


def _openai_stored(row: object, _columns: Columns) -> Dialogue:
    return read_stored(_fields(row))


def _lm_eval(row: object, _columns: Columns) -> Dialogue:
    return read_document(row)


def _prompt_response(row: object, columns: Columns) -> Dialogue:
    row = _fields(row)
    prompt, response = _first(row, columns, "input", PROMPT_NAMES), _first(row, columns, "reference", RESPONSE_NAMES)
    return _named_columns(row, columns.model_copy(update={"input": prompt, "reference": response}))


def _first(row: Row, columns: Columns, field: str, usual: tuple[str, ...]) -> str:
    if field in columns.model_fields_set:
        return str(getattr(columns, field))
    return next((name for name in usual if row.get(name) is not None), usual[0])


def _text(row: object, _columns: Columns) -> Dialogue:
    if not isinstance(row, str):
        raise RowError("is not a line of text")
    return Dialogue((Message("user", row),))


def _items(row: object, _columns: Columns) -> Dialogue:
    """A row of `ITEM_SCHEMA`, as `vllm-quality datasets import` writes them."""
    row = _fields(row)
    messages = read_messages(listed(row.get("messages"), "messages"), "role", "content")
    metadata = parse_json(text_of(row, "metadata"))
    if not isinstance(metadata, dict):
        raise RowError("has 'metadata' that is no object")
    choices = _choices(row["choices"], "choices") if row.get("choices") else ()
    return Dialogue(messages, optional_text(row, "reference"), choices, metadata)


_JSON = (".jsonl", ".ndjson", ".json")

FORMATS: Mapping[FormatName, Format] = {
    "jsonl": Format((".jsonl", ".ndjson"), _named_columns),
    "json": Format((".json",), _named_columns),
    "csv": Format((".csv",), _named_columns),
    "parquet": Format((".parquet",), _named_columns),
    "openai_chat": Format((*_JSON, ".parquet"), _openai_chat),
    "sharegpt": Format((*_JSON, ".parquet"), _sharegpt),
    "alpaca": Format((*_JSON, ".parquet"), _alpaca),
    "deepeval": Format((".json", ".jsonl", ".csv"), _deepeval),
    "qianfan": Format(_JSON, _qianfan),
    "openai_stored": Format(_JSON, _openai_stored),
    "lm_eval": Format((), _lm_eval),  # its rows are a task's documents, see `lm_eval_documents`
    "prompt_response": Format((*_JSON, ".csv", ".parquet"), _prompt_response),
    "text": Format((".txt",), _text),
    "items": Format((".parquet",), _items),
}


def _fields(row: object) -> Row:
    if not isinstance(row, Mapping):
        raise RowError("is not an object with named fields")
    return row


def _choices(value: object, name: str) -> tuple[str, ...]:
    found = listed(value, name)
    if not all(isinstance(choice, str) and choice.strip() for choice in found):
        raise RowError(f"has {name!r} that are not all texts")
    return tuple(found)


def _kept(row: Row, names: Iterable[str]) -> Mapping[str, Any]:
    return {name: row[name] for name in names if row.get(name) is not None}
