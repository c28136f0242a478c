"""The load report's charts over stages, as inline SVG: throughput against latency, latencies' distributions, capacity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vllm_quality.load.result import Capacity, Plateau
from vllm_quality.report.charts import time_tick
from vllm_quality.report.svg import Axis, Plot, Point

if TYPE_CHECKING:
    import numpy as np

COLOURS = ("accent", "second", "third", "fourth", "fifth", "sixth")
_WIDTH, _LEFT, _RIGHT = 560, 66, 548
_LOG_FROM = 8  # a latency axis is logarithmic where its largest value is so many times its smallest


@dataclass(frozen=True)
class LoadPoint:
    """One stage on the throughput-latency curve. label: its load in short; latencies in seconds."""

    label: str
    load: float
    tokens_per_s: float
    p50: float | None
    p99: float | None


def number_tick(value: float) -> str:
    """A round count or rate on an axis: "0", "250", "1.5k"."""
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:,g}"


def throughput_latency(points: Sequence[LoadPoint], over: str, plateau: Plateau | None, label: str) -> str:
    """Latency over output tokens/s, a point per stage, p50 and p99; the plateau as an upright line."""
    plot = Plot(_WIDTH, 280, label)
    values = [value for point in points for value in (point.p50, point.p99) if value is not None]
    if not values:
        plot.text(_WIDTH / 2, 140, "no request was answered", "tick", "middle")
        return plot.render()
    x = Axis(0, max(point.tokens_per_s for point in points) * 1.08 or 1.0, _LEFT, _RIGHT)
    y = latency_axis(values, 236, 34)
    plot.grid(x, y, number_tick, time_tick)
    if plateau is not None and plateau.reached:
        at = x.at(plateau.output_tokens_per_s)
        plot.line((at, y.start), (at, y.end), "limit-line")
        plot.text(x.end, 14, f"plateau {plateau.output_tokens_per_s:,.0f} tok/s", "tick", "end")
    curves = (("second", "p99", [point.p99 for point in points]), ("accent", "p50", [point.p50 for point in points]))
    for css, name, latencies in curves:
        known = [(point, value) for point, value in zip(points, latencies, strict=True) if value is not None]
        plot.path(((x.at(point.tokens_per_s), y.at(value)) for point, value in known), f"curve {css}")
        for point, value in known:
            title = f"{point.label}: {point.tokens_per_s:,.0f} tok/s, {name} {time_tick(value)}"
            plot.circle((x.at(point.tokens_per_s), y.at(value)), 4, f"node {css}", title)
    tops = [(x.at(p.tokens_per_s), y.at(p.p99 if p.p99 is not None else p.p50 or 0), p.label) for p in points]
    _spaced_labels(plot, tops)
    plot.legend(_LEFT, 14, [("second", "p99"), ("accent", "p50")])
    plot.text((_LEFT + _RIGHT) / 2, 270, f"output tokens/s (at the points: {over})", "tick", "middle")
    return plot.render()


def _spaced_labels(plot: Plot, spots: Sequence[tuple[float, float, str]]) -> None:
    """Names left above their points, as many as do not run into each other, the first and the last for certain."""
    placed: list[tuple[float, float, float]] = []
    for x, y, text in (spots[0], spots[-1], *spots[1:-1]) if len(spots) > 1 else spots:
        width = 6.4 * len(text)
        right = max(x - 7, _LEFT + width + 4)
        free = all(abs(y - other_y) > 14 or right < start or right - width > end for start, end, other_y in placed)
        if free or len(placed) < 1:
            plot.text(right, y - 7, text, "tick halo", "end")
            placed.append((right - width, right, y))


def throughput_over_load(points: Sequence[LoadPoint], over: str, plateau: Plateau | None, label: str) -> str:
    """Output tokens/s over the load, with plateau and knee where they were found."""
    plot = Plot(_WIDTH, 280, label)
    x = Axis(0, max(point.load for point in points) * 1.05 or 1.0, _LEFT, _RIGHT)
    most = max(point.tokens_per_s for point in points)
    y = Axis(0, most * 1.12 or 1.0, 236, 34)
    plot.grid(x, y, number_tick, number_tick)
    if plateau is not None and plateau.reached:
        level = y.at(plateau.output_tokens_per_s)
        plot.line((x.start, level), (x.end, level), "limit-line")
        plot.text(x.end, level - 7, f"plateau {plateau.output_tokens_per_s:,.0f} tok/s", "tick halo", "end")
        if plateau.knee is not None:
            plot.line((x.at(plateau.knee), y.start), (x.at(plateau.knee), y.end), "limit-line")
            plot.text(x.at(plateau.knee) + 5, y.start - 7, f"knee at {plateau.knee:,.3g}", "tick halo")
    spots = sorted((point.load, point.tokens_per_s, point.label) for point in points)
    plot.path(((x.at(load), y.at(tokens)) for load, tokens, _ in spots), "curve accent")
    for load, tokens, name in spots:
        plot.circle((x.at(load), y.at(tokens)), 4, "node accent", f"{name}: {tokens:,.0f} tok/s")
    plot.legend(_LEFT, 14, [("accent", "output tokens/s")])
    plot.text((_LEFT + _RIGHT) / 2, 270, over, "tick", "middle")
    return plot.render()


def distribution_curves(curves: Sequence[tuple[str, "np.ndarray[Any, Any]"]], label: str) -> str:
    """The share of requests within so many seconds, a curve per stage (at most six); logarithmic where they spread wide."""
    drawn = [(name, values) for name, values in ((name, _positive(values)) for name, values in curves) if len(values)]
    rows = _legend_rows([name for name, _ in drawn])
    top = 18 + 16 * max(1, len(rows))
    plot = Plot(_WIDTH, 206 + top, label)
    if not drawn:
        plot.text(_WIDTH / 2, 120, "no request was answered", "tick", "middle")
        return plot.render()
    x = latency_axis(
        [float(end) for _, values in drawn for end in (values[0], values[-1])], _LEFT, _RIGHT, origin=False
    )
    y = Axis(0, 1, top + 166, top)
    plot.grid(x, y, time_tick, lambda share: f"{share * 100:.0f} %")
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        plot.line((x.start, y.at(share)), (x.end, y.at(share)), "mark")
        plot.text(x.end - 2, y.at(share) + (12 if share > 0.9 else -4), name, "tick", "end")
    for (_, values), css in zip(drawn, COLOURS, strict=False):
        plot.path(((x.at(value), y.at(share)) for value, share in _ecdf(values)), f"curve {css}")
    for number, row in enumerate(rows):
        plot.legend(_LEFT, 14 + 16 * number, [(COLOURS[index], name) for index, name in row])
    plot.text((_LEFT + _RIGHT) / 2, top + 199, "time, logarithmic" if x.log else "time", "tick", "middle")
    return plot.render()


def _legend_rows(names: Sequence[str]) -> list[list[tuple[int, str]]]:
    rows: list[list[tuple[int, str]]] = []
    used = 0.0
    for index, name in enumerate(names[: len(COLOURS)]):
        width = 34 + 6.4 * len(name)
        if not rows or used + width > _RIGHT - _LEFT:
            rows.append([])
            used = 0.0
        rows[-1].append((index, name))
        used += width
    return rows


def _positive(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    import numpy as np

    ordered: np.ndarray[Any, Any] = np.sort(values[np.isfinite(values) & (values > 0)])
    return ordered


def _ecdf(ordered: "np.ndarray[Any, Any]") -> list[Point]:
    """At most 250 points of the empirical distribution of ascending values, the tail of a small one in full."""
    import numpy as np

    count = len(ordered)
    wanted = {int(index) for index in np.linspace(0, count - 1, 150)}
    wanted |= {int(index) for index in np.linspace(int((count - 1) * 0.98), count - 1, 100)}
    return [(float(ordered[index]), (index + 1) / count) for index in sorted(wanted)]


def latency_axis(values: Sequence[float], start: float, end: float, *, origin: bool = True) -> Axis:
    """The axis for these latencies: logarithmic where they spread wide, else from 0 (or close below, without `origin`)."""
    above = [value for value in values if value > 0] or [1e-3]
    low, high = min(above), max(above)
    if high > _LOG_FROM * low:
        return Axis(low * 0.8, high * 1.25, start, end, log=True)
    room = (high - low) * 0.05 or high * 0.05
    return Axis(0 if origin else max(0.0, low - room), high * 1.12 if origin else high + room, start, end)


def capacity_chart(capacity: Capacity, label: str) -> str:
    """Goodput with its interval over the rates tried; the dashed line is the share that must hold."""
    plot = Plot(_WIDTH, 280, label)
    probes = sorted(capacity.probes, key=lambda probe: probe.rate)
    rates = [probe.rate for probe in probes]
    x = Axis(min(rates) * 0.9, max(rates) * 1.1, _LEFT, _RIGHT, log=max(rates) > _LOG_FROM * min(rates) > 0)
    low = min([probe.low for probe in probes] + [capacity.target])
    y = Axis(max(0.0, low - 0.08), 1.0, 236, 34)
    plot.grid(x, y, number_tick, lambda share: f"{share * 100:.0f} %")
    plot.line((x.start, y.at(capacity.target)), (x.end, y.at(capacity.target)), "limit-line")
    plot.text(x.start + 4, y.at(capacity.target) + 14, f"must hold: {capacity.target * 100:g} %", "tick")
    for probe in probes:
        css = "accent" if probe.holds else "bad" if probe.holds is False else "undecided"
        at = x.at(probe.rate)
        plot.line((at, y.at(probe.low)), (at, y.at(probe.high)), f"interval {css}")
        said = f"{probe.rate:g} requests/s: {probe.good} of {probe.requests} good ({probe.low:.1%} to {probe.high:.1%})"
        plot.circle(
            (at, y.at(probe.goodput)), 4.5, f"node {css}", said + (", the queue grew" if probe.queue_grew else "")
        )
    plot.legend(_LEFT, 14, [("accent", "holds"), ("bad", "does not hold"), ("undecided", "undecided")])
    plot.text((_LEFT + _RIGHT) / 2, 270, "requests/s", "tick", "middle")
    return plot.render()
