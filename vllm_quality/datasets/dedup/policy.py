"""Which set gives way to which, and where nothing is removed but told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from vllm_quality.datasets.schema import DatasetError, Role

Within = Literal["drop", "flag"]
GuardLevel = Literal["strict", "usual", "lenient", "off"]

DROP, FLAG, DROP_FROM = "drop", "flag", "drop-from:"
MOST_REMOVED = 0.05  # share of a set's rows; above it a person should look

_GUARDS: Mapping[Role | None, GuardLevel] = {
    "benchmark": "strict",
    "golden": "strict",
    "regression": "usual",
    "traffic": "lenient",
    None: "usual",
}


@dataclass(frozen=True)
class Policy:
    """What is done about two rows that are (nearly) the same.

    priorities    set -> number; of two sets, the one with the higher number keeps its row; 0 where a set is not named
    roles         set -> role; benchmarks are flag only, within themselves and against others, unless said otherwise here
    pairs         (set, other set) in any order -> "drop" (from the one of lower priority), "drop-from:<set>" or "flag"
    within        set -> "drop" or "flag"
    guards        set -> how strictly pairs that differ in meaning are held back; by role where a set is not named
    most_removed  share of a set's rows above which its removals raise an alarm; may be named by set

    Raises `DatasetError`, one sentence, when it contradicts itself.
    """

    priorities: Mapping[str, int] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    pairs: Mapping[tuple[str, str], str] = field(default_factory=dict)
    within: Mapping[str, Within] = field(default_factory=dict)
    guards: Mapping[str, GuardLevel] = field(default_factory=dict)
    most_removed: float | Mapping[str, float] = MOST_REMOVED

    def __post_init__(self) -> None:
        seen: dict[tuple[str, str], str] = {}
        for (one, other), rule in self.pairs.items():
            if one == other:
                raise DatasetError(f"The policy names set {one!r} twice in a pair; use `within` for a set and itself.")
            if rule not in (DROP, FLAG) and rule not in (DROP_FROM + one, DROP_FROM + other):
                raise DatasetError(
                    f"The policy of {one!r} and {other!r} is {rule!r}; it can be drop, flag, {DROP_FROM}{one} or {DROP_FROM}{other}."
                )
            key = _sorted(one, other)
            if seen.setdefault(key, rule) != rule:
                raise DatasetError(
                    f"The policy of {key[0]!r} and {key[1]!r} is given twice, and not alike; give it once."
                )
        object.__setattr__(self, "pairs", seen)

    def rule(self, one: str, other: str) -> str:
        """What holds for two sets (or for a set and itself): "drop", "flag" or "drop-from:<set>"."""
        if one == other:
            return self.within.get(one, FLAG if self.roles.get(one) == "benchmark" else DROP)
        given = self.pairs.get(_sorted(one, other))
        if given is not None:
            return given
        return FLAG if "benchmark" in (self.roles.get(one), self.roles.get(other)) else DROP

    def guard(self, dataset: str) -> GuardLevel:
        """How strictly the meaning of a set's rows is guarded."""
        return self.guards.get(dataset, _GUARDS[self.roles.get(dataset)])

    def compares_references(self, dataset: str) -> bool:
        """Whether differing references of the same question are a conflict: recorded answers of traffic always differ."""
        return self.roles.get(dataset) != "traffic"

    def alarm_above(self, dataset: str) -> float:
        """The share of a set's rows above which its removals raise an alarm."""
        if isinstance(self.most_removed, Mapping):
            return self.most_removed.get(dataset, MOST_REMOVED)
        return self.most_removed

    def wins(self, one: str, other: str) -> bool:
        """Whether `one` keeps its row against `other`, whatever the rows are."""
        rule = self.rule(one, other)
        if rule == DROP_FROM + other:
            return True
        return rule == DROP and one != other and self.priorities.get(one, 0) > self.priorities.get(other, 0)

    def levels(self, datasets: Iterable[str]) -> dict[str, int]:
        """An order of the sets that respects every pair: those of level 0 keep their rows against all others.

        Raises `DatasetError` when there is none.
        """
        left, level, found = sorted(set(datasets)), 0, dict[str, int]()
        while left:
            free = [name for name in left if not any(self.wins(other, name) for other in left)]
            if not free:
                raise DatasetError(self._circle(left))
            highest = max(self.priorities.get(name, 0) for name in free)
            taken = [name for name in free if self.priorities.get(name, 0) == highest]
            found.update(dict.fromkeys(taken, level))
            left, level = [name for name in left if name not in taken], level + 1
        return found

    def _circle(self, left: list[str]) -> str:
        path = [left[0]]
        while path[-1] not in path[:-1]:
            path.append(next(other for other in left if self.wins(other, path[-1])))
        circle = path[path.index(path[-1]) :]
        steps = ", ".join(f"{one} gives way to {other}" for one, other in pairwise(circle))
        return f"The policy goes in a circle: {steps}; change one of these."


def _sorted(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one <= other else (other, one)
