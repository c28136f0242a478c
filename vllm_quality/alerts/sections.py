"""The sections of a run's card, each a list of elements; empty when there is nothing to say."""

import re
from collections.abc import Mapping, Sequence

from vllm_quality.alerts.elements import Element, facts, heading, opens_in_teams, table, text
from vllm_quality.alerts.markdown import plain
from vllm_quality.alerts.notice import FlippedAnswer, RunNotice, SpeedFigure, StageSpeed
from vllm_quality.report.units import (
    NONE,
    human_change,
    human_duration,
    human_effect,
    human_interval,
    human_limit,
    human_size,
    human_time,
    metric_label,
    metric_place,
    metric_title,
    scale_for,
    short_hash,
    split_slice,
)
from vllm_quality.verdict.types import UNTOLD, Finding, Verdict

_STATISTIC = re.compile(r"_(p\d\d)_s$")
_BAD = {"color": "Attention", "weight": "Bolder"}
_GOOD = {"color": "Good"}
_SUBTLE = {"isSubtle": True, "size": "Small", "spacing": "None"}


def finding_label(metric: str, limit: int) -> str:
    """Where and what, plain: "basics\\_ko: exact match", with the slice behind it where it is one."""
    path, part = split_slice(metric)
    return plain(f"{metric_label(path)} ({part})" if part else metric_label(path), limit)


def _name(finding: Finding, label: int) -> list[Element]:
    """What was measured, and below it where: a phone has no room for both in one line."""
    path, part = split_slice(finding.metric)
    place = metric_place(path)
    if not place:
        return [text(plain(finding.metric, label), weight="Bolder")]
    where = f"{place}, {part}" if part else place
    return [text(plain(metric_title(path), label), weight="Bolder"), text(plain(where, label), **_SUBTLE)]


def lead(notice: RunNotice, label: int) -> list[str]:
    """What a person reads after the verdict: the worst finding in words and how many more there are, or the summary."""
    if notice.verdict is None:
        return []
    worse = worse_findings(notice.verdict)
    if not worse:
        return [plain(notice.verdict.summary, 300)]
    more = len(worse) - 1
    others = f", and {more} more {'metric is' if more == 1 else 'metrics are'} worse" if more else ""
    return [f"{finding_label(worse[0].metric, label)}: {movement(worse[0])}{others}."]


def worse_findings(verdict: Verdict) -> list[Finding]:
    """What got worse, in the order in which a person wants it: quality before speed, then as `Verdict.worst` has it."""
    return sorted((f for f in verdict.worst if f.status == "worse"), key=lambda finding: finding.area != "quality")


def movement(finding: Finding) -> str:
    """From where to where it moved, plain: "52.2 % → 49.8 % (−2.4 points)"; the reason where it broke a fixed limit."""
    if not _moved(finding):
        return plain(finding.reason.rstrip("."), 160)
    scale = scale_for(finding.metric, finding.unit, (finding.current, finding.baseline))
    return f"{scale.text(finding.baseline)} → {scale.text(finding.current)} ({human_effect(finding)})"


def _moved(finding: Finding) -> bool:
    return finding.effect is not None or finding.change is not None


def worse_section(verdict: Verdict | None, most: int, label: int) -> list[Element]:
    """What got worse, by how much, how sure that is, and from where on it counts."""
    worse = worse_findings(verdict) if verdict else []
    if not worse or not most:
        return []
    elements = [_changes("What got worse", worse[:most], label)]
    hidden = len(worse) - most
    if hidden > 0:
        more = f"{hidden} more {'metric is' if hidden == 1 else 'metrics are'} worse; the report has them all."
        elements.append(text(more, isSubtle=True))
    return elements


def slice_section(verdict: Verdict | None, most: int, label: int) -> list[Element]:
    """The slices that got worse, those that moved most first."""
    worse = [finding for finding in verdict.slices if finding.status == "worse"] if verdict else []
    worse.sort(key=lambda finding: (-_size(finding), finding.metric))
    return [_changes("Worst slices", worse[:most], label)] if worse[:most] else []


def _size(finding: Finding) -> float:
    return abs(finding.effect if finding.effect is not None else finding.change or 0.0)


def _changes(title: str, findings: Sequence[Finding], label: int) -> Element:
    titles = (title, "Before → now", "Change (95 % interval)")
    return table((5, 4, 6), titles, [_change_row(finding, label) for finding in findings])


def _change_row(finding: Finding, label: int) -> list[list[Element]]:
    scale = scale_for(finding.metric, finding.unit, (finding.current, finding.baseline))
    if not _moved(finding):
        return [
            _name(finding, label),
            [text(scale.text(finding.current))],
            [text(plain(finding.reason.rstrip("."), label), **_BAD)],
        ]
    values = f"{scale.text(finding.baseline)} → {scale.text(finding.current)}"
    change = [text(human_effect(finding), **_BAD)]
    if words := _interval_and_limit(finding):
        change.append(text(words, **_SUBTLE))
    return [_name(finding, label), [text(values)], change]


def _interval_and_limit(finding: Finding) -> str:
    interval = human_interval(finding)
    if finding.detector != "rule" and finding.effect is not None and finding.matters is not None:
        counts = f"counts from {human_size(finding, finding.matters)}"
    elif finding.limit is not None:
        counts = f"limit {human_limit(finding.limit, finding.higher_is_better)}"
    else:
        counts = ""
    return "; ".join(filter(None, (interval, counts)))


def untold_section(verdict: Verdict | None, most: int, label: int) -> list[Element]:
    """What could not be told: what a weak suite would have shown, and why others could not be compared."""
    if verdict is None or not most or verdict.status in ("pass", "better"):
        return []
    untold = [finding for finding in verdict.worst if finding.status in (*UNTOLD, "underpowered")]
    shown = untold[:most]
    weak = [finding for finding in shown if finding.status == "underpowered" and finding.mde is not None]
    elements = []
    if weak:
        titles = ("No loss seen, but", "Change (95 % interval)", "Could have lost unseen")
        elements.append(table((5, 4, 6), titles, [_weak_row(finding, label) for finding in weak]))
    others = [finding for finding in shown if finding not in weak]
    if others:
        elements.append(heading("What could not be told"))
    for finding in others:
        words, reason = finding.status.replace("_", " "), plain(finding.reason, 2 * label)
        elements.append(text(f"**{finding_label(finding.metric, label)}**: {words}, {reason}", spacing="Small"))
    if len(untold) > most:
        elements.append(text(f"And {len(untold) - most} more; the report has them all.", isSubtle=True))
    return elements


def _weak_row(finding: Finding, label: int) -> list[list[Element]]:
    change = [text(human_effect(finding))]
    if interval := human_interval(finding):
        change.append(text(interval, **_SUBTLE))
    unseen = [text(f"up to {human_size(finding, finding.mde)}", color="Warning", weight="Bolder")]
    # The reason ends with what it would take: "…; to see 2 points it takes about 1,400 items instead of 50."
    unseen.append(text(plain(finding.reason.rpartition("; ")[2], 2 * label), **_SUBTLE))
    return [_name(finding, label), change, unseen]


def flip_section(flips: Sequence[FlippedAnswer], most: int, letters: int) -> list[Element]:
    """Items that lost, with what was asked and said, as far as their texts were kept."""
    shown = flips[:most]
    if not shown:
        return []
    elements = [heading("Answers that got worse")]
    for flip in shown:
        score = f"{_score(flip.before)} → {_score(flip.now)}"
        asked = plain(flip.prompt, 2 * letters) if flip.prompt else f"item {plain(flip.item, 16)}"
        elements.append(text(f"**{plain(flip.suite, 40)}**, score {score}: {asked}", spacing="Small"))
        parts = (("expected", flip.expected), ("before", flip.answer_before), ("now", flip.answer))
        said = [f"{name}: {plain(words, letters) or '(nothing)'}" for name, words in parts if words is not None]
        if said:
            elements.append(text(" · ".join(said), **_SUBTLE))
    return elements


def _score(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def speed_section(stages: Sequence[StageSpeed], verdict: Verdict | None, most: int) -> list[Element]:
    """The throughput-latency curve: a row per stage, each figure with its change against the releases before."""
    shown = stages[:most]
    if not shown:
        return []
    judged = {finding.metric: finding.status for finding in verdict.findings} if verdict else {}
    runs = max(stage.runs for stage in shown)
    against = f"Speed against {runs} run{'s' if runs != 1 else ''}" if runs else "Speed"
    titles = (against, "Tokens", "TTFT", "TPOT")
    rows = [
        [
            [text(plain(stage.stage.removeprefix("load/"), 60))],
            *(_figure(figure, judged) for figure in (stage.throughput, stage.ttft, stage.tpot)),
        ]
        for stage in shown
    ]
    return [table((6, 5, 5, 4), titles, rows)]


def _figure(figure: SpeedFigure, judged: Mapping[str, str]) -> list[Element]:
    value = scale_for(figure.metric, figure.unit, (figure.now,)).text(figure.now)
    statistic = _STATISTIC.search(figure.metric)
    change = human_change(figure.change) if figure.change is not None else ""
    words = " ".join(filter(None, (statistic[1] if statistic and figure.now is not None else "", change)))
    if not words:
        return [text(value)]
    status = judged.get(figure.metric)
    style = {"color": "Attention"} if status == "worse" else _GOOD if status == "better" else {}
    return [text(value), text(words, **_SUBTLE | ({"isSubtle": False} | style if style else {}))]


def failure_section(notice: RunNotice, letters: int) -> list[Element]:
    """Step, cause and the next action of a run that failed."""
    failure = notice.failure
    if notice.outcome != "failure" or failure is None:
        return []
    return [
        facts(
            (
                ("Step", plain(failure.step, 128) if failure.step else "outside of a step"),
                ("Cause", plain(failure.cause, letters)),
                ("Do next", plain(failure.action, letters)),
            )
        )
    ]


def _sensitivity(verdict: Verdict | None) -> str | None:
    """What "not worse" is worth: the smallest loss that no judged metric would have hidden."""
    if verdict is None or verdict.status not in ("pass", "better"):
        return None
    parts = []
    for area, words in (("quality", "any judged score"), ("performance", "any judged speed")):
        told = [f for f in verdict.findings if f.area == area and f.status in ("pass", "better") and f.mde is not None]
        if told:
            weakest = max(told, key=lambda finding: finding.mde or 0.0)
            parts.append(f"a loss of {human_size(weakest, weakest.mde)} in {words}")
    return ", ".join(parts) or None


def facts_section(notice: RunNotice) -> list[Element]:
    """What was measured, with what, and when."""
    target = notice.target
    pairs: list[tuple[str, str | None]] = []
    if target is not None:
        engine = f"{target.endpoint.engine} {target.endpoint.engine_version}".strip()
        pairs.append(("Measured", f"{target.endpoint.model} on {engine}, {target.hardware}, profile {target.profile}"))
    pairs.append(("Image", short_hash(notice.image_digest)))
    if notice.verdict is not None and notice.verdict.baseline_runs:
        runs = len(notice.verdict.baseline_runs)
        pairs.append(("Held against", f"{runs} earlier run{'s' if runs != 1 else ''}"))
    pairs.append(("Would have shown", _sensitivity(notice.verdict)))
    if notice.finished_at is not None:
        took = ""
        if notice.started_at is not None:
            took = f", took {human_duration((notice.finished_at - notice.started_at).total_seconds())}"
        pairs.append(("Ended", f"{human_time(notice.finished_at)}{took}"))
    pairs.append(("Run", notice.run_id))
    if notice.report_url is not None and not opens_in_teams(notice.report_url):
        pairs.append(("Report", notice.report_url))
    return [facts((title, plain(value, 200)) for title, value in pairs if value and value != NONE)]
