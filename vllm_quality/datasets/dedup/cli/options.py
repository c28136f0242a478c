"""What was typed at `vllm-quality dedup` as a policy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import get_args

from vllm_quality.datasets.dedup.policy import DROP, DROP_FROM, FLAG, MOST_REMOVED, GuardLevel, Policy, Within
from vllm_quality.datasets.schema import DatasetError, Role

_SIDES = {"drop-a": 0, "drop-b": 1}


@dataclass(frozen=True)
class DedupOptions:
    """What was typed; see the command's help."""

    files: tuple[Path, ...]
    out: Path
    threshold: str = "0.2"
    policy: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    priority: tuple[str, ...] = ()
    role: tuple[str, ...] = ()
    guard: GuardLevel | None = None
    most_removed: float = MOST_REMOVED
    format: str | None = None
    columns: str | None = None
    seed: int = 1
    comparisons: int | None = None
    anonymise: bool = False
    overwrite: bool = False
    as_json: bool = False


def policy_from(options: DedupOptions, names: Sequence[str]) -> Policy:
    """The policy of sets in the order in which they were given: the first one keeps its rows. Raises `DatasetError`."""
    priorities = {name: -at for at, name in enumerate(names)}
    for name, number in _named(options.priority, "--priority", names, "NAME=N").items():
        if not number.lstrip("-").isdecimal():
            raise DatasetError(f"--priority {name}={number} is no whole number; write --priority {name}=1.")
        priorities[name] = int(number)
    return Policy(
        priorities=priorities,
        roles={name: _role(name, role) for name, role in _named(options.role, "--role", names, "NAME=ROLE").items()},
        pairs=_pairs(options.policy, names),
        within=_within(options.within, names),
        guards={} if options.guard is None else dict.fromkeys(names, options.guard),
        most_removed=options.most_removed,
    )


def _pairs(given: Iterable[str], names: Sequence[str]) -> Mapping[tuple[str, str], str]:
    """From "drop" or "flag" for all pairs, and "A:B=drop-a" for one; the particular wins."""
    general = [rule for rule in given if "=" not in rule]
    if any(rule not in (DROP, FLAG) for rule in general) or len(set(general)) > 1:
        raise DatasetError(f"--policy {general[-1]} is no policy for all sets; write one of drop, flag, or A:B=drop-a.")
    found = dict.fromkeys(combinations(names, 2), general[0]) if general else {}
    particular: dict[tuple[str, str], str] = {}
    for text in given:
        pair, equals, rule = text.rpartition("=")
        if equals:
            one, other = _two_sets(pair, names, text)
            if rule not in (DROP, FLAG, *_SIDES):
                raise DatasetError(f"--policy {text} ends in {rule!r}; write drop-a, drop-b, drop or flag.")
            meant = DROP_FROM + (one, other)[_SIDES[rule]] if rule in _SIDES else rule
            if particular.setdefault(_ordered(one, other, names), meant) != meant:
                raise DatasetError(f"--policy says two things about {one!r} and {other!r}; give it once.")
    return found | particular


def _ordered(one: str, other: str, names: Sequence[str]) -> tuple[str, str]:
    return (one, other) if names.index(one) < names.index(other) else (other, one)


def _two_sets(pair: str, names: Sequence[str], text: str) -> tuple[str, str]:
    for at, letter in enumerate(pair):
        if letter == ":" and pair[:at] in names and pair[at + 1 :] in names and pair[:at] != pair[at + 1 :]:
            return pair[:at], pair[at + 1 :]
    raise DatasetError(
        f"--policy {text} does not name two sets; there are {', '.join(names)}, named after their files."
    )


def _within(given: Iterable[str], names: Sequence[str]) -> Mapping[str, Within]:
    general = [rule for rule in given if "=" not in rule]
    found = dict.fromkeys(names, general[-1]) if general else {}
    found |= _named([text for text in given if "=" in text], "--within", names, "NAME=flag")
    return {name: _drop_or_flag(name, rule) for name, rule in found.items()}


def _drop_or_flag(name: str, rule: str) -> Within:
    if rule == "drop":
        return "drop"
    if rule == "flag":
        return "flag"
    raise DatasetError(f"--within says {rule!r} of {name!r}; write drop or flag.")


def _role(name: str, role: str) -> Role:
    for known in get_args(Role):
        if role == known:
            return known  # type: ignore[no-any-return]
    raise DatasetError(f"--role {name}={role} is none; write one of {', '.join(get_args(Role))}.")


def _named(given: Iterable[str], option: str, names: Sequence[str], form: str) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.rpartition("=")
        if not equals:
            raise DatasetError(f"{option} {text} names no set; write {option} {form}.")
        if name not in names:
            raise DatasetError(f"{option} names {name!r}; there are {', '.join(names)}, named after their files.")
        found[name] = value
    return found
