"""Which of several overlapping findings stay."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vllm_quality.datasets.pii.kinds import KINDS, Found

_RANK = {kind: rank for rank, kind in enumerate(KINDS)}
_WORD = re.compile(r"[^\W_]")

Span = tuple[int, int]


@dataclass(frozen=True)
class Candidate:
    """A finding before it is known whether it stays."""

    kind: str
    start: int
    end: int
    score: float

    @property
    def _order(self) -> tuple[float, int, int, int]:
        return (-self.score, self.start - self.end, _RANK.get(self.kind, len(_RANK)), self.start)


def without_overlaps(candidates: Iterable[Candidate]) -> list[Found]:
    """The most specific ones, of equals the longest, in the text's order; the same whatever order they come in."""
    taken: list[Span] = []
    kinds: dict[Span, str] = {}
    for one in sorted(candidates, key=lambda one: one._order):
        at = bisect_left(taken, (one.end, one.end))
        if at and taken[at - 1][1] > one.start:
            continue
        taken.insert(at, (one.start, one.end))
        kinds[one.start, one.end] = one.kind
    return [Found(kinds[span], *span) for span in taken]


def beside(one: Candidate, text: str, replaced: Sequence[Span]) -> Candidate | None:
    """The candidate, widened so that it cuts none of the places replaced before; None when it holds nothing but them."""
    first = bisect_right(replaced, (one.start, one.start))
    if first and replaced[first - 1][1] > one.start:
        first -= 1
    start, end, at, words = one.start, one.end, one.start, False
    for left, right in replaced[first:]:
        if left >= end:
            break
        start, end = min(start, left), max(end, right)
        words = words or _WORD.search(text, at, left) is not None
        at = right
    words = words or _WORD.search(text, at, end) is not None
    return Candidate(one.kind, start, end, one.score) if words else None
