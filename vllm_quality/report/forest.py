"""The forest plot: an effect with its interval per row, all rows over one axis on which worse is always to the left."""

from collections.abc import Iterable
from dataclasses import dataclass

from vllm_quality.report.svg import Axis, Plot
from vllm_quality.report.units import as_share
from vllm_quality.verdict.types import Finding, Status

_WIDTH, _HEIGHT, _EDGE = 260, 26, 8
_ZONES_SHOWN = 8  # an axis is at most so many times as long as what matters; what is beyond is an arrow


@dataclass(frozen=True)
class Spot:
    """A finding on the axis: positive is better, whichever direction is good. All are shares: of a hundred points, or of
    what was before.

    worst, best  the interval's ends; None where nothing was tested
    matters      the smallest loss that must not go unseen
    mde          the smallest loss that would have shown
    """

    gain: float
    worst: float | None
    best: float | None
    matters: float | None
    mde: float | None
    status: Status


def spot_of(finding: Finding) -> Spot | None:
    """Where a finding lies: its tested effect, else the bare difference; None where there is neither."""
    sign = 1.0 if finding.higher_is_better else -1.0
    effect = finding.effect
    if effect is None and finding.change is not None:
        raw = finding.area == "quality" and finding.current is not None and finding.baseline is not None
        effect = (finding.current or 0.0) - (finding.baseline or 0.0) if raw else finding.change
    if effect is None:
        return None

    def share(difference: float | None) -> float | None:
        return None if difference is None else as_share(finding, difference)

    ends = [sign * as_share(finding, end) for end in (finding.low, finding.high) if end is not None]
    worst, best = sorted(ends) if len(ends) == 2 else (None, None)
    gain = sign * as_share(finding, effect)
    return Spot(gain, worst, best, share(finding.matters), share(finding.mde), finding.status)


@dataclass(frozen=True)
class ForestAxis:
    """The axis of all rows of one plot: as far to the left as to the right of no change."""

    reach: float

    @classmethod
    def over(cls, spots: Iterable[Spot], matters: float, longest: float) -> "ForestAxis":
        """The axis that shows these spots, and what matters in any case, but nothing beyond `longest`."""
        ends = [abs(end) for spot in spots for end in (spot.gain, spot.worst, spot.best) if end is not None]
        most = max(ends, default=0.0) * 1.08
        return cls(min(max(most, 2 * matters), _ZONES_SHOWN * matters, longest))

    @property
    def pixels(self) -> Axis:
        """From values to places in a row's drawing."""
        return Axis(-self.reach, self.reach, _EDGE, _WIDTH - _EDGE)

    def scale(self, unit: str) -> str:
        """The head of the column: which side is worse, and how far from no change."""
        x, plot = self.pixels, Plot(_WIDTH, 34, "")
        plot.text(_EDGE, 11, "← worse", "tick")
        plot.text(_WIDTH - _EDGE, 11, "better →", "tick", "end")
        for value in x.ticks(6):
            label = f"{abs(value) * 100:g}" if value else "0"
            plot.line((x.at(value), 29), (x.at(value), 34), "zero" if value == 0 else "grid")
            inside = min(max(x.at(value), 14), _WIDTH - 14)
            plot.text(inside, 26, f"{label}{unit}", "tick", "middle")
        return plot.render()

    def row(self, spot: Spot) -> str:
        """One row. It says nothing that its neighbours in the table do not say in words."""
        x, middle, plot = self.pixels, _HEIGHT / 2, Plot(_WIDTH, _HEIGHT, "")
        if spot.matters is not None:
            left, right = x.at(-spot.matters), x.at(spot.matters)
            plot.bar(left, 0, right - left, _HEIGHT, "zone")
        plot.line((x.at(0), 0), (x.at(0), _HEIGHT), "zero")
        if spot.mde is not None and spot.mde <= self.reach:
            plot.line((x.at(-spot.mde), 2), (x.at(-spot.mde), _HEIGHT - 2), "mde")
        if spot.worst is not None and spot.best is not None:
            plot.line((x.at(spot.worst), middle), (x.at(spot.best), middle), f"interval {spot.status}")
            for end, outwards in ((spot.worst, -1), (spot.best, 1)):
                self._end(plot, end, outwards, spot.status)
        at = (x.at(spot.gain), middle)
        if abs(spot.gain) > self.reach:
            self._arrow(plot, spot.gain, 9, spot.status)
        elif spot.status == "worse":
            plot.diamond(at, 7, "marker worse")
        else:
            plot.circle(at, 5, f"marker {spot.status}", "")
        return plot.render()

    def _end(self, plot: Plot, end: float, outwards: int, status: Status) -> None:
        at, middle = self.pixels.at(end), _HEIGHT / 2
        if abs(end) <= self.reach:
            plot.line((at, middle - 4), (at, middle + 4), f"interval {status}")
        elif (end > 0) == (outwards > 0):
            self._arrow(plot, end, 6, status)

    def _arrow(self, plot: Plot, beyond: float, size: float, status: Status) -> None:
        """Whatever lies beyond the axis is an arrow at its end."""
        outwards, middle = (1 if beyond > 0 else -1), _HEIGHT / 2
        tip = self.pixels.at(beyond) + outwards * _EDGE
        back = tip - outwards * 1.4 * size
        plot.polygon([(tip, middle), (back, middle - size), (back, middle + size)], f"marker {status}")
