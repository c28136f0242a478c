"""Recorded conversations as something to play: each turn with what is sent and how long the recorded answer was.

The format is told from the file, unless it is given. The ending says how rows are read: .jsonl and .ndjson (a JSON value
per line), .json (a list, or lines), .csv, .parquet, .txt (a prompt per line). Of the formats below, in this order, the one
that understands most of the first rows is taken, the earlier of two that understand as many:

    qianfan          a list of {prompt, response}: one conversation per row
    sharegpt         {conversations: [{from, value}]}, or the bare list
    openai           {messages: [{role, content}]}
    alpaca           {instruction, input, output}
    prompt_response  named columns; see `PROMPT_NAMES` and `RESPONSE_NAMES`, or say which in `columns`
    text             a line of text
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from vllm_quality.datasets.files import READERS, read_rows
from vllm_quality.datasets.formats import FORMATS, Columns, FormatName, understand
from vllm_quality.datasets.reading import MOST_QUARANTINED
from vllm_quality.datasets.rows import BadRow, RowError
from vllm_quality.datasets.schema import DatasetError, Message
from vllm_quality.load.errors import LoadError

# Forty conversations in English and Korean, written for this package; a scenario calls them "sample".
SAMPLE_CONVERSATIONS = Path(str(files("vllm_quality"))) / "load" / "data" / "sample_conversations.jsonl"
MOST_TURNS = 500  # of one conversation: each turn is sent with all that was said before
_LOOKED_AT = 100  # rows that tell the format
_DETECTED: tuple[FormatName, ...] = ("qianfan", "sharegpt", "openai_chat", "alpaca", "prompt_response", "text")
_ALIASES = {"openai": "openai_chat"}
_COLUMNS = {"prompt": "input", "response": "reference", "messages": "messages", "system": "system"}


@dataclass(frozen=True)
class Turn:
    """One request of a conversation.

    messages  what is sent: everything said before, recorded answers included, and the user's word at the end
    answer    the recorded answer to it; None where there is none
    """

    messages: tuple[Message, ...]
    answer: str | None


@dataclass(frozen=True)
class Conversation:
    """At least one turn. item: 16 hex digits, told from all that was said: equal for equal content, whatever the file."""

    item: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class ConversationFile:
    """What a file holds.

    format       the format's name, found or given
    rows         rows seen; bad_rows: of those, the ones that cannot be used
    quarantined  their places and reasons (never their content), the first thousand
    """

    conversations: tuple[Conversation, ...]
    format: str
    rows: int
    bad_rows: int
    quarantined: tuple[BadRow, ...]


def format_names() -> tuple[str, ...]:
    """What `read_conversations` takes as format."""
    return ("auto", *_ALIASES, *FORMATS)


def read_conversations(path: Path, format: str = "auto", columns: Mapping[str, str] | None = None) -> ConversationFile:
    """The conversations of a file, in its order; see the module for formats.

    columns  which of a row's fields are prompt, response, messages and system, where "auto" and "prompt_response" would
             not find them

    Raises `LoadError` when the file, the format's name or the columns cannot be used, or no row can.
    """
    named = _columns(columns)
    if format not in format_names():
        raise LoadError(f"{format!r} is no format of conversations; known are {', '.join(format_names())}.")
    if path.suffix.lower() not in READERS:
        raise LoadError(
            f"{path} has an ending that tells no kind of file; name it {', '.join(sorted(READERS))}, as its content is."
        )
    try:
        return _read(path, format, named)
    except DatasetError as error:
        raise LoadError(str(error)) from None


def _read(path: Path, wanted: str, columns: Columns) -> ConversationFile:
    rows = read_rows(path)
    if wanted == "auto":
        head = list(itertools.islice(rows, _LOOKED_AT))
        rows, name = itertools.chain(head, rows), _detected([row for _, row in head], columns)
    else:
        name = next(known for known in FORMATS if known == _ALIASES.get(wanted, wanted))
    conversations: list[Conversation] = []
    bad_rows, quarantined = 0, list[BadRow]()
    for number, found in _conversations(rows, name, columns):
        if isinstance(found, Conversation):
            conversations.append(found)
            continue
        bad_rows += 1
        if len(quarantined) < MOST_QUARANTINED:
            quarantined.append(BadRow(path.name, number, str(found)))
    if not conversations:
        example = f": row {quarantined[0].line} {quarantined[0].why}" if quarantined else ""
        raise LoadError(
            f"{path} has no conversation that can be used (of {bad_rows} rows, read as {name}){example}; "
            f"check the file, or give its format ({', '.join(format_names())}) or columns."
        )
    return ConversationFile(tuple(conversations), name, len(conversations) + bad_rows, bad_rows, tuple(quarantined))


def _detected(rows: Sequence[Any], columns: Columns) -> FormatName:
    if columns.model_fields_set:
        return "prompt_response"
    return max(_DETECTED, key=lambda name: sum(_is_usable(row, name, columns) for row in rows))


def _is_usable(row: object, name: FormatName, columns: Columns) -> bool:
    return any(isinstance(found, Conversation) for _, found in _conversations([(0, row)], name, columns))


def _conversations(
    rows: Iterable[tuple[int, Any]], name: FormatName, columns: Columns
) -> Iterator[tuple[int, Conversation | RowError]]:
    for number, row in rows:
        try:
            if isinstance(row, RowError):
                raise row
            yield number, conversation_of(understand(name, row, columns).answered)
        except RowError as error:
            yield number, error


def conversation_of(messages: Sequence[Message]) -> Conversation:
    """The turns of a conversation, up to the first empty question. Raises `RowError` when there is none."""
    turns: list[Turn] = []
    for at, message in enumerate(messages):
        following = messages[at + 1] if at + 1 < len(messages) else None
        # Of several user messages in a row the last one is what is sent.
        if message.role != "user" or (following is not None and following.role != "assistant"):
            continue
        if not message.content.strip():
            break
        if len(turns) == MOST_TURNS:
            raise RowError(f"has more than {MOST_TURNS} turns")
        answer = following.content if following is not None and following.content.strip() else None
        turns.append(Turn(tuple(messages[: at + 1]), answer))
    if not turns:
        raise RowError("has no question that could be sent")
    last = turns[-1]
    said = [[message.role, message.content] for message in last.messages]
    digest = hashlib.sha256(json.dumps([said, last.answer], ensure_ascii=False).encode()).hexdigest()
    return Conversation(digest[:16], tuple(turns))


def _columns(columns: Mapping[str, str] | None) -> Columns:
    unknown = sorted(set(columns or {}) - set(_COLUMNS))
    if unknown:
        raise LoadError(f"columns has {', '.join(map(repr, unknown))}; it may name {', '.join(_COLUMNS)}.")
    return Columns.model_validate({_COLUMNS[name]: field for name, field in (columns or {}).items()})
