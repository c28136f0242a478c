"""What a verdict rests on: the runs of the window, thresholds, statistics with their limits, and the hashes of it all."""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vllm_quality.report.data import ReportData
from vllm_quality.report.decided import decided
from vllm_quality.report.units import as_share, human_duration, human_time, metric_label, short_hash
from vllm_quality.results.rows import PastRun
from vllm_quality.verdict.statistics.decide import once_in
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import Detector, Finding, Verdict

# What each detector does, and what it cannot do.
_DETECTORS: dict[Detector, tuple[str, str]] = {
    "items": (
        "Item by item: the same questions were asked of this release and of the earlier ones, and those whose score changed "
        "are tested (McNemar's test for right or wrong, a paired one else). Against several runs, the scatter between them "
        "is allowed for.",
        "It speaks of questions like these. Items that belong together are less evidence than their number.",
    ),
    "means": (
        "Two means and their standard errors, unpaired.",
        "Wide: items that are hard for both releases count as noise.",
    ),
    "requests": (
        "Request by request on the same tape: percentiles by resampling blocks of neighbouring requests, and the scatter of "
        "whole runs beside that.",
        "A machine has good and bad days. Without repeated runs of one release, 4 % from day to day is assumed.",
    ),
    "runs": (
        "One figure per run, against the scatter of the runs of the window.",
        "With few runs in the window only large losses show.",
    ),
    "drift": (
        "Drift: the same test, but against the oldest accepted runs, for a loss in steps that are each too small to count.",
        "It tells that there was a loss, not which release began it.",
    ),
    "rule": (
        "The plain rule alone: a relative change from the mean of the window beyond a limit.",
        "It knows no chance: it misses small losses and takes noise for large ones.",
    ),
    "limit": ("A fixed limit that needs no history.", "It says nothing of earlier releases."),
}


@dataclass(frozen=True)
class WindowRun:
    """One run that the release was held against. role: "newest", "oldest" or ""."""

    tag: str
    run_id: str
    role: str
    finished: str
    verdict: str
    engine: str
    digest: str


@dataclass(frozen=True)
class Method:
    """The notes.

    window      newest first; `lost` counts the runs of which the store knows no more
    detectors   (metrics, what it does, its limits)
    thresholds  (name, value); `thresholds_note` says where they are from, or that they changed since the verdict
    rule        what the plain rule alone would have said
    decided     (term, what it was in this verdict)
    hashes      (name, short, whole)
    """

    window: Sequence[WindowRun]
    lost: int
    detectors: Sequence[tuple[int, str, str]]
    thresholds: Sequence[tuple[str, str]]
    thresholds_note: str
    rule: str
    decided: Sequence[tuple[str, str]]
    hashes: Sequence[tuple[str, str, str]]


def method(data: ReportData) -> Method:
    """The notes on a release's verdict."""
    findings = data.verdict.findings
    by_id = {run.run.run_id: run for run in data.history}
    known = [by_id[run_id] for run_id in data.verdict.baseline_runs if run_id in by_id]
    counts = Counter[Detector](finding.detector for finding in findings)
    return Method(
        window=[_window_run(run, number, len(known)) for number, run in enumerate(known)],
        lost=len(data.verdict.baseline_runs) - len(known),
        detectors=[(counts[name], *words) for name, words in _DETECTORS.items() if counts[name]],
        thresholds=_threshold_rows(data.thresholds) if data.thresholds is not None else (),
        thresholds_note=_thresholds_note(data.thresholds, data.verdict) if data.thresholds is not None else "",
        rule=_plain_rule(findings),
        decided=decided(data.verdict, data.thresholds),
        hashes=_hashes(data),
    )


def _window_run(run: PastRun, number: int, runs: int) -> WindowRun:
    row = run.run
    return WindowRun(
        tag=row.model_tag,
        run_id=row.run_id,
        role="newest" if number == 0 else "oldest" if number == runs - 1 else "",
        finished=human_time(row.finished_at),
        verdict=row.verdict.replace("_", " "),
        engine=f"{row.engine} {row.engine_version}",
        digest=short_hash(row.image_digest),
    )


def _threshold_rows(thresholds: Thresholds) -> list[tuple[str, str]]:
    quality, speed, again = thresholds.quality, thresholds.performance, thresholds.confirmation
    rows = [
        ("Chance of any false alarm on a release that is no worse", f"{thresholds.alpha * 100:g} %"),
        ("Loss of a score that must not go unseen", f"{quality.matters * 100:g} points"),
        ("Loss of a score that is accepted", f"{quality.budget * 100:g} points"),
        ("Loss of speed that must not go unseen", f"{speed.matters * 100:g} %"),
        ("Loss of speed that is accepted", f"{speed.budget * 100:g} %"),
        (
            "Limit of the plain rule: scores, speed",
            f"{quality.max_regression * 100:g} %, {speed.max_regression * 100:g} %",
        ),
        ("Loss of the right answers' logprob", "an alarm" if thresholds.signals == "alarm" else "a remark"),
        ("Runs in the window, at most", f"{thresholds.baseline.runs}"),
        ("Runs looked back for drift", f"{thresholds.baseline.drift}" if thresholds.baseline.drift else "none"),
        ("Time for measuring suspicions again", human_duration(again.time_s) if again.time_s else "none"),
        (
            "Certain without measuring again",
            f"below one in {once_in(again.certain)} by chance" if again.certain else "none",
        ),
        (
            "Releases that were called worse",
            "count" if thresholds.baseline.include_worse else "are left out of the window",
        ),
    ]
    named: tuple[tuple[str, dict[str, float]], ...] = (
        ("Matters", thresholds.matters),
        ("Accepted", thresholds.budget),
        ("Plain rule", thresholds.max_regression),
        ("Least", thresholds.floors),
        ("Most", thresholds.ceilings),
    )
    return rows + [(f"{name}, {pattern}", f"{value:g}") for name, own in named for pattern, value in own.items()]


def _thresholds_note(thresholds: Thresholds, verdict: Verdict) -> str:
    digest = hashlib.sha256(thresholds.model_dump_json().encode()).hexdigest()
    if verdict.alpha is not None and verdict.alpha != thresholds.alpha:
        return (
            f"thresholds.yaml was changed after this verdict, which was reached with a chance of a false alarm of "
            f"{verdict.alpha * 100:g} %. Now: {short_hash(digest)}."
        )
    changed = [finding.metric for finding in verdict.findings if _differs(finding, thresholds)]
    if changed:
        return (
            f"thresholds.yaml was changed after this verdict, which was reached with others for {len(changed)} metrics, such "
            f"as {metric_label(changed[0])}; the table above has what was used there. Now: {short_hash(digest)}."
        )
    return f"From thresholds.yaml, {short_hash(digest)} by content."


def _differs(finding: Finding, thresholds: Thresholds) -> bool:
    rule, limit = thresholds.rule(finding.metric, finding.area), thresholds.limit(finding.metric, finding.area)
    kept = ((finding.matters, rule.matters), (finding.budget, rule.budget))
    return (finding.limit is not None and finding.limit != limit) or any(
        # What is relative was kept in the metric's unit, in terms of a baseline that may differ in its last digits.
        own is not None and not math.isclose(as_share(finding, own), now, rel_tol=0.05)
        for own, now in kept
    )


def _plain_rule(findings: Sequence[Finding]) -> str:
    told = [finding for finding in findings if finding.rule_says_worse is not None]
    if not told:
        return ""
    alone = sum(bool(finding.rule_says_worse) and finding.status != "worse" for finding in told)
    missed = sum(not finding.rule_says_worse and finding.status == "worse" for finding in told)
    said = sum(bool(finding.rule_says_worse) for finding in told)
    differ = f"; {alone} of these are not worse by the statistics" if alone else ""
    unseen = f" It does not see {missed} that the statistics call worse." if missed else ""
    return f"The plain rule of a relative change from the mean alone calls {said} of {len(told)} metrics worse{differ}.{unseen}"


def _hashes(data: ReportData) -> list[tuple[str, str, str]]:
    rows = [("Image", data.target.image_digest), ("Data snapshot", data.snapshot_hash or "")]
    for measurement in data.measurements:
        rows.append((f"{measurement.step}: conditions", measurement.comparable))
        if measurement.step in data.tapes:
            rows.append((f"{measurement.step}: tape", data.tapes[measurement.step]))
    return [(name, short_hash(value), value) for name, value in rows if value]
