"""Rows of data, good and bad. No reason quotes a row's content: it may be private."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import polars as pl

# Bad rows as a table: where they are and why, never what they say.
QUARANTINE_SCHEMA: Mapping[str, pl.DataType] = {
    "dataset": pl.String(),
    "file": pl.String(),
    "line": pl.Int64(),
    "why": pl.String(),
}
LONGEST_ROW = 16 * 2**20  # bytes


@dataclass(frozen=True)
class BadRow:
    """A row that was left out: where it is and why."""

    file: str
    line: int
    why: str


class RowError(Exception):
    """Why a row cannot be used; whoever reads the rows makes a `BadRow` of it."""


def parse_json(text: str) -> Any:
    """JSON as RFC 8259 has it. Raises `RowError`."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise RowError(f"is not JSON: {error.msg[0].lower()}{error.msg[1:]} at column {error.colno}") from None
    except RecursionError:
        raise RowError("is nested too deeply") from None
    except ValueError as error:  # NaN, or an integer of thousands of digits
        raise RowError(f"is not JSON: {str(error)[:60]}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def too_long() -> RowError:
    """The reason of a row above `LONGEST_ROW`."""
    return RowError(f"is longer than {LONGEST_ROW // 2**20} MiB")


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8: JSON and CSV readers can yield half of a surrogate pair."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
