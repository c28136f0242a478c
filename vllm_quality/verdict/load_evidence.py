"""A scenario's requests in this release and in earlier runs: request i of one beside request i of the others."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from vllm_quality.verdict.statistics.latency import Runs, of_figures, of_requests
from vllm_quality.verdict.types import Detector

_CLOCK = re.compile(r"(?P<clock>ttft|tpot|e2e|ntpot)_(?P<statistic>mean|p\d\d)_s")


def runs_of(
    metric: str,
    value: float,
    requests: pl.DataFrame | None,
    earlier: Sequence[tuple[float, pl.DataFrame | None]],
) -> tuple[Runs, Detector] | None:
    """A figure of this release and of earlier runs, with what its requests say of its error; None where it has no logarithm.

    earlier  the figure and the requests of the runs before, the newest first
    """
    _, scenario, stage, name = (*metric.split("/", 3), "", "")[:4]
    clock = _CLOCK.fullmatch(name)
    if clock is not None:
        share = None if clock["statistic"] == "mean" else int(clock["statistic"][1:]) / 100
        now = _clock(requests, scenario, stage, clock["clock"])
        then = [_clock(own, scenario, stage, clock["clock"]) for _, own in reversed(earlier)]
        found = _aligned([values for values in then if values], now, share)
        if found is not None:
            return found, "requests"
    figures = of_figures([figure for figure, _ in reversed(earlier)], value)
    return None if figures is None else (figures, "runs")


def clocks(requests: pl.DataFrame) -> pl.DataFrame:
    """request_index, origin and ttft, tpot, e2e, ntpot in seconds of the requests that succeeded (`load/figures/metrics.py` defines them).

    A request counts from when it was due; where nothing was due (closed loop), from its sending.
    """
    origin, first, last = pl.coalesce("due_s", "sent_s"), pl.col("first_token_s"), pl.col("last_token_s")
    tokens = pl.col("output_tokens").cast(pl.Float64)
    e2e: Any = pl.coalesce(last, "end_s") - origin
    return requests.filter(pl.col("outcome") == "ok").select(
        "request_index",
        origin=origin,
        ttft=first - origin,
        tpot=pl.when((tokens > 1) & (last > first)).then((last - first) / (tokens - 1)),
        e2e=e2e,
        ntpot=pl.when(tokens > 0).then(e2e / tokens),
    )


def _aligned(then: Sequence[Mapping[int, float]], now: Mapping[int, float], share: float | None) -> Runs | None:
    """Request i of one run beside request i of the others, as far as all of them played the tape."""
    import numpy as np

    if not then or not now:
        return None
    length = min(max(values) for values in (*then, now)) + 1
    rows = [np.array([values.get(index, math.nan) for index in range(length)]) for values in (*then, now)]
    return of_requests(rows[:-1], rows[-1], share)


def _clock(requests: pl.DataFrame | None, scenario: str, stage: str, name: str) -> dict[int, float]:
    """Request number -> one clock's value, of those that succeeded."""
    if requests is None:
        return {}
    values = clocks(requests.filter((pl.col("scenario") == scenario) & (pl.col("stage") == stage)))
    return dict(values.select("request_index", name).drop_nulls().iter_rows())
