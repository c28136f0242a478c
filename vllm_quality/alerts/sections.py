"""The sections of a run's card, each a list of elements; empty when there is nothing to say."""

import re
from collections.abc import Mapping, Sequence

from vllm_quality.alerts.elements import Element, heading, table, text
from vllm_quality.alerts.markdown import plain
from vllm_quality.alerts.notice import FlippedAnswer, RunNotice, SpeedFigure, StageSpeed
from vllm_quality.report.moved import moved_rows
from vllm_quality.report.units import (
    as_share,
    human_change,
    human_effect,
    human_interval,
    human_limit,
    human_size,
    metric_label,
    metric_place,
    metric_title,
    scale_for,
    split_slice,
)
from vllm_quality.verdict.repeats import REPEAT_WORDS
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
    """From where to where it moved, plain: "52.2 % → 49.8 % (−2.4 points; measured twice)"; the reason where it broke a
    fixed limit.
    """
    if not _moved(finding):
        return plain(finding.reason.rstrip("."), 160)
    scale = scale_for(finding.metric, finding.unit, (finding.current, finding.baseline))
    how = "; ".join((human_effect(finding), *_remarks(finding)))
    return f"{scale.pair(finding.baseline, finding.current)} ({how})"


def _remarks(finding: Finding) -> list[str]:
    """How it was found, beyond a single measurement against the newest releases."""
    drift = ["drift, against the oldest releases"] if finding.detector == "drift" else []
    return drift + ([REPEAT_WORDS[finding.repeat]] if finding.repeat else [])


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
    return abs(finding.change or 0.0 if finding.effect is None else as_share(finding, finding.effect))


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
    values = scale.pair(finding.baseline, finding.current)
    change = [text(human_effect(finding), **_BAD)]
    if words := _interval_and_limit(finding):
        change.append(text(words, **_SUBTLE))
    if remarks := _remarks(finding):
        change.append(text("; ".join(remarks), size="Small", spacing="None", weight="Bolder"))
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


def moved_section(verdict: Verdict | None, most: int, label: int) -> list[Element]:
    """Signals that changed and that nothing is worse for, a line each."""
    rows = moved_rows(verdict.moved) if verdict else ()
    elements = []
    for number, row in enumerate(rows[:most], start=1):
        hidden = len(rows) - most if number == most else 0
        more = f"; {hidden} more in the report" if hidden > 0 else ""
        what = plain(f"{row.place}, {row.title}", label)
        elements.append(
            text(f"Also moved: {what} {row.values} ({row.change}){more}", spacing="Medium" if number == 1 else "Small")
        )
    return elements


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
