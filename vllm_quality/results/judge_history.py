"""Which earlier runs' judged metrics were judged by a judge that has moved since: its canary then and now, from the store."""

from collections.abc import Mapping, Sequence

import polars as pl

from vllm_quality.eval.canary import moved_runs
from vllm_quality.eval.labelled import SUITE
from vllm_quality.results.database import ResultStore
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.run_folder import RunFolder

_SQL = """
SELECT run_id, item_hash, prompt_hash, judge, score FROM samples FINAL
WHERE suite = {suite:String} AND run_id IN {ids:Array(String)} AND score IS NOT NULL ORDER BY run_id, item_hash
"""


def judge_moves(
    measurements: Sequence[Measurement], folder: RunFolder, store: ResultStore, past: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Metric path -> run id -> why that run's value of it is not to be compared with this run's.

    past  ids of earlier runs, newest first
    Empty where nothing was judged, or no earlier run has a canary of the same judge model.
    """
    samples = {m.step: folder.get_frame(m.files["samples"]) for m in measurements if "samples" in m.files}
    canaries = {judge: scores for frame in samples.values() for judge, scores in _canaries(frame).items()}
    if not canaries or not past:
        return {}
    oldest_first = list(reversed(past))
    stored = store.query(_SQL, {"suite": SUITE, "ids": oldest_first})
    by_run = {run_id: _canaries(stored.filter(pl.col("run_id") == run_id)) for run_id in oldest_first}
    moves = {
        judge: moved_runs(now, {run_id: found[judge] for run_id, found in by_run.items() if judge in found})
        for judge, now in canaries.items()
    }
    return {
        path: moves[judge]
        for measurement in measurements
        for path, judge in _judged(measurement, samples.get(measurement.step))
        if moves.get(judge)
    }


def _canaries(frame: pl.DataFrame) -> Mapping[str, Mapping[str, float]]:
    """Judge -> answer (with what was asked of the judge) -> score."""
    found: dict[str, dict[str, float]] = {}
    rows = frame if "suite" not in frame.columns else frame.filter(pl.col("suite") == SUITE)
    for row in rows.filter(pl.col("score").is_not_null()).iter_rows(named=True):
        found.setdefault(row["judge"], {})[f"{row['item_hash']} {row['prompt_hash']}"] = row["score"]
    return found


def _judged(measurement: Measurement, samples: pl.DataFrame | None) -> list[tuple[str, str]]:
    """The measurement's judged metrics (path, judge): those whose samples name a judge."""
    if samples is None:
        return []
    named = samples.filter((pl.col("suite") != SUITE) & (pl.col("judge").fill_null("") != ""))
    pairs = named.select("metric", "judge").unique().sort("metric", "judge").iter_rows()
    found = []
    for metric, judge in pairs:
        paths = (f"{measurement.step}/{name}" for name in (metric, f"{metric.removesuffix('_score')}_pass_ratio"))
        found += [(path, judge) for path in paths if path in measurement.metrics]
    return found
