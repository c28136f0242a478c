"""The report's charts, as inline SVG. Each takes plain numbers, bounds what it draws, and says when that is not all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from vllm_quality.report.svg import Axis, Plot, Point
from vllm_quality.report.units import Scale

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


@dataclass(frozen=True)
class Bar:
    """One score between 0 and 1 beside its baseline."""

    name: str
    value: float
    stderr: float | None
    baseline: float | None
    worse: bool


def score_bars(bars: Sequence[Bar], label: str) -> str:
    """A bar per score, a whisker of one standard error to both sides, and a mark at the baseline."""
    left, row = 260, 26
    plot = Plot(1000, 40 + row * len(bars), label)
    x = Axis(0, 1, left, 930)
    for value in x.ticks(5):
        plot.line((x.at(value), 22), (x.at(value), 26 + row * len(bars)), "grid")
        plot.text(x.at(value), 14, _percent(value), "tick", "middle")
    for index, bar in enumerate(bars):
        top = 28 + index * row
        plot.text(left - 10, top + 14, _short(bar.name, 38), "name", "end")
        plot.bar(left, top + 3, x.at(bar.value) - left, 14, "bar bad-fill" if bar.worse else "bar")
        if bar.stderr:
            ends = (x.at(bar.value - bar.stderr), x.at(bar.value + bar.stderr))
            plot.line((ends[0], top + 10), (ends[1], top + 10), "whisker")
        if bar.baseline is not None:
            plot.line((x.at(bar.baseline), top - 1), (x.at(bar.baseline), top + 21), "baseline")
        plot.text(940, top + 14, f"{bar.value * 100:.1f} %", "tick")
    return plot.render()


@dataclass(frozen=True)
class Past:
    """One release in a metric's history; `alike` when it was measured under the same conditions as this one."""

    tag: str
    value: float
    alike: bool


def history_line(
    title: str, place: str, past: Sequence[Past], now: Past, scale: Scale, limit_at: float | None, worse: bool
) -> str:
    """A metric over the last releases, oldest first; this release last, in the colour of its finding.

    Filled dots were measured under the same conditions, hollow ones were not. The dashed line is where worse begins.
    """
    plot = Plot(250, 150, f"{title}, {place}: {scale.text(now.value)} now")
    everything = [*past, now]
    values = [point.value for point in everything] + ([limit_at] if limit_at is not None else [])
    low, high = min(values), max(values)
    room = (high - low) * 0.15 or abs(high) * 0.1 or 1.0
    y = Axis(low - room, high + room, 122, 42)
    x = Axis(0, max(1, len(everything) - 1), 12, 238)
    plot.text(2, 13, _short(title, 36), "name")
    plot.text(2, 29, _short(place, 40), "tick")
    if limit_at is not None:
        plot.line((4, y.at(limit_at)), (246, y.at(limit_at)), "limit")
    places = [(x.at(index), y.at(point.value)) for index, point in enumerate(everything)]
    plot.path(places, "history")
    for spot, point in zip(places[:-1], past, strict=True):
        plot.circle(spot, 3.5, "past" if point.alike else "past other", f"{point.tag}: {scale.text(point.value)}")
    plot.circle(places[-1], 5, "now bad-fill" if worse else "now", f"{now.tag}: {scale.text(now.value)}")
    plot.text(248, 146, scale.text(now.value), "value bad-text" if worse else "value", "end")
    plot.text(2, 146, _short(f"since {past[0].tag}", 26) if past else "no earlier run", "tick")
    return plot.render()


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
