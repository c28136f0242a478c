"""Judge the recorded releases: what is detected, by our statistics and by the PRD's rule, and what is a false alarm.

    python -m vllm_quality_tests.detection.replay [--releases 300]

Nothing is measured anew. Two histories: "same", five runs of the untouched release, which on a CPU are the same to the
last bit; "mixed", five good releases of different arithmetic, which differ in some items as runs on a GPU do.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np  # noqa: TID253

from vllm_quality_tests.detection.judging import Judged, judge
from vllm_quality_tests.detection.recordings import Items, Release, load_items, load_recordings, load_releases
from vllm_quality_tests.detection.replay_load import load_rows, print_load
from vllm_quality_tests.detection.resampling import churned, drawn, history, thinned
from vllm_quality_tests.detection.runs import Run, run_of

WINDOW = 5
HISTORIES = 5  # mixed ones that a release is held against
CHURN = (0.01, 0.02, 0.05)
LOSSES = (0.01, 0.02, 0.03, 0.05, 0.08)

History = Literal["same", "mixed"]


@dataclass(frozen=True)
class Recorded:
    """The set: scores by release."""

    items: Mapping[str, Items]
    releases: Sequence[Release]
    scores: Mapping[str, Run]

    @property
    def bad(self) -> list[Release]:
        """The known-bad releases."""
        return [each for each in self.releases if each.expected == "bad"]

    @property
    def good(self) -> list[Release]:
        """The good releases: the untouched one, and those whose arithmetic is another."""
        return [each for each in self.releases if each.expected == "good"]

    @property
    def again(self) -> list[Run]:
        """The untouched release's runs."""
        return [self.scores[each.name] for each in self.good if each.name.startswith("aa_")]

    def histories(self, which: History, without: str, count: int, seed: int = 1) -> list[list[Run]]:
        """Windows that a release may be held against, itself left out."""
        random = np.random.default_rng(seed)
        if which == "same":
            return [history(self.again, WINDOW, random)]
        others = [self.scores[each.name] for each in self.good if each.name != without]
        return [history(others, WINDOW, random) for _ in range(count)]


@dataclass(frozen=True)
class Row:
    """A release under one kind of history: the shares of its windows that call it worse, and what it lost.

    scores  the share that would without the logprob of the right answers
    loss   suite -> points lost against the untouched release
    mde    suite -> smallest loss that would have shown, points; the mean over windows
    parts  metric or slice -> share of the windows that call it worse
    """

    release: Release
    ours: float
    scores: float
    rule: float
    loss: Mapping[str, float]
    mde: Mapping[str, float]
    parts: Mapping[str, float]

    @property
    def within_reach(self) -> bool:
        """Whether a suite lost at least what its test can see."""
        return any(self.loss[suite] >= self.mde[suite] for suite in self.loss)


def load() -> Recorded:
    """The recorded set."""
    items, releases = load_items(), load_releases()
    good = run_of(next(each for each in releases if each.name == "aa_1"), items)
    return Recorded(items, releases, {each.name: run_of(each, items, good) for each in releases})


def row_of(release: Release, recorded: Recorded, which: History, histories: int = HISTORIES) -> Row:
    """Judge a release against so many histories of one kind."""
    own = recorded.scores[release.name]
    judged = [judge(each, own) for each in recorded.histories(which, release.name, histories)]
    parts = [name for each in judged for name in each.worse]
    base = recorded.again[0]
    primary = {suite: f"eval/{suite}/{items.metric}" for suite, items in recorded.items.items()}
    return Row(
        release,
        share([bool(each.worse) for each in judged]),
        share([bool(each.scores_worse) for each in judged]),
        share([bool(each.by_rule) for each in judged]),
        {suite: 100 * (base.metrics[metric] - own.metrics[metric]) for suite, metric in primary.items()},
        {suite: 100 * float(np.mean([each.mde(metric) for each in judged])) for suite, metric in primary.items()},
        {name: parts.count(name) / len(judged) for name in dict.fromkeys(parts)},
    )


def false_alarms(recorded: Recorded, releases: int, seed: int = 1) -> tuple[float, float]:
    """(ours, the PRD's rule): the share of good releases called worse, window and release drawn item by item from the good runs."""
    random, found = np.random.default_rng(seed), []
    pool = [recorded.scores[each.name] for each in recorded.good]
    for _ in range(releases):
        runs = [drawn(pool, random) for _ in range(WINDOW + 1)]
        found.append(judge(runs[:-1], runs[-1]))
    return share([bool(each.worse) for each in found]), share([bool(each.by_rule) for each in found])


def churn_alarms(recorded: Recorded, changed: float, releases: int, seed: int = 1) -> tuple[float, float]:
    """(ours, the PRD's rule): the share of as good releases called worse that answer so many items differently.

    The window is of the untouched release, whose runs are the same: it cannot know how much a change of arithmetic scatters.
    """
    random, good = np.random.default_rng(seed), recorded.again[0]
    found = [judge([good] * WINDOW, churned(good, changed, random)) for _ in range(releases)]
    return share([bool(each.worse) for each in found]), share([bool(each.by_rule) for each in found])


@dataclass(frozen=True)
class Thinned:
    """How often a suite's loss of so many points was seen: `ours`, `rule` are shares of n, `mde` in points."""

    suite: str
    loss: float
    n: int
    ours: float
    rule: float
    mde: float


def thinned_damage(recorded: Recorded, suite: str, loss: float, each: int, seed: int = 1) -> Thinned | None:
    """Every known-bad release's damage, thinned to that loss, against mixed histories; None where none lost more."""
    random, found = np.random.default_rng(seed), list[Judged]()
    good = [recorded.scores[release.name] for release in recorded.good]
    for release in recorded.bad:
        for _ in range(each):
            now = thinned(recorded.again[0], recorded.scores[release.name], suite, loss, random)
            if now is not None:
                found.append(judge(history(good, WINDOW, random), now))
    if not found:
        return None
    mde = 100 * float(np.mean([judged.mde(f"eval/{suite}/{recorded.items[suite].metric}") for judged in found]))
    ours, rule = [bool(judged.scores_worse) for judged in found], [bool(judged.by_rule) for judged in found]
    return Thinned(suite, 100 * loss, len(found), share(ours), share(rule), mde)


def share(values: Sequence[bool]) -> float:
    """Of those that are true."""
    return sum(values) / max(1, len(values))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", type=int, default=300)
    given = parser.parse_args()
    recorded = load()
    rows: dict[History, list[Row]] = {
        which: [row_of(each, recorded, which) for each in (*recorded.bad, *recorded.good)]
        for which in get_args(History)
    }
    _table(list(recorded.items), rows)
    _summary(recorded, rows, given.releases)
    print("\n| suite | points lost | ours | PRD's rule | would have shown | releases |\n|---|---:|---:|---:|---:|---:|")
    for suite in recorded.items:
        for loss in LOSSES:
            if (thin := thinned_damage(recorded, suite, loss, 4)) is not None:
                cells = f"{thin.loss:.0f} | {thin.ours:.0%} | {thin.rule:.0%} | {thin.mde:.1f} | {thin.n}"
                print(f"| {suite} | {cells} |", flush=True)
    if runs := load_recordings():
        print_load(load_rows(runs))


def _table(suites: Sequence[str], rows: Mapping[History, Sequence[Row]]) -> None:
    print(f"| release | {' | '.join(suites)} | ours, same | ours, mixed | scores alone | PRD's 10 % rule | named |")
    print(f"|---|{'---:|' * (len(suites) + 4)}---|")
    for same, mixed in zip(rows["same"], rows["mixed"], strict=True):
        losses = [f"{-mixed.loss[suite]:+.1f} ({mixed.mde[suite]:.1f})" for suite in suites]
        named = ", ".join(name for name, often in mixed.parts.items() if often >= 0.5) or "–"
        shares = f"{same.ours:.0%} | {mixed.ours:.0%} | {mixed.scores:.0%} | {mixed.rule:.0%}"
        print(f"| {same.release.name}: {same.release.kind} | {' | '.join(losses)} | {shares} | {named} |")
    print("\nPoints gained or lost, in brackets the loss that would have shown; the shares are of histories.\n")


def _summary(recorded: Recorded, rows: Mapping[History, Sequence[Row]], releases: int) -> None:
    for which, own in rows.items():
        bad = [row for row in own if row.release.expected == "bad"]
        reach = [row for row in bad if row.within_reach]
        good = [row for row in own if row.release.expected == "good"]
        print(
            f"{which} history: {np.mean([row.ours for row in bad]):.1%} of {len(bad)} known-bad releases detected, "
            f"{np.mean([row.rule for row in bad]):.1%} by the PRD's rule; of the {len(reach)} that lost what can be seen "
            f"{np.mean([row.ours for row in reach] or [0]):.1%}; of {len(good)} good ones "
            f"{np.mean([row.ours for row in good]):.1%} called worse, {np.mean([row.rule for row in good]):.1%} by the rule"
        )
    ours, rule = false_alarms(recorded, releases)
    print(f"good releases drawn anew: {ours:.2%} false alarms, {rule:.2%} by the PRD's rule ({releases})")
    for changed in CHURN:
        ours, rule = churn_alarms(recorded, changed, releases)
        print(f"as good, {changed:.0%} of the items answered differently: {ours:.1%}, {rule:.1%} by the PRD's rule")


if __name__ == "__main__":
    main()
