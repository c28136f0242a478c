"""Which earlier runs' judged metrics were judged by a judge that has moved since: its canary then and now, from the store."""

from collections.abc import Mapping, Sequence

import polars as pl

from vllm_quality.eval.canary import moved_runs
from vllm_quality.eval.labelled import SUITE
from vllm_quality.eval.result import EVERY
from vllm_quality.results.database import ResultStore
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.run_folder import RunFolder

_SQL = """
SELECT run_id, suite, item_hash, prompt_hash, judge, score FROM samples FINAL
WHERE startsWith(suite, {suite:String}) AND run_id IN {ids:Array(String)} AND score IS NOT NULL
ORDER BY run_id, suite, item_hash
"""
Canary = tuple[str, str]  # its suite, since suites ask the judge in ways of their own, and the judge


def judge_moves(
    measurements: Sequence[Measurement], folder: RunFolder, store: ResultStore, past: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Metric path -> run id -> why that run's value of it is not to be compared with this run's.

    past  ids of earlier runs, newest first
    Empty where nothing was judged, or no earlier run has a canary of the same judge model.
    """
    frames = {m.step: folder.get_frame(m.files["samples"]) for m in measurements if "samples" in m.files}
    canaries = {step: _canaries(frame) for step, frame in frames.items()}
    if not any(canaries.values()) or not past:
        return {}
    oldest_first = list(reversed(past))
    stored = store.query(_SQL, {"suite": SUITE, "ids": oldest_first})
    by_run = {run_id: _canaries(stored.filter(pl.col("run_id") == run_id)) for run_id in oldest_first}
    return {
        path: moves
        for measurement in measurements
        for canary, now in canaries.get(measurement.step, {}).items()
        if (moves := moved_runs(now, {run_id: found[canary] for run_id, found in by_run.items() if canary in found}))
        for path in _judged(measurement, frames[measurement.step], canary[1])
    }


def _canaries(frame: pl.DataFrame) -> Mapping[Canary, Mapping[str, float]]:
    """Canary -> answer (with what was asked of the judge) -> score."""
    found: dict[Canary, dict[str, float]] = {}
    scored = frame.filter(pl.col("suite").str.starts_with(SUITE) & pl.col("score").is_not_null())
    for row in scored.iter_rows(named=True):
        own = found.setdefault((row["suite"], row["judge"]), {})
        own[f"{row['item_hash']} {row['prompt_hash']}"] = row["score"]
    return found


def _judged(measurement: Measurement, samples: pl.DataFrame, judge: str) -> list[str]:
    """The paths of the measurement's metrics that this judge judged."""
    own = samples.filter(~pl.col("suite").str.starts_with(SUITE) & (pl.col("judge") == judge))
    names = [
        name
        for metric in sorted(own["metric"].unique())
        for name in (metric, f"{metric.removesuffix('_score')}_pass_ratio")
    ]
    # What holds for an item as a whole rests on its judged criteria, too.
    paths = [f"{measurement.step}/{name}" for name in (*names, f"{EVERY}_pass_ratio") if names]
    return [path for path in paths if path in measurement.metrics]
