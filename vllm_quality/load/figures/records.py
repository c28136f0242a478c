"""What a stage left behind, one row per request and one number per token, kept in columns and files.

A request costs about 130 bytes of memory, whatever its length. Its inter-token times go to a file, 4 bytes each, so that a
million requests of 200 tokens are 130 MB in memory and 800 MB on disk. Each worker process keeps its own records and hands
over the names of its files; `merge_records` puts them together.
"""

import math
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from operator import sub
from pathlib import Path
from typing import Any

import polars as pl

from vllm_quality.load.figures.gap_file import GapFile, gather
from vllm_quality.load.result import Gaps
from vllm_quality.load.tape import Entry
from vllm_quality.load.wire.answer import Answer
from vllm_quality.load.wire.exchange import OUTCOMES, Exchange
from vllm_quality.results.rows import REQUEST_SCHEMA

# What the figures need beyond the stored table.
#   dispatched_s   when the client took the request up, before it looked for a connection
#   chunks         events that brought tokens           counted        the server itself counted the output tokens
#   session, turn  of a conversation                    lap            how often the tape's requests had been sent before
#   asked_tokens   the length of answer asked for
#   itl_values, chunk_values   how many of the stage's `Gaps` are this request's; 0 unless it ended ok
RECORD_SCHEMA: dict[str, pl.DataType] = {
    **REQUEST_SCHEMA,
    "dispatched_s": pl.Float64(),
    "chunks": pl.UInt32(),
    "counted": pl.Boolean(),
    "session": pl.UInt32(),
    "turn": pl.UInt16(),
    "lap": pl.UInt32(),
    "asked_tokens": pl.UInt32(),
    "itl_values": pl.UInt32(),
    "chunk_values": pl.UInt32(),
}
TEXT_SCHEMA: dict[str, pl.DataType] = {"request_index": pl.UInt32(), "text": pl.String()}

_CLOCKS = ("due_s", "dispatched_s", "sent_s", "headers_s", "first_token_s", "last_token_s", "end_s")
_OPTIONAL = ("prompt_tokens", "output_tokens", "http_status")
_COUNTS = ("request_index", "chunks", "session", "turn", "lap", "asked_tokens", "itl_values", "chunk_values")
_PLACE: dict[str, pl.DataType] = {"shard": pl.UInt32(), "itl_at": pl.UInt64(), "gap_at": pl.UInt64()}
_OWN_GAPS = pl.col("itl_values") != pl.col("chunk_values")
_UNKNOWN = 2**32 - 1
_MOST_TEXT = 64 * 2**20
_MOST_TOKENS = 10**7  # an answer of more is an error of the server's count
_SLICE = 65_536  # rows at a time from the columns to a frame: texts as objects cost more than all else


@dataclass(frozen=True)
class RecordsFiles:
    """The files that one worker's share of a stage left. All in one folder.

    frame   Arrow IPC, `RECORD_SCHEMA`, in the order in which the requests were added
    itl     float32 values in the same order: `itl_values` of them for each row
    gap     float32 values: the gaps between events, `chunk_values` of them for each row whose events after its first did
            not all bring one token (then `itl_values` differs); for the others the two are the same and stand in `itl`
    texts   Arrow IPC, `TEXT_SCHEMA`: what the answers said whose tokens the server did not count
    """

    frame: str
    itl: str
    gap: str
    texts: str

    def as_json(self) -> dict[str, str]:
        """A dictionary that `json.dumps` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, str]) -> "RecordsFiles":
        """The inverse of `as_json`."""
        return cls(**stored)


class Records:
    """One worker's share of a stage."""

    def __init__(self, scenario: str, stage: str, start: float, folder: Path) -> None:
        """start: `perf_counter` seconds of the stage's start; the frame's clocks count from there.

        folder: exists; files named after the stage are put there, and no other records of a stage of that name.
        """
        self._scenario, self.stage, self._start, self._folder = scenario, stage, start, folder
        self._clocks = {name: array("d") for name in _CLOCKS}
        self._optional = {name: array("I") for name in _OPTIONAL}
        self._counts = {name: array("I") for name in _COUNTS}
        self._counted, self._outcomes = array("B"), array("B")
        self._items, self._item_ends = bytearray(), array("Q")
        self._errors: dict[int, str] = {}
        self._texts: dict[int, bytes] = {}
        self._text_room = _MOST_TEXT
        self._itl, self._gap = GapFile(folder / f"{stage}.itl.f32"), GapFile(folder / f"{stage}.gap.f32")

    def __len__(self) -> int:
        return len(self._outcomes)

    def add(self, entry: Entry, exchange: Exchange, answer: Answer) -> None:
        """Keep one ended request."""
        times, ok = answer.token_times, answer.outcome == "ok"
        itl_values, chunk_values = self._add_gaps(times, answer.chunk_tokens) if ok else (0, 0)
        clocks = (
            exchange.due,
            exchange.dispatched,
            exchange.sent,
            exchange.headers,
            times[0] if times else None,
            times[-1] if times else None,
            exchange.end,
        )
        for times_of, clock in zip(self._clocks.values(), clocks, strict=True):
            times_of.append(math.nan if clock is None else clock - self._start)
        prompt_tokens = answer.prompt_tokens if answer.prompt_tokens is not None else entry.prompt_tokens
        optional = (prompt_tokens, answer.output_tokens, exchange.status)
        for numbers, number in zip(self._optional.values(), optional, strict=True):
            # A count that no server can mean is as good as none.
            numbers.append(number if number is not None and 0 <= number < _UNKNOWN else _UNKNOWN)
        counts = (
            exchange.index,
            len(times),
            entry.session,
            entry.turn,
            exchange.lap,
            entry.output_tokens,
            itl_values,
            chunk_values,
        )
        for numbers, count in zip(self._counts.values(), counts, strict=True):
            numbers.append(count)
        if answer.error:
            self._errors[len(self)] = answer.error
        self._counted.append(answer.usage)
        self._outcomes.append(OUTCOMES.index(answer.outcome))
        self._items += entry.item.encode()
        self._item_ends.append(len(self._items))
        if ok and not answer.usage:
            self._keep_text(exchange.index, b"".join(answer.pieces))

    def _add_gaps(self, times: "array[float]", chunk_tokens: list[int]) -> tuple[int, int]:
        """How many inter-token latencies and how many gaps between events the answer has."""
        gaps = map(sub, islice(times, 1, None), times)
        events = max(0, len(times) - 1)
        later = chunk_tokens[1:]
        if not later or max(later) == 1 or sum(later) > _MOST_TOKENS:
            self._itl.extend(gaps)
            return events, events
        each = list(gaps)
        self._gap.extend(each)
        for gap, tokens in zip(each, later, strict=True):
            self._itl.extend([gap / tokens] * tokens)
        return sum(later), events

    def _keep_text(self, index: int, text: bytes) -> None:
        if text and len(text) <= self._text_room:
            self._text_room -= len(text)
            self._texts[index] = text

    def frame(self) -> pl.DataFrame:
        """One row per request in the order in which they were added; columns as in `RECORD_SCHEMA`."""
        slices = [self._rows(start, min(start + _SLICE, len(self))) for start in range(0, len(self), _SLICE)]
        return pl.concat([pl.DataFrame(schema=RECORD_SCHEMA), *slices], rechunk=True)

    def _rows(self, start: int, end: int) -> pl.DataFrame:
        ends = self._item_ends[start:end]
        begins = [self._item_ends[start - 1] if start else 0, *ends[:-1]]
        columns: dict[str, Any] = {
            "scenario": [self._scenario] * (end - start),
            "stage": [self.stage] * (end - start),
            **{name: column[start:end] for name, column in (self._clocks | self._optional | self._counts).items()},
            "counted": self._counted[start:end],
            "outcome": [OUTCOMES[code] for code in self._outcomes[start:end]],
            "error": [self._errors.get(row, "") for row in range(start, end)],
            "item": [self._items[a:b].decode() for a, b in zip(begins, ends, strict=True)],
        }
        known = pl.DataFrame({name: pl.Series(name, values) for name, values in columns.items()}).with_columns(
            *(pl.col(name).fill_nan(None) for name in _CLOCKS),
            *(pl.when(pl.col(name) != _UNKNOWN).then(pl.col(name)).alias(name) for name in _OPTIONAL),
        )
        return known.select(pl.col(name).cast(dtype) for name, dtype in RECORD_SCHEMA.items())

    def finish(self) -> RecordsFiles:
        """Write everything; the files. Nothing may be added after it."""
        frame, texts = self._folder / f"{self.stage}.arrow", self._folder / f"{self.stage}.texts.arrow"
        self.frame().write_ipc(frame)
        said = [text.decode("utf-8", "replace") for text in self._texts.values()]
        pl.DataFrame({"request_index": list(self._texts), "text": said}, schema=TEXT_SCHEMA).write_ipc(texts)
        return RecordsFiles(str(frame), str(self._itl.close()), str(self._gap.close()), str(texts))


def merge_records(files: Sequence[RecordsFiles]) -> tuple[pl.DataFrame, Gaps]:
    """(frame, gaps) of a stage, from the files that its workers left: exactly as if one worker had played it all.

    Both are in the order of `request_index`: the first `itl_values` of `Gaps.itl` are those of the frame's first row, and
    so on. The gaps are copied into a file without a name beside the first one's, and mapped from there, so that what this
    takes of memory is the frame, whatever the number of tokens. The workers' own files are left as they are.
    """
    parts = [_shard(number, shard) for number, shard in enumerate(files)]
    rows = pl.concat([pl.DataFrame(schema=RECORD_SCHEMA | _PLACE), *parts]).sort("request_index")
    folder = Path(files[0].frame).parent if files else Path(tempfile.gettempdir())
    itl_files, gap_files = [shard.itl for shard in files], [shard.gap for shard in files]
    itl = gather(folder, itl_files, rows.select("shard", "itl_at", "itl_values"))
    if (rows["itl_values"] == rows["chunk_values"]).all():
        return rows.select(RECORD_SCHEMA.keys()), Gaps(itl, itl)
    of_events = rows.select(
        pl.when(_OWN_GAPS).then(pl.col("shard") + len(files)).otherwise("shard"),
        pl.when(_OWN_GAPS).then("gap_at").otherwise("itl_at"),
        "chunk_values",
    )
    return rows.select(RECORD_SCHEMA.keys()), Gaps(itl, gather(folder, [*itl_files, *gap_files], of_events))


def _shard(number: int, files: RecordsFiles) -> pl.DataFrame:
    """A worker's rows, and where the values of each begin in its files."""
    itl, chunk = pl.col("itl_values").cast(pl.UInt64), pl.col("chunk_values").cast(pl.UInt64)
    own = pl.when(_OWN_GAPS).then(chunk).otherwise(0)
    rows = pl.read_ipc(files.frame).with_columns(
        shard=pl.lit(number), itl_at=itl.cum_sum() - itl, gap_at=own.cum_sum() - own
    )
    return rows.select(pl.col(name).cast(dtype) for name, dtype in (RECORD_SCHEMA | _PLACE).items())


def requests_table(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of the `requests` table."""
    return frame.select(REQUEST_SCHEMA.keys())
