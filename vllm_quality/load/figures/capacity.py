"""The highest rate whose goodput holds: a search as a state machine, that is told what each probe gave.

Rates lie on a geometric grid. From the lowest one up they double until one is refused; then the gap between the highest
that held and the lowest that did not is halved until they are neighbours on the grid. A probe is decided by the Wilson
interval of its goodput: all above the target it holds, all below it is refused. One that cannot be decided so is repeated,
longer, up to the longest that is allowed, and then goes by its point estimate, marked undecided. The rate that is left at
the end is tried once more, for the longest time: of many probes, the luckiest one decides how high a search goes.

A queue that grows refuses a rate as well, though every request of the probe may still have been good: it is only a matter
of time. Arrivals pile up by chance too, so a queue that grew under a goodput that holds is given one longer probe.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

import polars as pl

from vllm_quality.load.figures.goodput import good, origin_of
from vllm_quality.load.figures.steady import busy_window, queue_growth
from vllm_quality.load.result import Capacity, Probe
from vllm_quality.load.scenario import CapacitySettings, Slo

_LEAST_BLOCK = 4
_SPARE = 1.2  # a repeated probe is so much longer than its estimate would need


@dataclass(frozen=True)
class ProbeSpec:
    """What to play next: an open loop of this rate for so long. attempt: 1, and more where it is a repetition."""

    rate: float
    duration_s: float
    attempt: int


@dataclass(frozen=True)
class ProbeOutcome:
    """What a probe gave.

    total, good   requests sent, failed ones included, and those of them within the SLO
    clustering    by how much more the good ones' share varies along the probe than if each were good or not by itself:
                  requests that wait in one queue are bad together, and n of them say no more than n / clustering
    """

    good: int
    total: int
    queue_grew: bool
    clustering: float = 1.0


def probe_outcome(frame: pl.DataFrame, slo: Slo) -> ProbeOutcome:
    """What a probe's requests say. frame: open loop, `records.RECORD_SCHEMA`.

    Only those count that began when the number in flight had come up: the first ones met an empty server.
    """
    window = busy_window(frame, open_loop=True)
    told = frame.select(origin=origin_of(open_loop=True), good=good(slo, open_loop=True)).sort("origin")
    if window is not None:
        told = told.filter(pl.col("origin") >= window[0])
    kept = told["good"].to_list()
    return ProbeOutcome(sum(kept), len(kept), queue_growth(frame, window) is not None, _clustering(kept))


def _clustering(kept: Sequence[bool]) -> float:
    """The design effect of a share, from the variance between blocks of neighbours (Kish, 1965)."""
    block = math.isqrt(len(kept))
    share = fmean(kept) if kept else 0.0
    if block < _LEAST_BLOCK or share in (0, 1):
        return 1.0
    means = [fmean(kept[at : at + block]) for at in range(0, len(kept) - block + 1, block)]
    return min(float(block), max(1.0, variance(means) * block / (share * (1 - share))))


def wilson(share: float, total: float, confidence: float) -> tuple[float, float]:
    """The interval of a share of so many (Wilson, JASA 22, 1927): (low, high); (0, 1) of nothing."""
    if not total:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    spread = z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, centre - half), min(1.0, centre + half)


class CapacitySearch:
    """Ask `next` for a probe, play it, `take` its outcome, until `next` is None; then there is a `result`."""

    def __init__(self, spec: CapacitySettings, slo: Slo) -> None:
        self._spec, self._target = spec, slo.target
        self._rates = _grid(spec.lowest, spec.highest, spec.step)
        self._stride = max(1, round(math.log(2) / math.log(spec.step)))
        self._held, self._refused = -1, len(self._rates)
        self._place, self._attempt, self._duration = 0, 1, spec.probe_s
        self._confirmed = self._over = False
        self._probes: list[Probe] = []

    def next(self) -> ProbeSpec | None:
        """The next probe; None when the search is over."""
        if self._over:
            return None
        return ProbeSpec(self._rates[self._place], self._duration, self._attempt)

    def take(self, outcome: ProbeOutcome) -> Probe:
        """Go on from what the last probe gave; how it was judged."""
        share = outcome.good / outcome.total if outcome.total else 0.0
        told_by = outcome.total / outcome.clustering
        low, high = wilson(share, told_by, self._spec.confidence)
        holds: bool | None = True if low >= self._target else False if high < self._target else None
        longest = self._duration >= self._spec.longest_probe_s
        if outcome.queue_grew and holds is not False:
            # Once may be chance.
            holds = False if longest or self._attempt > 1 else None
        rate = self._rates[self._place]
        probe = Probe(rate, outcome.total, outcome.good, share, low, high, outcome.queue_grew, holds)
        self._probes.append(probe)
        if holds is None and not longest:
            self._attempt += 1
            self._duration = min(self._spec.longest_probe_s, self._duration * self._longer(share, told_by))
        else:
            self._move(holds=share >= self._target if holds is None else holds, longest=longest)
        return probe

    def result(self) -> Capacity:
        """What is known so far, and all that is asked for once `next` is None."""
        held = self._rates[self._held] if self._held >= 0 else None
        refused = self._rates[self._refused] if self._refused < len(self._rates) else None
        return Capacity(
            rate=held,
            refused_rate=refused,
            target=self._target,
            confidence=self._spec.confidence,
            probes=tuple(self._probes),
            sentence=self._sentence(held, refused),
        )

    def _longer(self, share: float, total: float) -> float:
        """By which factor to prolong a probe so that its interval, if it is centred where it is now, decides."""
        distance = abs(share - self._target)
        if not total or not distance:
            return math.inf
        z = NormalDist().inv_cdf(0.5 + self._spec.confidence / 2)
        needed = z * z * max(self._target * (1 - self._target), share * (1 - share)) / distance**2
        return max(2.0, _SPARE * needed / total)

    def _move(self, *, holds: bool, longest: bool) -> None:
        """Take the last rate for one that holds or not, and go to the next one."""
        if holds:
            self._held = self._place
            self._confirmed = longest
        else:
            # A rate that is tried again for the longest time may fall; the next lower one is then to be confirmed.
            self._held = min(self._held, self._place - 1)
            self._refused = self._place
        self._attempt, self._duration = 1, self._spec.probe_s
        last = len(self._rates) - 1
        if self._refused - self._held > 1:
            upward = min(last, self._held + self._stride)
            self._place = upward if self._refused > last else (self._held + self._refused) // 2
        elif self._held < 0 or self._confirmed:
            self._over = True
        else:
            self._place, self._duration = self._held, self._spec.longest_probe_s

    def _sentence(self, held: float | None, refused: float | None) -> str:
        share = f"{self._target:.4g} of the requests"
        if held is None and refused is None:
            return "No rate was decided."
        if held is None:
            return f"Not even the lowest rate, {refused:.4g} requests/s, keeps {share} within the SLO."
        if refused is None and self._over:
            return f"The capacity was not reached by {held:.4g} requests/s, which keep {share} within the SLO."
        tail = f"; {refused:.4g} do not" if refused is not None else ""
        unsure = [probe.rate for probe in self._probes if probe.holds is None and probe.rate in (held, refused)]
        decided = {probe.rate for probe in self._probes if probe.holds is not None}
        open_ = sorted({rate for rate in unsure if rate not in decided})
        doubt = (
            f" (at {' and '.join(f'{rate:.4g}' for rate in open_)} within the error of the longest probe)"
            if open_
            else ""
        )
        return f"{held:.4g} requests/s keep {share} within the SLO{tail}{doubt}."


def _grid(lowest: float, highest: float, step: float) -> list[float]:
    """Rates from the lowest to the highest, both included, each at most `step` times the one before."""
    steps = max(1, math.ceil(math.log(highest / lowest) / math.log(step) - 1e-9))
    ratio = (highest / lowest) ** (1 / steps)
    return [float(f"{lowest * ratio**place:.6g}") for place in range(steps)] + [highest]
