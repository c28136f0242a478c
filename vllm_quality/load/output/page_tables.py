"""The load report's tables: figures as text, each column in one unit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_quality.load.output.words import percent, stage_title
from vllm_quality.load.result import Distribution, Figures, StageResult
from vllm_quality.report.units import NONE, Scale, scale_for

_SHOWN = {"ttft": ("p50", "p90", "p99"), "tpot": ("p50", "p99"), "itl": ("p99",), "e2e": ("p50", "p99")}
_TITLES = {
    "ttft": "TTFT",
    "tpot": "TPOT",
    "itl": "ITL",
    "chunk_gap": "Chunk gap",
    "e2e": "Request latency",
    "ntpot": "Normalised TPOT",
}
_STATISTICS = ("mean", "p50", "p90", "p95", "p99", "max")


@dataclass(frozen=True)
class StageRow:
    """One stage of the main table; a probe of a capacity search with its rate. cells: (whole stage, steady window or None) per column, as text."""

    name: str
    sent: int
    failed: int
    cells: tuple[tuple[str, str | None], ...]
    window: str | None
    unsteady: str | None


def stage_rows(stages: Sequence[StageResult]) -> list[StageRow]:
    """A row per stage: requests/s, output tokens/s, then the latencies of `_SHOWN`, then goodput."""
    return [_stage_row(stage) for stage in stages]


def _stage_row(stage: StageResult) -> StageRow:
    windows = [figures for figures in (stage.whole, stage.steady) if figures is not None]
    rates = Scale(1.0, "", scale_for("", "1/s", [figures.requests_per_s for figures in windows]).decimals)
    # A stage's own unit: the p50 of a ladder's first stage would be "0.05 s" beside the seconds of its last.
    scales = {
        name: scale_for(
            "", "s", [getattr(getattr(one, name), statistic) for one in windows for statistic in _SHOWN[name]]
        )
        for name in _SHOWN
    }
    whole, steady = _cells(stage.whole, scales, rates), _cells(stage.steady, scales, rates) if stage.steady else None
    window = stage.steady.window_s if stage.steady else None
    return StageRow(
        stage_title(stage),
        stage.whole.sent,
        stage.whole.sent - stage.whole.ok,
        tuple((cell, steady[index] if steady else None) for index, cell in enumerate(whole)),
        f"{window[0]:.1f}–{window[1]:.1f} s" if window else None,
        stage.unsteady,
    )


def _cells(figures: Figures, scales: dict[str, Scale], rates: Scale) -> list[str]:
    latencies = [
        scales[name].text(getattr(getattr(figures, name), statistic))
        for name, statistics in _SHOWN.items()
        for statistic in statistics
    ]
    goodput = percent(figures.goodput)
    return [rates.text(figures.requests_per_s), f"{figures.output_tokens_per_s:,.0f}", *latencies, goodput]


def latency_rows(stages: Sequence[StageResult]) -> list[tuple[str, list[tuple[str, str, list[str]]]]]:
    """Stage -> (latency, values counted, statistics) for every latency; those from the sending where they differ."""
    return [(stage_title(stage), [*_every_latency(stage)]) for stage in stages]


def _every_latency(stage: StageResult) -> Iterable[tuple[str, str, list[str]]]:
    told: list[tuple[str, Distribution]] = [(title, getattr(stage.whole, name)) for name, title in _TITLES.items()]
    if stage.load.open_loop:
        told += [
            (f"{_TITLES.get(name, name)}, from the sending", values)
            for name, values in stage.whole.from_sending.items()
            if name != "tpot"
        ]
    if stage.whole.send_lag is not None:
        told.append(("How late the client sent", stage.whole.send_lag))
    for title, values in told:
        numbers = [getattr(values, statistic) for statistic in _STATISTICS]
        scale = scale_for("", "s", numbers)
        yield title, f"{values.count:,}", [scale.text(number) for number in numbers]


def server_rows(stages: Sequence[StageResult]) -> list[dict[str, Any]]:
    """What the server said beside what the client saw, a row per stage that has it."""
    rows = []
    for stage in stages:
        server = stage.server
        if server is None:
            continue
        client = stage.whole.from_sending.get("ttft", stage.whole.ttft).mean
        times = [client, server.ttft_mean_s, server.queue_mean_s, server.itl_mean_s, server.e2e_mean_s]
        scales = [scale_for("", "s", (value,)) for value in times]
        rows.append(
            {
                "name": stage_title(stage),
                "times": [scale.text(value) for scale, value in zip(scales, times, strict=True)],
                "running": _count(server.running_max),
                "waiting": _count(server.waiting_max),
                "cache": percent(server.kv_cache_max),
                "requests": f"{server.requests:,}",
                "disagreement": server.disagreement,
            }
        )
    return rows


def _count(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"
