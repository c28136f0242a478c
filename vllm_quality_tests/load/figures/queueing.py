"""A server in numbers: so many requests at once, first come first served. What a load engine would record of it."""

import heapq
import random
from collections.abc import Callable, Sequence

import polars as pl

from vllm_quality.load.figures.records import RECORD_SCHEMA

Service = Callable[[random.Random], float]
TTFT_S = 0.05
TOKENS = 20


def even(seconds: float = 1.0) -> Service:
    """Every request takes the same time."""
    return lambda _: seconds


def noisy(seconds: float = 1.0, spread: float = 0.3) -> Service:
    """Lognormal with this mean and, about, this coefficient of variation."""
    return lambda source: seconds * source.lognormvariate(-spread * spread / 2, spread)


def exponential(seconds: float = 1.0) -> Service:
    """As in M/M/c."""
    return lambda source: source.expovariate(1 / seconds)


def poisson(rate: float, duration_s: float, source: random.Random) -> list[float]:
    """Arrivals of an open loop."""
    times, now = [], source.expovariate(rate)
    while now < duration_s:
        times.append(now)
        now += source.expovariate(rate)
    return times


def constant(rate: float, duration_s: float) -> list[float]:
    """Even arrivals."""
    return [index / rate for index in range(int(rate * duration_s))]


def open_loop(arrivals: Sequence[float], slots: int | None, service: Service, source: random.Random) -> pl.DataFrame:
    """Requests that are due at these times."""
    free = [0.0] * (slots or 0)
    rows = []
    for due in arrivals:
        start = max(due, heapq.heappop(free)) if slots else due
        length = service(source)
        if slots:
            heapq.heappush(free, start + length)
        rows.append((due, start, start + length))
    return frame(rows, due=True)


def closed_loop(
    streams: int,
    slots: int | None,
    service: Service,
    source: random.Random,
    *,
    requests: int,
    spread_s: float = 1.0,
) -> pl.DataFrame:
    """Streams that each send their next request when their last one has ended, until so many were sent."""
    ready = [stream * spread_s / streams for stream in range(streams)]
    free = [0.0] * (slots or 0)
    rows = []
    for _ in range(requests):
        sent = heapq.heappop(ready)
        start = max(sent, heapq.heappop(free)) if slots else sent
        end = start + service(source)
        if slots:
            heapq.heappush(free, end)
        heapq.heappush(ready, end + 1e-4)
        rows.append((sent, start, end))
    return frame(rows, due=False)


def frame(rows: Sequence[tuple[float, float, float]], *, due: bool) -> pl.DataFrame:
    """(sent, taken up by the server, ended) of each request, as the records of a stage."""
    sent, start, end = (
        pl.Series(values, dtype=pl.Float64) for values in (zip(*rows, strict=True) if rows else [[]] * 3)
    )
    first = pl.Series([min(a + TTFT_S, b) for a, b in zip(start, end, strict=True)], dtype=pl.Float64)
    count = len(sent)
    columns = {
        "scenario": ["queue"] * count,
        "stage": ["stage"] * count,
        "request_index": range(count),
        "due_s": sent if due else pl.Series([None] * count, dtype=pl.Float64),
        "sent_s": sent,
        "headers_s": first,
        "first_token_s": first,
        "last_token_s": end,
        "end_s": end,
        "prompt_tokens": [10] * count,
        "output_tokens": [TOKENS] * count,
        "outcome": ["ok"] * count,
        "http_status": [200] * count,
        "error": [""] * count,
        "item": [""] * count,
        "dispatched_s": sent,
        "chunks": [TOKENS] * count,
        "counted": [True] * count,
        "session": range(count),
        "turn": [0] * count,
        "lap": [0] * count,
        "asked_tokens": [TOKENS] * count,
        "itl_values": [TOKENS - 1] * count,
        "chunk_values": [TOKENS - 1] * count,
    }
    told = pl.DataFrame({name: pl.Series(name, values) for name, values in columns.items()})
    return told.select(pl.col(name).cast(dtype) for name, dtype in RECORD_SCHEMA.items())
