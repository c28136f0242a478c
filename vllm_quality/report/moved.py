"""What else moved: signals of what answers look like, which nothing is worse for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vllm_quality.report.units import (
    human_effect,
    human_interval,
    metric_label,
    metric_place,
    scale_for,
    split_slice,
)
from vllm_quality.verdict.metrics import definition_of
from vllm_quality.verdict.statistics.decide import once_in
from vllm_quality.verdict.types import Finding, Moved


@dataclass(frozen=True)
class MovedRow:
    """One signal in words.

    values    before and now
    change    with its unit; `interval` is its 95 % interval, "" for items that changed sides
    releases  that chance takes for one such change
    """

    metric: str
    title: str
    place: str
    values: str
    change: str
    interval: str
    releases: str
    n: str


def moved_rows(signals: Iterable[Moved]) -> Sequence[MovedRow]:
    """The signals, the surest first as they come."""
    return [_row(signal) for signal in signals]


def _row(signal: Moved) -> MovedRow:
    path, part = split_slice(signal.metric)
    definition = definition_of(path)
    unit = definition.unit if definition is not None and not part else ""
    finding = _as_finding(signal, unit)
    scale = scale_for(path, unit, (signal.baseline, signal.current))
    return MovedRow(
        metric=signal.metric,
        title=signal.title,
        place=metric_label(path) if part else metric_place(path),
        values=scale.pair(signal.baseline, signal.current),
        change=human_effect(finding),
        interval=human_interval(finding),
        releases=once_in(signal.p_adjusted),
        n=f"{signal.n:,}",
    )


def _as_finding(signal: Moved, unit: str) -> Finding:
    """The signal as what it would be if it were judged: its change is written in the same units."""
    return Finding(
        metric=signal.metric,
        area="quality",
        status="pass",
        current=signal.current,
        baseline=signal.baseline,
        change=None,
        limit=None,
        higher_is_better=True,
        unit=unit,
        reason="",
        effect=signal.current - signal.baseline,
        low=signal.low,
        high=signal.high,
    )
