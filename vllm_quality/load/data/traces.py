"""When real users' requests came, and how long they were: the public traces, and files of one's own.

CSV, JSON lines, JSON or parquet, a request per row; columns are known by name, whatever their case and punctuation:

    Azure LLM inference     TIMESTAMP (a date), ContextTokens, GeneratedTokens
    BurstGPT                Timestamp (s), Request tokens, Response tokens
    Mooncake                timestamp (ms), input_length, output_length, hash_ids
    Bailian                 timestamp (s), input_length, output_length, chat_id, hash_ids
    one's own               offset_s, offset_ms, timestamp (s or a date) or timestamp_ms; lengths may be missing
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vllm_quality.datasets.files import READERS, read_rows
from vllm_quality.datasets.reading import MOST_QUARANTINED
from vllm_quality.datasets.rows import BadRow, RowError
from vllm_quality.datasets.schema import DatasetError
from vllm_quality.load.data.lengths import MAX_TOKENS
from vllm_quality.load.errors import LoadError

_SECONDS = ("offsets", "timestamp", "arrivaltime", "arrivedat")
_MILLISECONDS = ("offsetms", "timestampms")
_INPUT = ("inputtokens", "inputlength", "contexttokens", "requesttokens", "prompttokens", "numprefilltokens")
_OUTPUT = ("outputtokens", "outputlength", "generatedtokens", "responsetokens", "completiontokens", "numdecodetokens")
_LATEST = 1e11  # seconds: the year 5138
_ENDINGS = tuple(ending for ending in READERS if ending != ".txt")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request. offset_s: after the first one. Tokens: None where the trace does not say, or says 0 (it failed)."""

    offset_s: float
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True)
class TraceFile:
    """What a trace holds.

    arrivals      ascending, the first at 0
    rows          rows seen; bad_rows: of those, the ones that cannot be used
    quarantined   their places and reasons, the first thousand
    """

    arrivals: tuple[Arrival, ...]
    rows: int
    bad_rows: int
    quarantined: tuple[BadRow, ...]


def read_trace(path: Path) -> list[Arrival]:
    """The requests of a trace, ascending in time, the first at 0. Raises `LoadError` when there is none to be used."""
    return list(read_trace_file(path).arrivals)


def read_trace_file(path: Path) -> TraceFile:
    """A trace with the rows that had to be left out. Raises `LoadError` when no row can be used."""
    if path.suffix.lower() not in _ENDINGS:
        raise LoadError(f"{path} has an ending that no trace has; name it {', '.join(_ENDINGS)}, as its content is.")
    found: list[Arrival] = []
    bad_rows, quarantined = 0, list[BadRow]()
    try:
        for number, row in read_rows(path):
            try:
                found.append(_arrival(row))
            except RowError as error:
                bad_rows += 1
                if len(quarantined) < MOST_QUARANTINED:
                    quarantined.append(BadRow(path.name, number, str(error)))
    except DatasetError as error:
        raise LoadError(str(error)) from None
    if not found:
        example = f": row {quarantined[0].line} {quarantined[0].why}" if quarantined else ""
        raise LoadError(f"{path} has no row that can be used as a request (of {bad_rows}){example}; correct the trace.")
    found.sort(key=lambda arrival: arrival.offset_s)
    first = found[0].offset_s
    # Microseconds are what is left of a date's precision in a float.
    arrivals = tuple(Arrival(round(one.offset_s - first, 6), one.input_tokens, one.output_tokens) for one in found)
    return TraceFile(arrivals, len(found) + bad_rows, bad_rows, tuple(quarantined))


def _arrival(row: object) -> Arrival:
    """A row whose offset is still counted from wherever the file counts."""
    if isinstance(row, RowError):
        raise row
    if not isinstance(row, Mapping):
        raise RowError("is not an object with named fields")
    fields = {"".join(filter(str.isalnum, str(name).lower())): value for name, value in row.items()}
    return Arrival(_seconds(fields), _tokens(fields, _INPUT), _tokens(fields, _OUTPUT))


def _seconds(fields: Mapping[str, Any]) -> float:
    name = _present(fields, (*_SECONDS, *_MILLISECONDS))
    if name is None:
        raise RowError("has no time in 'timestamp', 'offset_s', 'timestamp_ms' or 'offset_ms'")
    value = fields[name]
    if isinstance(value, datetime) or (isinstance(value, str) and _number(value) is None):
        return _date(value)
    seconds = _number(value)
    if seconds is None:
        raise RowError("has a time that is neither a number nor a date")
    # Mooncake counts milliseconds; Bailian, which looks much the same, seconds.
    if name in _MILLISECONDS or (name == "timestamp" and "hashids" in fields and "chatid" not in fields):
        seconds /= 1000
    if abs(seconds) > _LATEST:
        raise RowError("has a time of more than a hundred thousand million seconds; name the column timestamp_ms")
    return seconds


def _date(value: str | datetime) -> float:
    try:
        date = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
    except ValueError:
        raise RowError("has a time that is neither a number nor a date") from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _tokens(fields: Mapping[str, Any], names: Sequence[str]) -> int | None:
    name = _present(fields, names)
    if name is None:
        return None
    tokens = _number(fields[name])
    if tokens is None or tokens < 0 or tokens != int(tokens):
        raise RowError("has a length that is no number of tokens")
    if tokens > MAX_TOKENS:
        raise RowError(f"has a length of more than {MAX_TOKENS} tokens")
    return int(tokens) or None


def _present(fields: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if fields.get(name) is not None), None)


def _number(value: object) -> float | None:
    """A finite number, also from a CSV's text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
