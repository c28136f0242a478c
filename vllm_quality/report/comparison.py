"""The table that the verdict rests on: every compared metric with its effect, interval and power, worst first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vllm_quality.report.forest import ForestAxis, Spot, spot_of
from vllm_quality.report.units import (
    NONE,
    Scale,
    human_change,
    human_effect,
    human_interval,
    human_size,
    is_relative,
    metric_place,
    metric_title,
    scale_for,
    split_slice,
)
from vllm_quality.verdict.repeats import REPEAT_WORDS
from vllm_quality.verdict.types import UNTOLD, Finding, Status

_ORDER: tuple[Status, ...] = ("worse", "invalid", "not_comparable", "no_baseline", "underpowered", "pass", "better")
_WORDS: dict[Status, str] = {
    "worse": "Worse",
    "better": "Better",
    "pass": "Not worse",
    "underpowered": "Too few to tell",
    "invalid": "Not trusted",
    "not_comparable": "Not comparable",
    "no_baseline": "No baseline",
}


@dataclass(frozen=True)
class _Scale:
    """What has one axis. suffix: of a number on it; usual: what mostly matters; longest: where it ends at the latest."""

    title: str
    unit: str
    suffix: str
    usual: float
    longest: float


_POINTS = _Scale("Quality", "in points of a hundred", "", 0.02, 1.0)
_OTHER = _Scale("Other quality", "relative", " %", 0.02, 1.0)
_SPEED = _Scale("Speed", "relative", " %", 0.10, 10.0)


@dataclass(frozen=True)
class ComparisonRow:
    """One metric, or one part of a suite, in words. `plot` is its row of the forest plot; "" without an effect.

    marks (kind, words) beside the verdict: what a second measurement said, and whether it is a loss in small steps
    rule  what the plain rule of a relative change says, `rule_says_worse` whether that is "worse"
    mde   the smallest loss that would have shown
    note  what the reason says beyond the figures: how likely by chance, how many items it would take
    """

    metric: str
    title: str
    place: str
    status: Status
    status_words: str
    values: str
    effect: str
    interval: str
    mde: str
    rule: str
    rule_says_worse: bool
    note: str
    plot: str
    marks: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Comparison:
    """The rows of one kind over one axis, "" where no row has an effect; `rest` are those that are folded away."""

    title: str
    unit: str
    axis: str
    rows: Sequence[ComparisonRow]
    rest: Sequence[ComparisonRow]


def comparisons(findings: Iterable[Finding], most: int) -> list[Comparison]:
    """What was compared, quality before speed, `most` rows of each in view, and all with a mark.

    What could not be compared is left out.
    """
    told = in_order(finding for finding in findings if finding.status not in UNTOLD)
    groups = [(scale, [finding for finding in told if _scale(finding) is scale]) for scale in (_POINTS, _OTHER, _SPEED)]
    return [_comparison(scale, own, most) for scale, own in groups if own]


def _scale(finding: Finding) -> _Scale:
    if finding.area == "performance":
        return _SPEED
    return _OTHER if is_relative(finding) else _POINTS


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Worst first: by status, then by the loss as a multiple of what matters.

    What broke a fixed limit leads those that are worse.
    """

    def badness(finding: Finding) -> tuple[int, float, str]:
        spot = spot_of(finding)
        if spot is None:
            gain = float("-inf") if finding.status == "worse" else float("inf")
        else:
            gain = spot.gain / (spot.matters or _scale(finding).usual)
        return _ORDER.index(finding.status), gain, finding.metric

    return sorted(findings, key=badness)


def _comparison(scale: _Scale, findings: Sequence[Finding], most: int) -> Comparison:
    spots = [spot_of(finding) for finding in findings]
    known = [spot for spot in spots if spot is not None]
    matters = max((spot.matters for spot in known if spot.matters is not None), default=scale.usual)
    axis = ForestAxis.over(known, matters, scale.longest)
    rows = [_row(finding, spot, axis) for finding, spot in zip(findings, spots, strict=True)]
    drawn = axis.scale(scale.suffix) if known else ""
    later = rows[most:]
    shown = rows[:most] + [row for row in later if row.marks]
    return Comparison(scale.title, scale.unit, drawn, shown, [row for row in later if not row.marks])


def _row(finding: Finding, spot: Spot | None, axis: ForestAxis) -> ComparisonRow:
    path, part = split_slice(finding.metric)
    scale = scale_for(path, finding.unit, (finding.current, finding.baseline))
    place = metric_place(path)
    return ComparisonRow(
        metric=finding.metric,
        title=metric_title(path) if place else finding.metric,
        place=f"{place}, {part}" if part else place,
        status=finding.status,
        status_words=_WORDS[finding.status],
        values=_values(scale, finding),
        effect=human_effect(_with_difference(finding)),
        interval=human_interval(finding) or ("not tested" if spot is not None else ""),
        mde=human_size(finding, finding.mde),
        rule=_rule(finding),
        rule_says_worse=bool(finding.rule_says_worse),
        note=_note(finding),
        plot=axis.row(spot) if spot is not None else "",
        marks=_marks(finding),
    )


def _marks(finding: Finding) -> list[tuple[str, str]]:
    """What stands beside the verdict: (kind, words)."""
    drift = [("drift", "drift")] if finding.detector == "drift" else []
    return drift + ([(finding.repeat, REPEAT_WORDS[finding.repeat])] if finding.repeat else [])


def _with_difference(finding: Finding) -> Finding:
    """A score that was not tested moved by points as well, as its neighbours in the table did."""
    if finding.effect is not None or finding.area != "quality" or finding.current is None or finding.baseline is None:
        return finding
    return replace(finding, effect=finding.current - finding.baseline)


def _values(scale: Scale, finding: Finding) -> str:
    if finding.baseline is None:
        return _unbroken(scale.text(finding.current))
    return _unbroken(scale.pair(finding.baseline, finding.current)).replace(
        "\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}", " → "
    )


def _unbroken(text: str) -> str:
    """A number never stands at the end of a line with its unit on the next."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _note(finding: Finding) -> str:
    before = f"The first time: {finding.first.partition('; ')[0].rstrip('.')}." if finding.first else ""
    if finding.status in ("pass", "better"):
        return before
    # A tested finding's reason begins with the figures that have columns of their own here, but for how drift was seen.
    _, _, rest = finding.reason.partition("; ")
    said = rest if rest and finding.effect is not None and finding.detector != "drift" else finding.reason
    return f"{said[:1].upper()}{said[1:]} {before}".strip()


def _rule(finding: Finding) -> str:
    if finding.rule_says_worse is None or finding.limit is None:
        return NONE
    said = "worse" if finding.rule_says_worse else "fine"
    limit = _unbroken(f"{finding.limit * 100:g} %")
    return f"{said}, {_unbroken(human_change(finding.change))} with a limit of {limit}"
