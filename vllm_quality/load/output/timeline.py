"""The run on one time line: what was in flight, what was answered, how long it took, what failed, what the server said."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from vllm_quality.load.output.charts import number_tick
from vllm_quality.load.output.words import load_words
from vllm_quality.load.result import StageResult
from vllm_quality.report.charts import time_tick
from vllm_quality.report.svg import Axis, Plot, Point

_WIDTH, _LEFT, _RIGHT = 1072, 66, 1060
_SAMPLES, _BINS = 400, 120
_MOST_DOTS, _SLOWEST_KEPT, _MOST_MARKS = 1500, 150, 400

Panel = tuple[str, str]


def timeline(stages: Sequence[StageResult]) -> list[Panel]:
    """(caption, SVG) of the panels, one under the other over the same time axis; none where nothing was sent."""
    rows = run_rows(stages)
    length = max([float(rows["end_s"].to_numpy().max()) if rows.height else 0.0, *_boundaries(stages)])
    if not rows.height or length <= 0:
        return []
    x = Axis(0, length, _LEFT, _RIGHT)
    panels = [_in_flight(stages, rows, x), _answered(stages, rows, x), _first_tokens(stages, rows, x)]
    cache = _cache(stages, x)
    return [*panels, *([cache] if cache else [])]


def run_rows(stages: Sequence[StageResult]) -> pl.DataFrame:
    """Every request on the run's clock: sent_s, end_s, ttft_s (null unless ok), ok; ordered by sending."""
    parts = [
        stage.frame.select(
            sent_s=pl.col("sent_s").fill_null(pl.col("dispatched_s")) + offset,
            end_s=pl.col("end_s") + offset,
            ttft_s=pl.when(pl.col("outcome") == "ok").then(
                pl.col("first_token_s") - pl.col("due_s" if stage.load.open_loop else "sent_s")
            ),
            ok=pl.col("outcome") == "ok",
        )
        for stage, offset in zip(stages, _offsets(stages), strict=True)
    ]
    return pl.concat(parts).drop_nulls(["sent_s", "end_s"]).sort("sent_s") if parts else pl.DataFrame()


def _offsets(stages: Sequence[StageResult]) -> list[float]:
    return [(stage.started_at - stages[0].started_at).total_seconds() for stage in stages]


def _boundaries(stages: Sequence[StageResult]) -> list[float]:
    return [offset + stage.whole.window_s[1] for stage, offset in zip(stages, _offsets(stages), strict=True)]


def _frame(
    plot: Plot, stages: Sequence[StageResult], x: Axis, y: Axis, y_text: Callable[[float], str], named: bool
) -> None:
    """The grid, and where each stage begins; its name where there is room for it."""
    plot.grid(x, y, clock_tick_for(x.high), y_text)
    starts = _offsets(stages)
    for start, end, stage in zip(starts, [*starts[1:], x.high], stages, strict=True):
        if start > 0:
            plot.line((x.at(start), y.start), (x.at(start), y.end - 6), "mark")
        room = int((x.at(end) - x.at(start) - 8) / 6.4)
        names = [name for name in (stage.name, load_words(stage.load)) if len(name) <= room]
        if named and len(stages) > 1 and names:
            plot.text(x.at(start) + 4, y.end - 3, names[0], "tick")


def clock_tick_for(length_s: float) -> Callable[[float], str]:
    """How moments of a run of that length are written: in seconds, or minutes and seconds."""
    if length_s < 300:
        return lambda seconds: f"{seconds:g} s"
    return lambda seconds: f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _in_flight(stages: Sequence[StageResult], rows: pl.DataFrame, x: Axis) -> Panel:
    import numpy as np

    moments = np.linspace(0, x.high, _SAMPLES)
    sent, ended = np.sort(rows["sent_s"].to_numpy()), np.sort(rows["end_s"].to_numpy())
    flying = np.searchsorted(sent, moments, "right") - np.searchsorted(ended, moments, "right")
    server = {name: _series(stages, name) for name in ("running", "waiting")}
    values = [float(flying.max()), *(value for runs in server.values() for run in runs for _, value in run)]
    plot = Plot(_WIDTH, 190, "requests in flight over time")
    y = Axis(0, max(values) * 1.1 or 1.0, 156, 40)
    _frame(plot, stages, x, y, number_tick, named=True)
    plot.path(((x.at(float(at)), y.at(float(n))) for at, n in zip(moments, flying, strict=True)), "curve accent")
    legend = [("accent", "in flight, at the client")]
    for name, css in (("running", "second"), ("waiting", "third")):
        for run in server[name]:
            plot.path(((x.at(at), y.at(value)) for at, value in run), f"curve {css}")
        if server[name]:
            legend.append((css, f"{name}, at the server"))
    plot.legend(_LEFT, 14, legend)
    return "Requests in flight", plot.render()


def _series(stages: Sequence[StageResult], name: str) -> list[list[Point]]:
    """The server's figure on the run's clock, a line per stage, thinned to what can be seen."""
    lines = []
    for stage, offset in zip(stages, _offsets(stages), strict=True):
        series = stage.server.series if stage.server else {}
        pairs = zip(series.get("at_s", ()), series.get(name, ()), strict=False)
        line = [(offset + at, value) for at, value in pairs if at is not None and value is not None]
        every = max(1, len(line) * len(stages) // 1000)
        if line:
            lines.append([*line[::every], *(line[-1:] if every > 1 else ())])
    return lines


def _answered(stages: Sequence[StageResult], rows: pl.DataFrame, x: Axis) -> Panel:
    width = x.high / _BINS
    binned = (
        rows.with_columns(bin=(pl.col("end_s") / width).floor().clip(0, _BINS - 1).cast(pl.Int64))
        .group_by("bin")
        .agg(ok=pl.col("ok").sum(), failed=(~pl.col("ok")).sum())
    )
    counts = {at: (ok / width, failed / width) for at, ok, failed in binned.select("bin", "ok", "failed").rows()}
    rates = [counts.get(index, (0.0, 0.0)) for index in range(_BINS)]
    plot = Plot(_WIDTH, 190, "requests answered per second over time")
    y = Axis(0, max(max(pair) for pair in rates) * 1.1 or 1.0, 156, 40)
    _frame(plot, stages, x, y, number_tick, named=False)
    for place, css in ((0, "accent"), (1, "bad")):
        spots = [(x.at((index + 0.5) * width), y.at(pair[place])) for index, pair in enumerate(rates)]
        if place == 0 or any(pair[1] for pair in rates):
            plot.path(spots, f"curve {css}")
    failed = any(pair[1] for pair in rates)
    plot.legend(_LEFT, 14, [("accent", "ended ok per second"), *([("bad", "failed per second")] if failed else [])])
    return "Requests per second", plot.render()


def _first_tokens(stages: Sequence[StageResult], rows: pl.DataFrame, x: Axis) -> Panel:
    told = rows.filter(pl.col("ttft_s") > 0)
    failed = rows.filter(~pl.col("ok"))["sent_s"]
    plot = Plot(_WIDTH, 220, "time to first token over time")
    if told.is_empty():
        plot.text(_WIDTH / 2, 110, "no request was answered", "tick", "middle")
    else:
        low, few, high = (float(_number(told["ttft_s"].quantile(share))) for share in (0, 0.05, 1))
        log = high > 15 * few
        y = Axis(low * 0.9, high * 1.15, 186, 46, log=True) if log else Axis(0, high * 1.08, 186, 46)
        _frame(plot, stages, x, y, time_tick, named=False)
        plot.dots(((x.at(at), y.at(value)) for at, value in _thinned(told)), "accent")
        width = x.high / (_BINS / 2)
        trend = (
            told.group_by((pl.col("sent_s") / width).floor().alias("bin"))
            .agg(pl.col("ttft_s").median().alias("median"), pl.len().alias("count"))
            .filter(pl.col("count") >= 3)
            .sort("bin")
        )
        plot.path(((x.at((at + 0.5) * width), y.at(value)) for at, value, _ in trend.rows()), "trend")
    marks = failed.gather_every(max(1, -(-failed.len() // _MOST_MARKS)))
    plot.dots(((x.at(at), 34.0) for at in marks), "bad")
    legend = [("accent", "a request, at its sending"), ("trend", "median")]
    plot.legend(_LEFT, 14, [*legend, *([("bad", f"failed ({failed.len():,})")] if failed.len() else [])])
    if told.height > _MOST_DOTS:
        plot.text(_RIGHT, 14, f"{_MOST_DOTS:,} of {told.height:,} drawn, the slowest among them", "tick", "end")
    return "Time to first token", plot.render()


def _number(value: Any) -> float:
    return float(value) if value is not None else 0.0


def _thinned(told: pl.DataFrame) -> list[Point]:
    """At most `_MOST_DOTS` requests: the slowest, and every n-th of the others."""
    pairs = told.select("sent_s", "ttft_s")
    if pairs.height > _MOST_DOTS:
        every = -(-pairs.height // (_MOST_DOTS - _SLOWEST_KEPT))
        pairs = pl.concat([pairs.top_k(_SLOWEST_KEPT, by="ttft_s"), pairs.gather_every(every)])
    return [(float(at), float(value)) for at, value in pairs.rows()]


def _cache(stages: Sequence[StageResult], x: Axis) -> Panel | None:
    lines = _series(stages, "kv_cache")
    if not lines:
        return None
    plot = Plot(_WIDTH, 160, "KV-cache use over time")
    y = Axis(0, 1, 126, 40)
    _frame(plot, stages, x, y, lambda share: f"{share * 100:.0f} %", named=False)
    for line in lines:
        plot.path(((x.at(at), y.at(share)) for at, share in line), "curve third")
    plot.legend(_LEFT, 14, [("third", "KV cache in use, at the server")])
    return "KV cache", plot.render()
