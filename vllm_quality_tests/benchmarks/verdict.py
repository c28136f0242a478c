"""How often a verdict is right: simulated releases, seeded, with the PRD's rule beside ours.

    python -m vllm_quality_tests.benchmarks.verdict [--releases 2000]

A greedy benchmark: most items are always right or always wrong, a few are decided anew in every run. A loss takes one and a
half times as many items as it nets, and gives half of it back. Five accepted runs, then the release that is judged.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np  # noqa: TID253
from numpy.typing import NDArray  # noqa: TID253

from vllm_quality.verdict.statistics.decide import Rule, Trial, decide
from vllm_quality.verdict.statistics.dispersion import observed, shared
from vllm_quality.verdict.statistics.quality import compare_items

Items = NDArray[np.float64]
RUNS = 5


@dataclass(frozen=True)
class Suite:
    """A benchmark: items, the share that is right, and the share that two runs of one model answer differently."""

    items: int = 1000
    right: float = 0.7
    flips: float = 0.02


FAMILY = (Suite(),) * 6 + (Suite(200, flips=0.1),) * 3 + (Suite(50, 0.6, 0.2),) * 3
STEADY = (Suite(flips=0),) * 6 + (Suite(200, flips=0),) * 3 + (Suite(50, 0.6, 0),) * 3


class World:
    """Draws models and their runs."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def model(self, suite: Suite) -> Items:
        """Each item's chance of being right. A share of 3 * flips is undecided, as likely near 0 as near 1."""
        n = suite.items
        undecided = self.random.random(n) < min(1.0, 3 * suite.flips)
        return np.where(undecided, self.random.random(n), (self.random.random(n) < suite.right).astype(float))

    def run(self, model: Items, shift: float = 0.0) -> Items:
        """One run's scores. A shift moves all undecided items of the run together."""
        moved = self.random.normal(0, shift) if shift else 0.0
        undecided = (model > 0) & (model < 1)
        return (self.random.random(len(model)) < np.clip(model + moved * undecided, 0, 1)).astype(float)

    def lose(self, model: Items, points: float) -> Items:
        """A model that is worse by so much: three items lost for each one won."""
        right = model.mean()
        lost = (model > 0.5) & (self.random.random(len(model)) < points * 1.5 / right)
        won = (model <= 0.5) & (self.random.random(len(model)) < points * 0.5 / (1 - right))
        return np.where(lost, 0.0, np.where(won, 1.0, model))

    def churn(self, model: Items, share: float) -> Items:
        """A model that is as good and answers some items differently, as after a change of arithmetic."""
        settled = np.flatnonzero((model == 0) | (model == 1))
        flips = int(share * len(model) / 2)
        changed = model.copy()
        for value in (0.0, 1.0):
            own = settled[model[settled] == value]
            changed[self.random.choice(own, min(flips, len(own)), replace=False)] = 1 - value
        return changed


def judged(histories: Sequence[Items], currents: Sequence[Items], rule: Rule) -> tuple[bool, bool]:
    """Whether (ours, the PRD's rule) call the release worse in any of its suites."""
    tests = []
    dispersions = shared({str(number): observed(window) for number, window in enumerate(histories)})
    for number, (window, scores) in enumerate(zip(histories, currents, strict=True)):
        effect = compare_items(window, scores.tolist(), dispersion=dispersions[str(number)])
        if effect is not None:
            tests.append(Trial(f"suite {number}", effect, True, rule))
    ours = any(decision.verdict == "worse" for decision in decide(tests))
    prd = any(scores.mean() < 0.9 * window.mean() for window, scores in zip(histories, currents, strict=True))
    return ours, bool(prd)


Change = Callable[[World, Items], Items]


def rate(
    suites: Sequence[Suite],
    change: Change,
    releases: int,
    *,
    runs: int = RUNS,
    shift: float = 0.0,
    rule: Rule | None = None,
    seed: int = 1,
    everywhere: bool = False,
) -> tuple[float, float]:
    """The share of releases called worse by (ours, the PRD's rule).

    change  made to the model as the first suite sees it, or as all of them do
    """
    world, found = World(seed), np.zeros(2)
    for _ in range(releases):
        models = [world.model(suite) for suite in suites]
        windows = [np.array([world.run(model, shift) for _ in range(runs)]) for model in models]
        changed = len(models) if everywhere else 1
        models[:changed] = [change(world, model) for model in models[:changed]]
        found += judged(windows, [world.run(model, shift) for model in models], rule or Rule())
    ours, prd = found / releases
    return float(ours), float(prd)


def decay(releases: int, step: float = 0.005, seed: int = 1) -> tuple[list[int], int]:
    """For each series of releases that lose `step` each: the release at which it was flagged (0: not within ten)."""
    world, flagged = World(seed), []
    for _ in range(releases):
        model = world.model(Suite())
        accepted = [world.run(model) for _ in range(RUNS)]
        oldest, found = list(accepted), 0
        for number in range(1, 11):
            model = world.lose(model, step)
            scores = world.run(model)
            # Against the last five accepted, and against the oldest: a slow loss is none to its neighbours.
            tests = [
                Trial(name, effect, True)
                for name, window in (("window", accepted[-RUNS:]), ("oldest", oldest))
                if (effect := compare_items(np.array(window), scores.tolist())) is not None
            ]
            if any(decision.verdict == "worse" for decision in decide(tests)):
                found = number
                break
            accepted.append(scores)
        flagged.append(found)
    return flagged, sum(found > 0 for found in flagged)


def same(_world: World, model: Items) -> Items:
    """No change."""
    return model


def loss(points: float) -> Change:
    """A loss of so many points (0.03 is 3)."""
    return lambda world, model: world.lose(model, points)


def churned(share: float) -> Change:
    """As good, with a share of the items answered differently."""
    return lambda world, model: world.churn(model, share)


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    name: str
    suites: Sequence[Suite]
    change: Change
    shift: float = 0.0
    everywhere: bool = False


CASES: tuple[Case, ...] = (
    Case("12 metrics, equal releases", FAMILY, same),
    Case("12 metrics, equal, runs shift together", FAMILY, same, shift=0.05),
    Case("12 metrics, as good, each answers 1 % differently", FAMILY, churned(0.01), everywhere=True),
    Case("12 metrics, as good, each answers 5 % differently", FAMILY, churned(0.05), everywhere=True),
    Case("the same, where repeated runs never differ", STEADY, churned(0.05), everywhere=True),
    Case("-2 points, n = 1,000, 2 % flips", (Suite(),), loss(0.02)),
    Case("-3 points, n = 1,000, 2 % flips", (Suite(),), loss(0.03)),
    Case("-3 points in one of 12 metrics", FAMILY, loss(0.03)),
    Case("-3 points, n = 1,000, 6 % flips", (Suite(flips=0.06),), loss(0.03)),
    Case("-5 points, n = 1,000, 6 % flips", (Suite(flips=0.06),), loss(0.05)),
    Case("-5 points, n = 200, 10 % flips", (Suite(200, flips=0.1),), loss(0.05)),
    Case("-10 points, n = 200, 10 % flips", (Suite(200, flips=0.1),), loss(0.10)),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", type=int, default=2000)
    releases = parser.parse_args().releases
    print("| releases | called worse | by the PRD's rule |\n|---|---:|---:|")
    for case in CASES:
        ours, prd = rate(case.suites, case.change, releases, shift=case.shift, everywhere=case.everywhere)
        print(f"| {case.name} | {ours:.1%} | {prd:.1%} |", flush=True)
    flagged, found = decay(max(1, releases // 10))
    when = np.median([number for number in flagged if number] or [0])
    print(
        f"\n0.5 points lost in every release: {found / len(flagged):.1%} flagged by the tenth, half of them by number {when:.0f}"
    )


if __name__ == "__main__":
    main()
