"""What a row of traffic says: when it was asked, with which metadata, and the query itself."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from vllm_quality.datasets.dialogue import Dialogue, Question
from vllm_quality.datasets.formats import PROMPT_NAMES, Columns, understand
from vllm_quality.datasets.rows import RowError
from vllm_quality.datasets.stored_completions import Parts, is_stored, messages_of, metadata_of, parts_of

_TIMES = (
    *("created", "created_at", "timestamp", "@timestamp", "time", "ts", "datetime", "date"),
    *("request_time", "request_timestamp", "start_time", "startTime", "started_at", "received_at", "logged_at"),
)
_EPOCH_UNITS = (1e17, 1e14, 1e11)  # above: nanoseconds, microseconds, milliseconds; below: seconds
_NUMBER = re.compile(r"[0-9]{9,19}(\.[0-9]+)?")
_OLDEST = 9e8  # seconds; a smaller number under one of these names is a duration


@dataclass(frozen=True)
class Record:
    """A row of traffic that could be read.

    file, line  where it is, below the source's place; of an API the completion's id and 1
    identity    tells two rows apart
    moment      when it was asked, in UTC; None where the row does not say
    facts       its metadata as texts, and the row's own plain fields where no metadata have their names
    parts       all of it: the row, and what it holds of the request and of the response
    """

    file: str
    line: int
    identity: bytes
    moment: dt.datetime | None
    facts: Mapping[str, str] = field(repr=False)
    parts: Parts = field(repr=False)

    def has(self, asked: Mapping[str, str]) -> bool:
        """Whether its facts are those that were asked for, all of them."""
        return all(self.facts.get(key) == wanted for key, wanted in asked.items())


def read_record(row: object, file: str, line: int, identity: bytes) -> Record:
    """A row of a log or of an API's list as a record. Raises `RowError` when it is no object, or its time is none."""
    if not isinstance(row, Mapping):
        raise RowError("is not an object with named fields")
    parts = parts_of(row)
    return Record(file, line, identity, _moment_of(parts), _facts(parts), parts)


def query_in(parts: Parts) -> Question:
    """The query of a row, whichever form it has; the answer behind it is left away. Raises `RowError`."""
    if is_stored(parts) or not any(isinstance(parts[0].get(name), str) for name in PROMPT_NAMES):
        question = Dialogue(messages_of(parts)).check().question()
    else:
        question = understand("prompt_response", parts[0], Columns()).question()
    return Question(question.messages)


def _moment_of(parts: Parts) -> dt.datetime | None:
    """When a row was written: seconds, milli-, micro- or nanoseconds since 1970, or ISO 8601, in UTC where it names no zone."""
    for part in parts:
        for name in _TIMES:
            value = part.get(name)
            if value is not None and (found := _moment(value, name)) is not None:
                return found
    return None


def _moment(value: object, name: str) -> dt.datetime | None:
    try:
        if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
            # Of digits alone only 20261121 is a date: fromisoformat takes the first ones of any number for a year.
            text = value.strip()
            found = dt.datetime.fromisoformat(text if len(text) == 8 or not text.isdecimal() else "")
            return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
        if isinstance(value, str | int | float):
            seconds = float(value)
            power = next((3 - at for at, limit in enumerate(_EPOCH_UNITS) if seconds >= limit), 0)
            return dt.datetime.fromtimestamp(seconds / 1000**power, dt.UTC) if seconds >= _OLDEST else None
    except (ValueError, OverflowError, OSError):
        pass
    raise RowError(f"has {name!r} that is no time")


def _facts(parts: Parts) -> dict[str, str]:
    facts: dict[str, str] = {}
    for part in (*reversed(parts), metadata_of(parts)):
        facts |= {name: _as_text(value) for name, value in part.items() if isinstance(value, str | int | float)}
    return facts


def _as_text(value: str | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
