"""The truth: every pair, by rapidfuzz, one at a time or row by row."""

from collections.abc import Sequence

from vllm_quality.datasets.dedup.near.search import NearPairs
from vllm_quality.datasets.dedup.threshold import USUAL, Threshold


def near_by_force(texts: Sequence[str], threshold: Threshold = USUAL) -> set[tuple[int, int, int]]:
    """(first, second, edits) of all near pairs."""
    from rapidfuzz.distance import Levenshtein

    found = set()
    for second, text in enumerate(texts):
        for first in range(second):
            longer = max(len(text), len(texts[first]))
            # A difference in length is so many edits at least.
            if threshold.allows(abs(len(text) - len(texts[first])), longer):
                edits = Levenshtein.distance(text, texts[first])
                if threshold.allows(edits, longer):
                    found.add((first, second, edits))
    return found


def as_set(found: NearPairs) -> set[tuple[int, int, int]]:
    """The same of a search's answer."""
    return set(zip(found.first.tolist(), found.second.tolist(), found.edits.tolist(), strict=True))
