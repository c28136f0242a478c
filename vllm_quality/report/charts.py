"""A stage's charts, as inline SVG. Each takes plain numbers, bounds what it draws, and says when that is not all."""

import math
from collections.abc import Sequence
from statistics import median

from vllm_quality.report.svg import Axis, Plot, Point

_MOST_DOTS = 1500
_SLOWEST_KEPT = 150
_TREND_BINS = 24


def time_tick(seconds: float) -> str:
    """A round time on an axis: "0", "500 µs", "20 ms", "1.5 s"."""
    if seconds == 0:
        return "0"
    if abs(seconds) < 0.001:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms" if abs(seconds) < 1 else f"{seconds:.4g} s"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def latency_over_time(points: Sequence[Point], failed_at: Sequence[float], label: str) -> str:
    """A dot per answered request (when, latency; both in seconds), their median in time, and failures above."""
    plot = Plot(560, 240, label)
    values = [value for _, value in points]
    last = max([at for at, _ in points] + list(failed_at), default=1.0)
    spread = max(values) > 8 * median(values) > 0 if values else False
    x = Axis(0, last or 1.0, 62, 548)
    low = min((value for value in values if value > 0), default=1e-3)
    y = (
        Axis(low * 0.9, max(values) * 1.1, 206, 34, log=True)
        if spread
        else Axis(0, max([*values, 1e-6]) * 1.06, 206, 34)
    )
    plot.grid(x, y, time_tick, time_tick)
    shown = _thinned(points)
    plot.dots(((x.at(at), y.at(value)) for at, value in shown), "accent")
    plot.path(((x.at(at), y.at(value)) for at, value in _trend(points, last)), "trend")
    plot.dots(((x.at(at), 28.0) for at in failed_at[:_MOST_DOTS]), "bad")
    legend = [("accent", "a request"), ("trend", "median")]
    if failed_at:
        legend.append(("bad", f"failed ({len(failed_at):,})"))
    plot.legend(62, 14, legend)
    if len(shown) < len(points):
        plot.text(548, 14, f"{len(shown):,} of {len(points):,} drawn, the slowest among them", "tick", "end")
    plot.text(305, 236, "since the stage began", "tick", "middle")
    return plot.render()


def _thinned(points: Sequence[Point]) -> list[Point]:
    """At most `_MOST_DOTS` points: the slowest, and every n-th of the others."""
    if len(points) <= _MOST_DOTS:
        return list(points)
    slowest = sorted(range(len(points)), key=lambda index: -points[index][1])[:_SLOWEST_KEPT]
    every = math.ceil(len(points) / (_MOST_DOTS - _SLOWEST_KEPT))
    return [points[index] for index in sorted({*slowest, *range(0, len(points), every)})]


def _trend(points: Sequence[Point], last: float) -> list[Point]:
    if len(points) < 2 * _TREND_BINS:
        return []
    bins: dict[int, list[float]] = {}
    for at, value in points:
        bins.setdefault(min(_TREND_BINS - 1, int(at / last * _TREND_BINS)) if last else 0, []).append(value)
    return [((index + 0.5) * last / _TREND_BINS, median(values)) for index, values in sorted(bins.items())]


def latency_distribution(curves: Sequence[tuple[str, Sequence[float]]], label: str) -> str:
    """The share of requests that took at most so long, a curve per clock, over a logarithmic time axis."""
    plot = Plot(560, 240, label)
    drawn = [(name, sorted(value for value in values if value > 0)) for name, values in curves]
    drawn = [(name, values) for name, values in drawn if values]
    if not drawn:
        plot.text(280, 120, "no request was answered", "tick", "middle")
        return plot.render()
    low, high = min(values[0] for _, values in drawn), max(values[-1] for _, values in drawn)
    x = Axis(low * 0.8, high * 1.25, 62, 548, log=True)
    y = Axis(0, 1, 206, 34)
    plot.grid(x, y, time_tick, _percent)
    plot.line((x.start, y.at(0.99)), (x.end, y.at(0.99)), "mark")
    plot.text(x.end, y.at(0.99) - 4, "p99", "tick", "end")
    classes = ("accent", "second", "third")
    for (_, values), css in zip(drawn, classes, strict=False):
        plot.path(((x.at(value), y.at(share)) for value, share in _steps(values)), f"curve {css}")
    plot.legend(62, 14, [(css, name) for (name, _), css in zip(drawn, classes, strict=False)])
    plot.text(305, 236, "time, logarithmic", "tick", "middle")
    return plot.render()


def _steps(ordered: Sequence[float]) -> list[tuple[float, float]]:
    """At most 200 points of the empirical distribution, its tail in full detail."""
    count = len(ordered)
    wanted = {round(share / 150 * (count - 1)) for share in range(151)} | set(range(max(0, count - 50), count))
    return [(ordered[index], (index + 1) / count) for index in sorted(wanted)]
