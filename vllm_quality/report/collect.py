"""Gather what a report shows from a run's folder and the results store."""

from collections.abc import Sequence

import polars as pl

from vllm_quality.datasets.pin import require_snapshot
from vllm_quality.datasets.snapshot import read_manifest
from vllm_quality.report.data import ReportData
from vllm_quality.results.database import ResultStore
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.publish import read_measurements, read_outcome
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.target import read_target

_HISTORY = 20  # releases drawn in the history charts


def collect_report(folder: RunFolder, store: ResultStore, steps: Sequence[str]) -> ReportData:
    """The report's data of a run whose results are published."""
    target = read_target(folder)
    verdict, finished_at = read_outcome(folder)
    manifest = read_manifest(folder.objects, require_snapshot(folder))
    measurements = read_measurements(folder, steps)
    return ReportData(
        target=target,
        verdict=verdict,
        finished_at=finished_at,
        measurements=measurements,
        history=store.history(before=target.started_at, exclude_tag=target.model_tag, limit=_HISTORY),
        requests={m.step: folder.get_frame(m.files["requests"]) for m in measurements if "requests" in m.files},
        samples={m.step: _samples(folder, m) for m in measurements if "samples" in m.files},
        texts={m.step: folder.get_frame(m.files["texts"]) for m in measurements if "texts" in m.files},
        snapshot_hash=manifest.hash,
        item_counts=manifest.item_counts,
    )


def _samples(folder: RunFolder, measurement: Measurement) -> pl.DataFrame:
    """The judged items with what was asked and answered beside them."""
    samples, texts = (folder.get_frame(measurement.files[name]) for name in ("samples", "texts"))
    return samples.join(texts, on=["suite", "item_hash"], how="left", maintain_order="left")
