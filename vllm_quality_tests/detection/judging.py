"""One recorded release against a window of others: every suite and slice tested together, the PRD's rule beside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np  # noqa: TID253

from vllm_quality.verdict.statistics.decide import Decision, Rule, Trial, decide
from vllm_quality.verdict.statistics.dispersion import observed, shared
from vllm_quality.verdict.statistics.quality import compare_items
from vllm_quality_tests.detection.recordings import Items, Release

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

LEAST_SLICE = 25  # items
RULE = Rule(alpha=0.01, matters=0.02, budget=0.005)  # as the packaged thresholds.yaml has it
PRD_SHARE = 0.10


@dataclass(frozen=True)
class Judged:
    """What became of a release.

    decisions  by suite, and by suite/slice
    by_rule    the suites that the PRD's rule calls worse
    """

    decisions: Mapping[str, Decision]
    by_rule: tuple[str, ...]

    @property
    def mde(self) -> dict[str, float]:
        """The smallest loss that would have shown, by the same names."""
        return {name: decision.mde for name, decision in self.decisions.items()}

    @property
    def worse(self) -> tuple[str, ...]:
        """The suites and slices that are worse."""
        return tuple(name for name, decision in self.decisions.items() if decision.verdict == "worse")


def scores_of(release: Release, items: Mapping[str, Items]) -> dict[str, "Scores"]:
    """Suite -> the primary metric of each item; an item without a score counts as wrong, as a missing answer does."""
    return {
        suite: np.array([score or 0.0 for score in run.scores[items[suite].metric]])
        for suite, run in release.suites.items()
    }


def judge(
    window: Sequence[Mapping[str, "Scores"]],
    current: Mapping[str, "Scores"],
    items: Mapping[str, Items],
    rule: Rule = RULE,
) -> Judged:
    """Hold a release against a window of runs, the newest last."""
    past = {suite: np.array([run[suite] for run in window]) for suite in current}
    phi = shared({suite: observed(runs) for suite, runs in past.items()})
    trials = []
    for suite, name, chosen in _parts(items):
        clusters = [name for name, here in zip(items[suite].clusters, chosen, strict=True) if here]
        # A slice is too small to tell how much more than its items it scatters; its suite can.
        before, now = past[suite][:, chosen], current[suite][chosen].tolist()
        effect = compare_items(before, now, clusters, phi[suite])
        if effect is not None:
            trials.append(Trial(name, effect, True, rule))
    below = [suite for suite in current if current[suite].mean() < (1 - PRD_SHARE) * past[suite].mean()]
    return Judged({decision.trial.name: decision for decision in decide(trials)}, tuple(below))


def _parts(items: Mapping[str, Items]) -> Iterator[tuple[str, str, "NDArray[np.bool_]"]]:
    """(suite, name, which of its items): each suite as a whole, then its slices that are large enough."""
    for suite, own in items.items():
        slices = np.array(own.slices)
        yield suite, suite, np.ones(len(slices), dtype=bool)
        for name in sorted(set(own.slices)):
            if (slices == name).sum() >= LEAST_SLICE:
                yield suite, f"{suite}/{name}", slices == name
