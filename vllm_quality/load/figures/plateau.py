"""Where throughput stops rising with the load.

Below saturation throughput follows the load; beyond it, it does not: over concurrency the streams wait for each other,
over a rate the queue grows. The bend is found by least squares: for every way to split the ladder in two, a rising power of
the load is fitted to the lower part and a constant to the upper one, in logarithms, so that an error of 5 % weighs the same
at every load. Saturation is reported only where there is evidence beyond the bend.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import polars as pl

from vllm_quality.load.figures.goodput import origin_of
from vllm_quality.load.figures.in_flight import in_flight
from vllm_quality.load.figures.metrics import last_end_s
from vllm_quality.load.figures.steady import busy_window
from vllm_quality.load.result import Plateau

Over = Literal["concurrency", "rate"]

_BEYOND = 1.5  # the highest load must be so many times the bend's
_LEAST_SHORTFALL = 0.10  # of an offered rate, that is not served
_FLAT = 0.12  # d log throughput / d log load of a plateau: 5 % more for 1.5 times the load
_NEAR = 0.1  # a load this close to the bend, in logarithms, is on the plateau
_ALMOST_LINEAR, _LEAST_SLOPE = 0.85, 0.3
_MODEL_VARIANCE = 0.005
_ON_LEVEL = 0.9  # of the plateau's height: a stage below it, at its beginning, is still on the rise
_HELD = 0.85  # of its middle: stages below it, at its end, are beyond what the server sustains


@dataclass(frozen=True)
class LoadPoint:
    """A stage of a ladder, over its busy window (`steady.busy_window`): queues that grow do not matter here.

    load            streams in flight, or requests/s asked for
    offered_per_s   requests that began
    requests_per_s, output_tokens_per_s   what ended ok
    in_flight       on average over the window: its root is by how much what began and what ended differ by chance
    length_s        of the window
    """

    load: float
    offered_per_s: float
    requests_per_s: float
    output_tokens_per_s: float
    in_flight: float
    length_s: float


def load_point(load: float, frame: pl.DataFrame, *, open_loop: bool) -> LoadPoint:
    """A stage's place in the ladder. frame: `records.RECORD_SCHEMA`."""
    import numpy as np

    start, end = busy_window(frame, open_loop=open_loop) or (0.0, last_end_s(frame))
    length = end - start
    began = frame.with_columns(origin=origin_of(open_loop=open_loop))
    ended = frame.filter(pl.col("end_s").is_between(start, end, closed="right"), pl.col("outcome") == "ok")
    within = began.filter(pl.col("origin").is_between(start, end, closed="right")).height
    if length <= 0:
        return LoadPoint(load, 0.0, 0.0, 0.0, 0.0, 0.0)
    tokens = float(ended["output_tokens"].sum())
    level = float(in_flight(frame).means(np.array([start, end]))[0])
    return LoadPoint(load, within / length, ended.height / length, tokens / length, level, length)


def find_plateau(points: Sequence[LoadPoint], over: Over) -> Plateau:
    """The plateau of a ladder, or that it was not reached.

    points: rising loads, at least one. Raises `ValueError` without one.
    """
    if not points:
        raise ValueError("a plateau needs at least one stage")
    points = sorted(points, key=lambda point: point.load)
    knee, first = _knee_of_rates(points) if over == "rate" else _knee_of_streams(points)
    highest = points[-1]
    if knee is None:
        return Plateau(
            over=over,
            reached=False,
            knee=None,
            highest_load=highest.load,
            requests_per_s=highest.requests_per_s,
            output_tokens_per_s=highest.output_tokens_per_s,
            sentence=f"Saturation was not reached by {_told(highest.load, over)}, at {highest.requests_per_s:.3g} completed "
            f"requests/s and {highest.output_tokens_per_s:.4g} output tokens/s.",
        )
    flat = _sustained(points[first:])
    length = sum(point.length_s for point in flat)
    requests, tokens = (
        sum(getattr(point, name) * point.length_s for point in flat) / length
        for name in ("requests_per_s", "output_tokens_per_s")
    )
    falls = highest.requests_per_s < 0.85 * requests
    after = f" It falls to {highest.requests_per_s:.3g} requests/s at {_told(highest.load, over)}." if falls else ""
    return Plateau(
        over=over,
        reached=True,
        knee=knee,
        highest_load=highest.load,
        requests_per_s=requests,
        output_tokens_per_s=tokens,
        sentence=f"Saturated from about {_told(knee, over)} on, at {requests:.3g} completed requests/s and {tokens:.4g} "
        f"output tokens/s.{after}",
    )


def stop_here(points: Sequence[LoadPoint], over: Over) -> bool:
    """Whether the plateau is so plain already that no higher load has to be tried."""
    return bool(points) and find_plateau(points, over).reached


def _told(load: float, over: Over) -> str:
    return f"{load:.3g} {'streams' if over == 'concurrency' else 'requests/s'}"


def _sustained(flat: Sequence[LoadPoint]) -> Sequence[LoadPoint]:
    """The points beyond the bend, without those at the end that fall: far beyond it a server may get slower again."""
    middle = median(point.requests_per_s for point in flat)
    last = max(place for place, point in enumerate(flat) if point.requests_per_s >= _HELD * middle)
    return flat[: last + 1]


def _knee_of_rates(points: Sequence[LoadPoint]) -> tuple[float | None, int]:
    """(the rate that is served however much is offered, the first point that is above it); the first is None if not reached.

    Whether a rate is carried needs no curve: what was offered and not served is missing.
    """
    short = [_falls_short(point) for point in points]
    if not short[-1]:
        return None, len(points)
    first = len(points) - next((back for back, is_short in enumerate(reversed(short)) if not is_short), len(points))
    held = _sustained(points[first:])
    return sum(p.requests_per_s * p.length_s for p in held) / sum(p.length_s for p in held), first


def _falls_short(point: LoadPoint) -> bool:
    # Random arrivals are now more, now fewer than the rate; neither is the server's doing.
    offered = min(point.offered_per_s, point.load) * point.length_s
    missing = offered - point.requests_per_s * point.length_s
    # Even a server that keeps up ends a few more or fewer than began.
    return missing > max(_LEAST_SHORTFALL * offered, 4 * math.sqrt(point.in_flight))


def _knee_of_streams(points: Sequence[LoadPoint]) -> tuple[float | None, int]:
    """(the streams from which on throughput is flat, the first point on the plateau); the first is None if not reached."""
    served = [point for point in points if point.requests_per_s > 0]
    known = [(math.log(p.load), math.log(p.requests_per_s), _weight(p)) for p in served]
    best: tuple[float, float, int] | None = None
    for split in range(1, len(known)):
        slope, start = _rising_line(known[max(0, split - 3) : split])
        flat = known[split : split + len(_sustained(served[split:]))]
        top = _mean(1, flat)
        chance = 1 / math.sqrt(served[split].requests_per_s * served[split].length_s)
        if flat[0][1] < top + math.log(_ON_LEVEL) - chance:
            continue
        error = sum(weight * (y - min(start + slope * x, top)) ** 2 for x, y, weight in known[:split])
        error += sum(weight * (y - min(start + slope * x, top)) ** 2 for x, y, weight in flat)
        if best is None or error < best[0]:
            # A stage on the level is not below the bend, wherever noise lets the line meet the level.
            best = error, min((top - start) / slope, flat[0][0]), split
    if best is None:
        return None, len(points)
    _, knee, split = best
    beyond = [point for point in known if point[0] >= knee - _NEAR]
    if known[-1][0] < knee + math.log(_BEYOND) or len(beyond) < 2 or _slope(beyond) > _FLAT:
        return None, len(points)
    return math.exp(knee), split + len(points) - len(known)


_At = tuple[float, float, float]
"""Logarithms of load and throughput, and the weight."""


def _weight(point: LoadPoint) -> float:
    """1 / variance: a throughput told from n requests is off by 1 / sqrt(n) or so, and the model by a few per cent."""
    return 1 / (1 / (point.requests_per_s * point.length_s) + _MODEL_VARIANCE)


def _rising_line(rising: Sequence[_At]) -> tuple[float, float]:
    """(exponent, logarithm of the throughput at load 1) of throughput below saturation.

    Streams that do not hinder each other have an exponent of 1; a batch that gets slower as it grows has less. It takes
    three points to tell, and a difference that is more than noise.
    """
    slope = _slope(rising) if len(rising) > 2 else 1.0
    slope = 1.0 if slope > _ALMOST_LINEAR else max(slope, _LEAST_SLOPE)
    return slope, _mean(1, rising) - slope * _mean(0, rising)


def _mean(axis: int, points: Sequence[_At]) -> float:
    return sum(point[axis] * point[2] for point in points) / sum(point[2] for point in points)


def _slope(points: Sequence[_At]) -> float:
    x, y = _mean(0, points), _mean(1, points)
    spread = sum(point[2] * (point[0] - x) ** 2 for point in points)
    return sum(point[2] * (point[0] - x) * (point[1] - y) for point in points) / spread if spread else 0.0
