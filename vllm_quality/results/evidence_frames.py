"""The rows behind a verdict: this run's samples and requests from its folder, those of the runs before it from the store."""

from collections.abc import Mapping, Sequence

import polars as pl

from vllm_quality.results.database import ResultStore
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.verdict.evidence import EarlierRun, Evidence, Step, gather
from vllm_quality.verdict.judge import PastValues, is_judged, long_before, window
from vllm_quality.verdict.thresholds import Thresholds

_SAMPLES = """
SELECT run_id, suite, metric, item_hash, score, prompt_tokens FROM samples FINAL
WHERE run_id IN {ids:Array(String)} AND suite = {name:String} AND score IS NOT NULL
"""
_REQUESTS = """
SELECT run_id, scenario, stage, request_index, due_s, sent_s, first_token_s, last_token_s, end_s, output_tokens, outcome
FROM requests FINAL WHERE run_id IN {ids:Array(String)} AND scenario = {name:String}
"""


def gather_evidence(
    measurements: Sequence[Measurement],
    past: Sequence[PastValues],
    thresholds: Thresholds,
    barred: Mapping[str, Mapping[str, str]],
    folder: RunFolder,
    store: ResultStore,
) -> Evidence:
    """The evidence on all judged metrics of a run; `past` and `barred` as `verdict.judge` takes them."""
    steps, judged = list[Step](), list[str]()
    for measurement in measurements:
        if measurement.problem is not None:
            continue
        own = [metric for metric in measurement.metrics if is_judged(metric, thresholds)]
        # What bars a run from one metric of a step bars it from all: the step's judge moved.
        windows = [window(measurement, metric, past, thresholds, barred) for metric in own]
        runs = min(windows, key=len, default=[])
        if runs:
            judged += own
            moved = {run_id for metric in own for run_id in barred.get(metric, {})}
            oldest = [run for run in long_before(measurement, past, thresholds) if run.run_id not in moved]
            steps.append(_step(measurement, runs, oldest, folder, store))
    return gather(steps, judged)


def _step(
    measurement: Measurement,
    runs: Sequence[PastValues],
    oldest: Sequence[PastValues],
    folder: RunFolder,
    store: ResultStore,
) -> Step:
    area, _, name = measurement.step.partition("/")
    kind, sql = ("requests", _REQUESTS) if area == "load" else ("samples", _SAMPLES)
    frame = folder.get_frame(measurement.files[kind]) if kind in measurement.files else None
    ids = [run.run_id for run in (*runs, *oldest)]
    stored = None if frame is None else store.query(sql, {"ids": ids, "name": name})

    def earlier(run: PastValues) -> EarlierRun:
        own = None if stored is None else stored.filter(pl.col("run_id") == run.run_id)
        samples, requests = (None, own) if area == "load" else (own, None)
        return EarlierRun(run.run_id, run.metrics, samples, requests)

    samples, requests = (None, frame) if area == "load" else (frame, None)
    if samples is not None:
        samples = samples.filter(pl.col("suite") == name)  # not a judge's canary, whose rows lie beside the suite's
    return Step(measurement.metrics, samples, requests, [*map(earlier, runs)], [*map(earlier, oldest)])
