"""Which of two tags is the newer release, by their names alone."""

import re

# Words that announce a version, from the earliest stage to the last; they sort before the version itself.
_STAGES = {"dev": 0, "nightly": 0, "snapshot": 0, "alpha": 1, "beta": 2, "pre": 3, "preview": 3, "rc": 4}
_V = re.compile(r"(?<![a-z])v(?=[0-9])")
_PART = re.compile(r"[0-9]+|[a-z]+")

_STAGE, _END, _WORD, _NUMBER = range(4)

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


def _rank(part: str) -> tuple[int, int, str]:
    if part.isdecimal():
        return _NUMBER, int(part), ""
    if part in _STAGES:
        return _STAGE, _STAGES[part], ""
    return _WORD, 0, part
