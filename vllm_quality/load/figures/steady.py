"""The steady window of a stage: when its load was on in full, neither coming up nor draining, and did not pile up.

Closed loop: from when 95 % of the streams are busy to when they last are, as in vLLM's Rust bench. Open loop: from when the
first requests have ended, so that the number in flight has come up, to when the last one is due. There the load must
also be carried: where arrivals, requests in flight or TTFT have a trend, the figures depend on how long one looks.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from vllm_quality.load.figures.goodput import origin_of
from vllm_quality.load.figures.in_flight import in_flight

if TYPE_CHECKING:
    import numpy as np

    Values = np.ndarray[Any, Any]

Window = tuple[float, float]

_BUSY_SHARE = 0.95
_LEAST_REQUESTS = 10
_FIRST_SHARE, _FIRST_REQUESTS = 0.05, 5
_BINS = 10
_T_995 = 3.355  # Student's t, 99 % two-sided, for the slope through 10 points
_MATERIAL = 0.25
_MATERIAL_TTFT_S = 0.005


@dataclass(frozen=True)
class Trend:
    """A line through a stage's course: its value at the window's start and end."""

    start: float
    end: float

    @property
    def rose(self) -> float:
        """By how much."""
        return self.end - self.start


def busy_window(frame: pl.DataFrame, *, open_loop: bool) -> Window | None:
    """When the load was on in full, whether or not the server carried it; None where it never was.

    frame: one stage, `records.RECORD_SCHEMA`.
    """
    if not open_loop:
        window = in_flight(frame).busy(_BUSY_SHARE)
    else:
        origin = frame.select(origin=origin_of(open_loop=True), end="end_s").drop_nulls().sort("origin")
        if not origin.height:
            return None
        first = origin["end"].head(max(_FIRST_REQUESTS, int(_FIRST_SHARE * origin.height)))
        # One of them that hangs must not take the whole stage with it.
        window = first.quantile(0.8, "nearest") or 0.0, origin["origin"][-1]
    return window if window is not None and window[1] > window[0] else None


def steady_window(frame: pl.DataFrame, *, open_loop: bool) -> tuple[Window | None, str | None]:
    """(the steady window in seconds from the stage's start, None), or (None, why there is none)."""
    window = busy_window(frame, open_loop=open_loop)
    if window is None:
        return None, "the stage was over before its load was on in full"
    start, end = window
    inside = frame.with_columns(origin=origin_of(open_loop=open_loop)).filter(pl.col("origin").is_between(start, end))
    if inside.height < _LEAST_REQUESTS:
        return None, f"only {inside.height} requests began while the load was on in full; {_LEAST_REQUESTS} are needed"
    if open_loop and (reason := _unsteady(frame, inside, window)) is not None:
        return None, reason
    ok = inside.filter(pl.col("outcome") == "ok")
    e2e = ok.select(pl.coalesce("last_token_s", "end_s") - pl.col("origin")).to_series().mean()
    if isinstance(e2e, float) and end - start < 2 * e2e:
        return None, (
            f"the load was on in full for {end - start:.3g} s only, less than twice the {e2e:.3g} s that a request took"
        )
    return window, None


def queue_growth(frame: pl.DataFrame, window: Window | None = None) -> Trend | None:
    """How the requests in flight rose over an open loop's busy window; None where they did not, or nobody can tell.

    A rise counts when the slope's 99 % confidence interval is above 0 and it is more than what the arrivals' own
    randomness makes of a level (a quarter of it, and three times its root).
    """
    if window is None:
        window = busy_window(frame, open_loop=True)
    if window is None or frame.height < _LEAST_REQUESTS:
        return None
    trend = _trend(in_flight(frame).means(_edges(window)))
    if trend is None:
        return None
    level = max(0.0, (trend.start + trend.end) / 2)
    return trend if trend.rose > max(3.0, _MATERIAL * level, 3 * level**0.5) else None


def _unsteady(frame: pl.DataFrame, inside: pl.DataFrame, window: Window) -> str | None:
    import numpy as np

    edges = _edges(window)
    counts, _ = np.histogram(inside["origin"].to_numpy(), edges)
    bin_s = (window[1] - window[0]) / _BINS
    load = _trend(counts / bin_s)
    # Even a constant rate's count in a bin is off by its root where arrivals are random.
    chance = 3 * float(np.sqrt(counts.mean())) / bin_s
    if load is not None and abs(load.rose) > max(_MATERIAL * min(load.start, load.end), chance):
        went = "rose" if load.rose > 0 else "fell"
        return f"the load itself {went}, from about {max(load.start, 0.0):.3g} to {max(load.end, 0.0):.3g} requests/s"
    queue = queue_growth(frame, window)
    if queue is not None:
        return f"the queue grew, from about {max(queue.start, 0.0):.0f} to {queue.end:.0f} requests in flight"
    ttft = _ttft_trend(inside, edges)
    if ttft is not None and ttft.rose > max(_MATERIAL * ttft.start, _MATERIAL_TTFT_S):
        return f"TTFT rose, from about {max(ttft.start, 0.0) * 1000:.3g} to {ttft.end * 1000:.3g} ms"
    return None


def _ttft_trend(inside: pl.DataFrame, edges: "Values") -> Trend | None:
    import numpy as np

    ok = inside.filter(pl.col("outcome") == "ok")
    bins = np.clip(np.searchsorted(edges, ok["origin"].to_numpy(), side="right") - 1, 0, _BINS - 1)
    ttft = ok.select(pl.coalesce("first_token_s", "end_s") - pl.col("origin")).to_series()
    medians = pl.DataFrame({"bin": bins, "ttft": ttft}).group_by("bin").agg(pl.col("ttft").median()).sort("bin")
    return _trend(medians["ttft"].to_numpy()) if medians.height == _BINS else None


def _edges(window: Window) -> "Values":
    import numpy as np

    return np.linspace(*window, _BINS + 1)


def _trend(levels: "Values") -> Trend | None:
    """The line through equally spaced levels; None where its slope's confidence interval holds 0."""
    import numpy as np

    at = (np.arange(_BINS) + 0.5) / _BINS
    slope, start = np.polyfit(at, levels, 1)
    rest = levels - (start + slope * at)
    error = np.sqrt((rest @ rest) / (_BINS - 2) / ((at - at.mean()) @ (at - at.mean())))
    return Trend(float(start), float(start + slope)) if abs(slope) > _T_995 * error else None
