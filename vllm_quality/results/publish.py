"""From what the steps of a run left behind to rows and a verdict. Safe to run again: nothing doubles, nothing is lost."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from vllm_quality.datasets.pin import require_snapshot
from vllm_quality.errors import UserError
from vllm_quality.releases.order import earlier_releases
from vllm_quality.results.database import ResultStore
from vllm_quality.results.evidence_frames import gather_evidence
from vllm_quality.results.judge_history import judge_moves
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.rows import ResultRow, RunRow
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.target import Target, read_target
from vllm_quality.verdict.confirmation import narrowed, settle, step_of, suspicions
from vllm_quality.verdict.judge import PastValues, judge
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import Verdict

VERDICT_FILE = "verdict.json"
AGAIN = ".again"  # behind a run's id: the rows of its second measurements, which are nobody's baseline
_HISTORY = 200  # earlier runs looked at; those comparable among them are a few


@dataclass(frozen=True)
class Published:
    """What was written for a run."""

    verdict: Verdict
    metrics: Mapping[str, float]


class MissingStepError(UserError):
    """A step of the run left nothing behind."""


def read_measurements(folder: RunFolder, steps: Sequence[str]) -> list[Measurement]:
    """The measurements of the steps, in order. Raises `MissingStepError` when one is not there."""
    found = []
    for step in steps:
        measurement = folder.get_measurement(step)
        if measurement is None:
            raise MissingStepError(
                f"Run {folder.run_id} has no measurement of {step}; materialize that step, then this one."
            )
        found.append(measurement)
    return found


def read_again(folder: RunFolder, steps: Iterable[str]) -> dict[str, Measurement]:
    """The second measurements that there are of these steps.

    One that was made under other conditions than the first (its settings changed in between) has that for a problem.
    """
    found = {}
    for step in dict.fromkeys(steps):
        first, again = folder.get_measurement(step), folder.get_measurement(step, again=True)
        if first is None or again is None:
            continue
        changed = again.problem is None and again.comparable != first.comparable
        found[step] = replace(again, problem="it was made under other conditions.") if changed else again
    return found


def read_outcome(folder: RunFolder) -> tuple[Verdict, datetime]:
    """The verdict on a run and when it was reached. Raises `MissingStepError` while there is none."""
    stored = folder.get_json(VERDICT_FILE)
    if stored is None:
        raise MissingStepError(f"Run {folder.run_id} has no verdict; materialize the asset results in the same run.")
    return Verdict.from_json(stored), datetime.fromisoformat(stored["finished_at"])


def was_judged(folder: RunFolder) -> bool:
    """Whether there is a verdict on a run."""
    return folder.get_json(VERDICT_FILE) is not None


def judge_run(folder: RunFolder, store: ResultStore, steps: Sequence[str], thresholds: Thresholds) -> Verdict:
    """What the stored history and these thresholds say of a run, with what was measured again. Nothing is stored."""
    past = _past(store, read_target(folder))

    def judged(measurements: Sequence[Measurement], slices: Collection[str] | None = None) -> Verdict:
        barred = judge_moves(measurements, folder, store, [run.run_id for run in past])
        evidence = gather_evidence(measurements, past, thresholds, barred, folder, store)
        return judge(measurements, past, thresholds, barred, evidence if slices is None else evidence.only(slices))

    first = judged(read_measurements(folder, steps))
    suspected = suspicions(first, thresholds.confirmation)
    again = read_again(folder, [step_of(finding.metric) for finding in suspected])
    if not again:
        return first
    known = [finding for finding in suspected if step_of(finding.metric) in again]
    failed = {step: measurement.problem for step, measurement in again.items() if measurement.problem is not None}
    sound = [narrowed(measurement, known) for step, measurement in again.items() if step not in failed]
    return settle(first, judged(sound, {finding.metric for finding in known}), known, failed)


def judge_repeats(folder: RunFolder, store: ResultStore, repeats: Sequence[RunRow], thresholds: Thresholds) -> Verdict:
    """A run held against other runs of the same release, newest first: what differs is noise. Nothing is stored."""
    steps = sorted({step for run in repeats for step in run.step_hashes if folder.get_measurement(step)})
    measurements = read_measurements(folder, steps)
    past = [
        PastValues(run.run_id, "pass", run.step_hashes, store.results_of(run.run_id))
        for run in repeats
        if run.run_id != folder.run_id
    ]
    every = thresholds.model_copy(
        update={"baseline": thresholds.baseline.model_copy(update={"runs": len(repeats) or 1})}
    )
    return judge(measurements, past, every, {}, gather_evidence(measurements, past, every, {}, folder, store))


def publish_run(folder: RunFolder, store: ResultStore, steps: Sequence[str], thresholds: Thresholds) -> Published:
    """Write the samples, requests, metrics and the run's row, and decide whether the release is worse.

    The verdict is decided once per run and kept in the object store: a replay writes the same rows again.
    """
    target = read_target(folder)
    measurements = read_measurements(folder, steps)
    if not was_judged(folder):
        verdict = judge_run(folder, store, steps, thresholds)
        folder.keep_json(VERDICT_FILE, verdict.as_json() | {"finished_at": datetime.now(UTC).isoformat()})
    verdict, finished_at = read_outcome(folder)
    metrics = _metrics(target, measurements, finished_at)
    _write(target.run_id, measurements, metrics, finished_at, folder, store)
    again = list(read_again(folder, steps).values())
    _write(f"{target.run_id}{AGAIN}", again, _values(again), finished_at, folder, store)
    # Last: a run without this row is unfinished and nobody's baseline.
    store.write_run(_run_row(target, measurements, require_snapshot(folder), finished_at, verdict))
    return Published(verdict, metrics)


def _write(
    run_id: str,
    measurements: Sequence[Measurement],
    metrics: Mapping[str, float],
    finished_at: datetime,
    folder: RunFolder,
    store: ResultStore,
) -> None:
    tag = read_target(folder).model_tag
    for measurement in measurements:
        for kind, write in (("samples", store.write_samples), ("requests", store.write_requests)):
            if kind in measurement.files:
                write(run_id, tag, folder.get_frame(measurement.files[kind]))
    store.write_results([ResultRow(run_id, tag, metric, value, finished_at) for metric, value in metrics.items()])


def _past(store: ResultStore, target: Target) -> list[PastValues]:
    """Finished runs of earlier releases, the latest release first."""
    finished = store.history(before=target.started_at, exclude_tag=target.model_tag, limit=_HISTORY)
    found = {run.run.run_id: run for run in finished}
    order = earlier_releases([run.run for run in finished], target.model_tag)
    return [PastValues(row.run_id, row.verdict, row.step_hashes, found[row.run_id].metrics) for row in order]


def _metrics(target: Target, measurements: Sequence[Measurement], finished_at: datetime) -> dict[str, float]:
    metrics = _values(measurements)
    metrics["pipeline/run_s"] = (finished_at - target.started_at).total_seconds()
    if target.seen_at is not None:
        metrics["pipeline/release_to_results_s"] = (finished_at - target.seen_at).total_seconds()
    return dict(sorted(metrics.items()))


def _values(measurements: Sequence[Measurement]) -> dict[str, float]:
    return {metric: float(value) for measurement in measurements for metric, value in measurement.metrics.items()}


def _joint_hash(measurements: Sequence[Measurement], prefix: str) -> str:
    own = {m.step: m.comparable for m in measurements if m.step.startswith(prefix)}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def _run_row(
    target: Target, measurements: Sequence[Measurement], snapshot: str, finished_at: datetime, verdict: Verdict
) -> RunRow:
    refuted = {step_of(f.metric) for f in (*verdict.findings, *verdict.slices) if f.repeat == "refuted"}
    return RunRow(
        run_id=target.run_id,
        model_tag=target.model_tag,
        image_digest=target.image_digest,
        snapshot_hash=snapshot,
        suite_hash=_joint_hash(measurements, "eval/"),
        engine=target.endpoint.engine,
        engine_version=target.endpoint.engine_version,
        model=target.endpoint.model,
        hardware=target.hardware,
        settings_hash=_joint_hash(measurements, "load/"),
        # A measurement that cannot be trusted is nobody's baseline, nor one that a second one did not bear out.
        step_hashes={m.step: m.comparable for m in measurements if m.problem is None and m.step not in refuted},
        profile=target.profile,
        seen_at=target.seen_at,
        started_at=target.started_at,
        finished_at=finished_at,
        verdict=verdict.status,
    )
