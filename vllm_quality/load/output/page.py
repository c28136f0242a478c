"""report.html: a load run on one self-contained page, for a person. No script, no network; far below 1.5 MB whatever the run."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from vllm_quality.load.output.charts import (
    COLOURS,
    LoadPoint,
    capacity_chart,
    distribution_curves,
    throughput_latency,
    throughput_over_load,
)
from vllm_quality.load.output.page_tables import latency_rows, server_rows, stage_rows
from vllm_quality.load.output.summary import error_table, time_span, without_credentials
from vllm_quality.load.output.timeline import timeline
from vllm_quality.load.output.words import load_value, load_words, planned, requests_words, said_slo, short, stage_title
from vllm_quality.load.result import LoadResult, StageResult
from vllm_quality.report.units import human_duration, human_time, scale_for, short_hash

_MOST_ERRORS, _LONGEST_TEXT = 30, 400
_FULL = 0.97  # of the highest throughput: on a plateau the stages differ by chance


@dataclass(frozen=True)
class _Tile:
    name: str
    value: str
    note: str


def render_page(result: LoadResult, *, replay: str | None = None) -> str:
    """The page as HTML. replay: the command that plays the same tape again, where one was saved."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("vllm_quality.load.output"), PackageLoader("vllm_quality.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("load.html.j2").render(_view(result, replay))


def _view(result: LoadResult, replay: str | None) -> dict[str, Any]:
    began, ended = time_span(result.stages)
    status, badge = _verdict(result)
    errors = error_table(result.requests)
    return {
        "title": result.scenario.title,
        "model": result.endpoint.model,
        "status": status,
        "badge": badge,
        "lead": _lead(result),
        "problem": result.problem,
        "warnings": [*_warnings(result.stages)],
        "tiles": _tiles(result),
        "tiles_of": ", ".join((stage_title(_shown(result)[0]), _shown(result)[1])) if len(result.stages) > 1 else None,
        "stages": stage_rows(result.stages),
        "slo": said_slo(result.scenario.slo),
        "curves": _curves(result),
        "capacity": result.capacity,
        "capacity_chart": _drawn(capacity_chart(result.capacity, "goodput over the rate"))
        if result.capacity and result.capacity.probes
        else None,
        "plateau": result.plateau,
        "distributions": _distributions(planned(result.stages)),
        "left_out": max(0, len(planned(result.stages)) - len(COLOURS)),
        "timeline": [(caption, _drawn(chart)) for caption, chart in timeline(result.stages)],
        "errors": [
            {**error, "text": error["text"][:_LONGEST_TEXT], "first": human_duration(error["first_s"])}
            for error in errors[:_MOST_ERRORS]
        ],
        "more_errors": len(errors) - _MOST_ERRORS,
        "server": server_rows(result.stages),
        "calibration": _calibration(result),
        "latencies": latency_rows(result.stages),
        "facts": _facts(
            result, human_time(began), human_duration((ended - began).total_seconds() if began and ended else None)
        ),
        "replay": replay,
        "tape": result.tape_sha256,
        "seed": result.scenario.seed,
        "finished": human_time(ended),
    }


def _verdict(result: LoadResult) -> tuple[str, str]:
    if not any(stage.whole.ok for stage in result.stages):
        return "worse", "Nothing was answered"
    if result.problem is not None:
        return "invalid", "Not to be compared"
    return ("invalid", "Interrupted") if result.interrupted else ("pass", "Measured")


def _lead(result: LoadResult) -> str:
    told = [part.sentence for part in (result.plateau, result.capacity) if part is not None]
    told = [
        f"{sentence[0].upper()}{sentence[1:]}{'' if sentence.endswith('.') else '.'}" for sentence in told if sentence
    ]
    return " ".join([requests_words(result), *told])


def _warnings(stages: Iterable[StageResult]) -> Iterable[str]:
    for stage in stages:
        if stage.server is not None and stage.server.disagreement is not None:
            yield f"{stage.name}: {stage.server.disagreement}"


def _shown(result: LoadResult) -> tuple[StageResult, str]:
    """The stage of the key figures and why it: the capacity that was found, else the first one at full throughput."""
    rate = result.capacity.rate if result.capacity else None
    held = [stage for stage in result.stages if stage.probe and load_value(stage.load) == rate]
    if held:
        return max(held, key=lambda stage: stage.whole.sent), "the highest rate that held"
    stages = planned(result.stages)
    full = max(stage.whole.output_tokens_per_s for stage in stages) * _FULL
    return next(stage for stage in stages if stage.whole.output_tokens_per_s >= full), "the first at full throughput"


def _tiles(result: LoadResult) -> list[_Tile]:
    if not result.stages:
        return []
    stage, _ = _shown(result)
    whole = stage.whole
    rate, tokens = whole.requests_per_s, whole.output_tokens_per_s
    tiles = [
        _Tile("Output tokens", scale_for("token", "1/s", (tokens,)).text(tokens), "of requests that ended ok"),
        _Tile("Requests", scale_for("", "1/s", (rate,)).text(rate), f"{whole.ok:,} of {whole.sent:,} ok"),
    ]
    for name, values in (("TTFT p50", whole.ttft), ("TPOT p50", whole.tpot), ("Request latency p50", whole.e2e)):
        scale = scale_for("", "s", (values.p50, values.p99))
        tiles.append(_Tile(name, scale.text(values.p50), f"p99 {scale.text(values.p99)}"))
    if whole.goodput is not None:
        tiles.append(_Tile("Goodput", f"{whole.goodput * 100:.1f} %", "of all requests, within the SLO"))
    return tiles


def _curves(result: LoadResult) -> list[tuple[str, Any]]:
    """Throughput against latency and against the load; a single stage has no curve."""
    stages = [stage for stage in planned(result.stages) if stage.whole.ok]
    if len(stages) < 2:
        return []
    stages.sort(key=lambda stage: load_value(stage.load) or 0.0)
    ladder = (
        all(load_value(stage.load) is not None for stage in stages) and len({s.load.open_loop for s in stages}) == 1
    )
    over = ("requests/s offered" if stages[0].load.open_loop else "streams in flight") if ladder else "load"
    charts: list[tuple[str, Any]] = []
    for name, title in (("ttft", "Time to first token"), ("tpot", "Time per output token")):
        points = [_point(stage, name, ladder=ladder) for stage in stages]
        drawn = throughput_latency(points, over, result.plateau, f"{title} over output tokens per second")
        charts.append((f"{title} over throughput", _drawn(drawn)))
    if ladder:
        drawn = throughput_over_load(points, over, result.plateau, "output tokens per second over the load")
        charts.append(("Throughput over load", _drawn(drawn)))
    return charts


def _point(stage: StageResult, name: str, *, ladder: bool) -> LoadPoint:
    load, values = load_value(stage.load) or 0.0, getattr(stage.whole, name)
    label = short(load) if ladder else load_words(stage.load)
    return LoadPoint(label, load, stage.whole.output_tokens_per_s, values.p50, values.p99)


def _distributions(stages: list[StageResult]) -> list[tuple[str, Any]]:
    last = len(stages) - 1
    most = len(COLOURS)
    kept = stages if len(stages) <= most else [stages[round(index * last / (most - 1))] for index in range(most)]
    shown: dict[str, list[tuple[str, Any]]] = {"Time to first token": [], "Time per output token": []}
    for stage in kept:
        first, after, output = pl.col("first_token_s"), pl.col("last_token_s"), pl.col("output_tokens").cast(pl.Float64)
        values = stage.frame.filter(pl.col("outcome") == "ok").select(
            ttft=first - pl.col("due_s" if stage.load.open_loop else "sent_s"),
            tpot=pl.when((pl.col("chunks") > 1) & (output > 1)).then((after - first) / (output - 1)),
        )
        for name, column in zip(shown, ("ttft", "tpot"), strict=True):
            shown[name].append((stage_title(stage), values[column].drop_nulls().to_numpy()))
    return [(name, _drawn(distribution_curves(curves, f"{name}, distribution"))) for name, curves in shown.items()]


def _calibration(result: LoadResult) -> list[tuple[str, str]]:
    told = result.calibration
    if told is None:
        return []
    times = {
        "TTFT error, mean": told.ttft_error_mean_s,
        "TTFT error, p99": told.ttft_error_p99_s,
        "TPOT error, mean": told.tpot_error_mean_s,
        "Lag of the client's loop, p99": told.lag_p99_s,
    }
    return [
        ("Load", f"{told.streams} streams, {told.chunks_per_s:,.0f} events/s, {told.requests:,} requests"),
        *((name, f"{value * 1000:.2f} ms") for name, value in times.items()),
        ("Client CPU per event", f"{told.cpu_us_per_chunk:.1f} µs"),
    ]


def _facts(result: LoadResult, began: str, took: str) -> list[tuple[str, str, str]]:
    scenario, endpoint = result.scenario, result.endpoint
    return [
        ("Endpoint", without_credentials(endpoint.base_url), ""),
        ("Model", endpoint.model, ""),
        ("Engine", f"{endpoint.engine} {endpoint.engine_version}".strip(), ""),
        ("Scenario", f"{scenario.name}, {scenario.profile}", ""),
        ("API", f"{scenario.api}, {'streamed' if scenario.streaming else 'not streamed'}", ""),
        ("Began", began, ""),
        ("Took", took, ""),
        ("Client processes", str(result.workers), ""),
        ("Seed", str(scenario.seed), ""),
        ("Tape", short_hash(result.tape_sha256), result.tape_sha256),
        ("Comparable with", short_hash(result.comparable), result.comparable),
        ("SLO", said_slo(scenario.slo) or "none", ""),
    ]


def _drawn(svg: str) -> Any:
    from markupsafe import Markup

    return Markup(svg)  # noqa: S704  # the charts escape their own text
