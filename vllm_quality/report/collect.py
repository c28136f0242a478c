"""Gather what a report shows from a run's folder and the results store."""

import json
from collections.abc import Mapping, Sequence

import polars as pl

from vllm_quality.datasets.pin import require_snapshot
from vllm_quality.datasets.snapshot import read_manifest
from vllm_quality.releases.order import earlier_releases
from vllm_quality.report.data import ReportData
from vllm_quality.results.database import ResultStore
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.publish import read_measurements, read_outcome
from vllm_quality.results.rows import PastRun
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.target import Target, read_target
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import Verdict

_HISTORY = 20  # releases kept for the history charts, beside those of the window
_LOOKED_AT = 200
_ENDING = "/measurement.json"


def collect_report(
    folder: RunFolder, store: ResultStore, steps: Sequence[str], thresholds: Thresholds | None = None
) -> ReportData:
    """The report's data of a run whose results are published."""
    target = read_target(folder)
    verdict, finished_at = read_outcome(folder)
    manifest = read_manifest(folder.objects, require_snapshot(folder))
    measurements = read_measurements(folder, steps)
    history = _history(store, target, verdict)
    return ReportData(
        target=target,
        verdict=verdict,
        finished_at=finished_at,
        measurements=measurements,
        history=history,
        requests=_frames(folder, measurements, "requests"),
        samples=_frames(folder, measurements, "samples"),
        texts=_frames(folder, measurements, "texts"),
        earlier_texts=_earlier_texts(folder, measurements, history, verdict),
        tapes=_tapes(folder, measurements),
        thresholds=thresholds,
        snapshot_hash=manifest.hash,
        item_counts=manifest.item_counts,
    )


def stored_steps(folder: RunFolder) -> list[str]:
    """The steps that left a measurement in a run's folder, load first."""
    root = f"runs/{folder.run_id}/"
    keys = [key for area in ("load/", "eval/") for key in folder.objects.list(root + area) if key.endswith(_ENDING)]
    return [key.removeprefix(root).removesuffix(_ENDING) for key in keys]


def _frames(folder: RunFolder, measurements: Sequence[Measurement], kind: str) -> dict[str, pl.DataFrame]:
    return {m.step: folder.get_frame(m.files[kind]) for m in measurements if kind in m.files}


def _history(store: ResultStore, target: Target, verdict: Verdict) -> list[PastRun]:
    """Runs of releases before this one, in the order that the verdict took them in: a backfilled tag has its own past."""
    finished = store.history(before=target.started_at, exclude_tag=target.model_tag, limit=_LOOKED_AT)
    by_id = {run.run.run_id: run for run in finished}
    order = [row.run_id for row in earlier_releases([run.run for run in finished], target.model_tag)]
    wanted = {*order[:_HISTORY], *verdict.baseline_runs}
    return [by_id[run_id] for run_id in order if run_id in wanted]


def _earlier_texts(
    folder: RunFolder, measurements: Sequence[Measurement], history: Sequence[PastRun], verdict: Verdict
) -> Mapping[str, pl.DataFrame]:
    """What the newest comparable run of the window said, for the steps with flipped items; empty where its folder is gone."""
    steps = {flip.metric.rpartition("/")[0] for flip in verdict.flipped}
    window = [run.run for run in history if run.run.run_id in verdict.baseline_runs]
    found: dict[str, pl.DataFrame] = {}
    for measurement in measurements:
        alike = [row for row in window if row.step_hashes.get(measurement.step) == measurement.comparable]
        if measurement.step not in steps or not alike:
            continue
        before = RunFolder(folder.objects, alike[0].run_id)
        then = before.get_measurement(measurement.step)
        if then is not None and "texts" in then.files and folder.objects.exists(then.files["texts"]):
            found |= _frames(before, [then], "texts")
    return found


def _tapes(folder: RunFolder, measurements: Sequence[Measurement]) -> dict[str, str]:
    found = {}
    for measurement in measurements:
        if "summary" in measurement.files and measurement.step.startswith("load/"):
            tape = json.loads(folder.objects.get(measurement.files["summary"])).get("tape_sha256")
            if tape:
                found[measurement.step] = str(tape)
    return found
