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
    is_share,
    metric_place,
    metric_title,
    scale_for,
    split_slice,
)
from vllm_quality.verdict.types import UNTOLD, Finding, FindingArea, Status

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
# Title, unit, what follows a number on the axis, what usually matters, and where the axis ends at the latest.
_AREAS: dict[FindingArea, tuple[str, str, str, float, float]] = {
    "quality": ("Quality", "in points of a hundred", "", 0.02, 1.0),
    "performance": ("Speed", "relative", " %", 0.10, 10.0),
}


@dataclass(frozen=True)
class ComparisonRow:
    """One metric, or one part of a suite, in words. `plot` is its row of the forest plot; "" without an effect.

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


@dataclass(frozen=True)
class Comparison:
    """The rows of one area over one axis, "" where no row has an effect; `rest` are those that are folded away."""

    title: str
    unit: str
    axis: str
    rows: Sequence[ComparisonRow]
    rest: Sequence[ComparisonRow]


def comparisons(findings: Iterable[Finding], most: int) -> list[Comparison]:
    """What was compared, quality before speed, `most` rows of each in view. What could not be compared is left out."""
    told = [finding for finding in findings if finding.status not in UNTOLD]
    found = []
    for area in _AREAS:
        own = [finding for finding in in_order(told) if finding.area == area]
        if own:
            found.append(_comparison(area, own, most))
    return found


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Worst first: by status, then by the loss as a multiple of what matters.

    What broke a fixed limit leads those that are worse.
    """

    def badness(finding: Finding) -> tuple[int, float, str]:
        spot = spot_of(finding)
        if spot is None:
            gain = float("-inf") if finding.status == "worse" else float("inf")
        else:
            gain = spot.gain / (finding.matters or _AREAS[finding.area][3])
        return _ORDER.index(finding.status), gain, finding.metric

    return sorted(findings, key=badness)


def _comparison(area: FindingArea, findings: Sequence[Finding], most: int) -> Comparison:
    title, unit, suffix, usual, longest = _AREAS[area]
    spots = [spot_of(finding) if is_share(finding) else None for finding in findings]
    matters = max((finding.matters for finding in findings if finding.matters is not None), default=usual)
    axis = ForestAxis.over([spot for spot in spots if spot is not None], matters, longest)
    rows = [_row(finding, spot, axis) for finding, spot in zip(findings, spots, strict=True)]
    drawn = axis.scale(suffix) if any(spots) else ""
    return Comparison(title, unit, drawn, rows[:most], rows[most:])


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
    )


def _with_difference(finding: Finding) -> Finding:
    """A score that was not tested moved by points as well, as its neighbours in the table did."""
    if finding.effect is not None or finding.area != "quality" or finding.current is None or finding.baseline is None:
        return finding
    return replace(finding, effect=finding.current - finding.baseline)


def _values(scale: Scale, finding: Finding) -> str:
    values = [finding.current] if finding.baseline is None else [finding.baseline, finding.current]
    return " → ".join(_unbroken(scale.text(value)) for value in values)


def _unbroken(text: str) -> str:
    """A number never stands at the end of a line with its unit on the next."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _note(finding: Finding) -> str:
    if finding.status in ("pass", "better"):
        return ""
    # A tested finding's reason begins with the figures that have columns of their own here.
    _, _, rest = finding.reason.partition("; ")
    said = rest if rest and finding.effect is not None else finding.reason
    return f"{said[:1].upper()}{said[1:]}"


def _rule(finding: Finding) -> str:
    if finding.rule_says_worse is None or finding.limit is None:
        return NONE
    said = "worse" if finding.rule_says_worse else "fine"
    limit = _unbroken(f"{finding.limit * 100:g} %")
    return f"{said}, {_unbroken(human_change(finding.change))} with a limit of {limit}"
