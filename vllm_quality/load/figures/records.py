"""What a stage left behind, one row per request and one number per token, kept in columns.

A request costs about 150 bytes and a token 4, so that a million requests of 200 tokens fit in a gigabyte.
"""

import math
from array import array
from collections.abc import Iterable
from itertools import islice
from operator import sub
from typing import Any

import polars as pl

from vllm_quality.load.tape import Entry
from vllm_quality.load.wire.answer import Answer
from vllm_quality.load.wire.exchange import Exchange
from vllm_quality.results.rows import REQUEST_SCHEMA

# What the figures need beyond the stored table. dispatched_s: when the client took the request up, before it looked for a
# connection. chunks: events that brought tokens. counted: the server itself counted the output tokens.
RECORD_SCHEMA: dict[str, pl.DataType] = {
    **REQUEST_SCHEMA,
    "dispatched_s": pl.Float64(),
    "chunks": pl.UInt32(),
    "counted": pl.Boolean(),
}
_CLOCKS = ("due_s", "dispatched_s", "sent_s", "headers_s", "first_token_s", "last_token_s", "end_s")
_NUMBERS = ("prompt_tokens", "output_tokens", "http_status")
_UNKNOWN = -1


class Records:
    """One stage's requests. `itl_s`: the inter-token latencies of those that succeeded, seconds, see `metrics`."""

    def __init__(self, scenario: str, stage: str, start: float) -> None:
        """start: `perf_counter` seconds of the stage's start; the frame's clocks count from there."""
        self._scenario, self.stage, self._start = scenario, stage, start
        self._clocks = {name: array("d") for name in _CLOCKS}
        self._numbers = {name: array("q") for name in _NUMBERS}
        self._index, self._chunks, self._counted = array("L"), array("L"), array("B")
        self._outcomes: list[str] = []
        self._errors: list[str] = []
        self._items: list[str] = []
        self.itl_s = array("f")

    def add(self, entry: Entry, exchange: Exchange, answer: Answer) -> None:
        """Keep one ended request."""
        times = answer.token_times
        clocks = {
            "due_s": exchange.due,
            "dispatched_s": exchange.dispatched,
            "sent_s": exchange.sent,
            "headers_s": exchange.headers,
            "first_token_s": times[0] if times else None,
            "last_token_s": times[-1] if times else None,
            "end_s": exchange.end,
        }
        for name, clock in clocks.items():
            self._clocks[name].append(math.nan if clock is None else clock - self._start)
        prompt_tokens = answer.prompt_tokens if answer.prompt_tokens is not None else entry.prompt_tokens
        numbers = {
            "prompt_tokens": prompt_tokens,
            "output_tokens": answer.output_tokens,
            "http_status": exchange.status,
        }
        for name, number in numbers.items():
            self._numbers[name].append(_UNKNOWN if number is None else number)
        self._index.append(exchange.index)
        self._chunks.append(len(times))
        self._counted.append(answer.usage)
        self._outcomes.append(answer.outcome)
        self._errors.append(answer.error)
        self._items.append(entry.item)
        if answer.outcome == "ok":
            self._add_gaps(times, answer.chunk_tokens)

    def _add_gaps(self, times: "array[float]", chunk_tokens: list[int]) -> None:
        gaps = map(sub, islice(times, 1, None), times)
        if not chunk_tokens or max(chunk_tokens) == 1:
            self.itl_s.extend(gaps)
            return
        for gap, tokens in zip(gaps, islice(chunk_tokens, 1, None), strict=True):
            self.itl_s.extend([gap / tokens] * tokens)

    def frame(self) -> pl.DataFrame:
        """One row per request in the order of the tape; columns as in `RECORD_SCHEMA`."""
        rows = len(self._index)
        columns: dict[str, Iterable[Any]] = {
            "scenario": [self._scenario] * rows,
            "stage": [self.stage] * rows,
            "request_index": self._index,
            **self._clocks,
            **self._numbers,
            "outcome": self._outcomes,
            "error": self._errors,
            "item": self._items,
            "chunks": self._chunks,
            "counted": self._counted,
        }
        frame = pl.DataFrame({name: pl.Series(name, values) for name, values in columns.items()})
        known = frame.with_columns(
            *(pl.col(name).fill_nan(None) for name in _CLOCKS),
            *(pl.when(pl.col(name) != _UNKNOWN).then(pl.col(name)).alias(name) for name in _NUMBERS),
        )
        return known.select(pl.col(name).cast(dtype) for name, dtype in RECORD_SCHEMA.items()).sort("request_index")


def requests_table(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of the `requests` table."""
    return frame.select(REQUEST_SCHEMA.keys())
