"""Which of two releases is the newer one: by their tags, and where these do not tell, by when they were evaluated."""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cmp_to_key
from itertools import zip_longest
from typing import Protocol, TypeVar

# Words that announce a version, from the earliest stage to the last; they sort before the version itself.
_STAGES = {"dev": 0, "nightly": 0, "snapshot": 0, "alpha": 1, "beta": 2, "pre": 3, "preview": 3, "rc": 4}
_V = re.compile(r"(?<![a-z])v(?=[0-9])")
_PART = re.compile(r"[0-9]+|[a-z]+")

_STAGE, _END, _WORD, _NUMBER = range(4)


class Evaluated(Protocol):
    """A release's tag and when it was evaluated."""

    @property
    def model_tag(self) -> str: ...

    @property
    def started_at(self) -> datetime: ...


E = TypeVar("E", bound=Evaluated)
TagOrder = tuple[tuple[tuple[int, int, str], ...], str]


def tag_order(tag: str) -> TagOrder:
    """A sort key, oldest release first; two different tags never compare equal.

    Registries do not agree on an order (GHCR lists by age, others by name or not at all) and a listing has no dates, so
    the name decides: numbers count as numbers, `1.9.0 < 1.10.0`; announcements come before what they announce,
    `1.0.0-dev < -alpha < -beta < -rc.1 < 1.0.0`; any other suffix comes after, `1.0.0 < 1.0.0-cuda12 < 1.0.0.post1 <
    1.0.1`; a word comes before a number, `release-test < release-1`. Case, separators and a `v` before a number decide
    only between tags that are otherwise equal.
    """
    parts = _PART.findall(_V.sub("", tag.lower()))
    return (*map(_rank, parts), (_END, 0, "")), tag


def compare_tags(one: str, other: str) -> int:
    """-1 when `one` is the earlier release, 1 when it is the later one, 0 when their tags do not tell.

    As `tag_order`, but names are no order: "release-blue" and "release-green" may have come in either.
    """
    for left, right in zip_longest(tag_order(one)[0], tag_order(other)[0], fillvalue=(_END, 0, "")):
        if left != right:
            named = _WORD in (left[0], right[0]) and _END not in (left[0], right[0])
            return 0 if named else (left > right) - (left < right)
    return 0


def earlier_releases(runs: Iterable[E], tag: str) -> list[E]:
    """The runs of releases that did not come after `tag`, the latest release first; of one release, the latest run first.

    A backfilled old tag is so held against the releases before it, and not against today's.
    """

    def order(one: E, other: E) -> int:
        told = compare_tags(one.model_tag, other.model_tag)
        return told or (one.started_at > other.started_at) - (one.started_at < other.started_at)

    past = [run for run in runs if compare_tags(run.model_tag, tag) <= 0]
    return sorted(past, key=cmp_to_key(order), reverse=True)


def _rank(part: str) -> tuple[int, int, str]:
    if part.isdecimal():
        return _NUMBER, int(part), ""
    if part in _STAGES:
        return _STAGE, _STAGES[part], ""
    return _WORD, 0, part
