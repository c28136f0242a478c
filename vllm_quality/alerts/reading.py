"""What a card shows of a run beyond its verdict: answers that got worse, and the speed curve."""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from pydantic import SecretStr

from vllm_quality.alerts.flips import flipped_answers
from vllm_quality.alerts.notice import RunNotice, SpeedFigure, StageSpeed
from vllm_quality.errors import UserError
from vllm_quality.report.collect import stored_steps
from vllm_quality.results.database import ResultStore
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.verdict.types import Verdict

_STATISTICS = ("p99", "p95", "p90", "p50")
_LATENCY = re.compile(rf"ttft_({'|'.join(_STATISTICS)})_s")

_log = logging.getLogger(__name__)


def with_evidence(notice: RunNotice, folder: RunFolder, store: ResultStore, key: SecretStr | None) -> RunNotice:
    """The notice with `flips` and `speed`. A store that is away takes them from the card, and keeps no card back.

    key  of the pseudonyms that personal data is replaced by; it is redacted without one
    """
    if notice.verdict is None:
        return notice
    try:
        speed = _speed(folder, store, notice.verdict)
        flips = flipped_answers(folder, notice.verdict, key) if notice.regressed else ()
    except UserError as error:
        _log.warning("The card of run %s shows no answers and no speed: %s", notice.run_id, error)
        return notice
    return replace(notice, flips=flips, speed=speed)


def _speed(folder: RunFolder, store: ResultStore, verdict: Verdict) -> tuple[StageSpeed, ...]:
    stages: dict[str, Measurement] = {}
    for step in stored_steps(folder):
        measurement = folder.get_measurement(step) if step.startswith("load/") else None
        if measurement is not None and measurement.problem is None:
            found = (metric.rpartition("/") for metric in measurement.metrics)
            stages |= {stage: measurement for stage, _, name in found if _LATENCY.fullmatch(name)}
    earlier = _earlier(store, verdict.baseline_runs) if stages else []
    return tuple(_stage(measurement, stage, earlier) for stage, measurement in stages.items())


class _Earlier:
    """Metrics of one earlier run, and what its steps were measured under."""

    def __init__(self, step_hashes: dict[str, str]) -> None:
        self.step_hashes = step_hashes
        self.metrics: dict[str, float] = {}


def _earlier(store: ResultStore, run_ids: Sequence[str]) -> list[_Earlier]:
    if not run_ids:
        return []
    asked = {"ids": list(run_ids)}
    runs = store.query(
        "SELECT run_id, mapKeys(step_hashes), mapValues(step_hashes) FROM runs FINAL WHERE run_id IN {ids:Array(String)}",
        asked,
    )
    values = store.query(
        "SELECT run_id, metric, value FROM results FINAL "
        "WHERE run_id IN {ids:Array(String)} AND startsWith(metric, 'load/') "
        "AND match(metric, '/(output_tokens_per_s|(ttft|tpot)_p[0-9]+_s)$')",
        asked,
    )
    found = {run_id: _Earlier(dict(zip(steps, hashes, strict=True))) for run_id, steps, hashes in runs.iter_rows()}
    for run_id, metric, value in values.iter_rows():
        if run_id in found:
            found[run_id].metrics[metric] = value
    return list(found.values())


def _stage(measurement: Measurement, stage: str, earlier: Sequence[_Earlier]) -> StageSpeed:
    alike = [run for run in earlier if run.step_hashes.get(measurement.step) == measurement.comparable]
    alike = [run for run in alike if any(metric.startswith(f"{stage}/") for metric in run.metrics)]

    def figure(unit: str, *names: str) -> SpeedFigure:
        """The first of these that was measured: a small stage has no p99."""
        measured = [name for name in names if f"{stage}/{name}" in measurement.metrics]
        metric = f"{stage}/{(measured or names)[0]}"
        before = [run.metrics[metric] for run in alike if metric in run.metrics]
        return SpeedFigure(metric, unit, measurement.metrics.get(metric), fmean(before) if before else None)

    return StageSpeed(
        stage,
        figure("1/s", "output_tokens_per_s"),
        figure("s", *(f"ttft_{statistic}_s" for statistic in _STATISTICS)),
        figure("s", *(f"tpot_{statistic}_s" for statistic in reversed(_STATISTICS))),
        len(alike),
    )
