"""Near duplicates: pairs of questions at a normalised Levenshtein distance below 0.2. Found and reported, not removed.

Removing them would collapse templated sets ("What is 98 plus 45?") to one item. Texts of up to 64 characters are compared
with all others; for longer ones MinHash LSH (character 4-grams, 128 bands of 2) proposes pairs, and each is verified.
Usual LSH settings are made for Jaccard similarity and find a quarter to two thirds of these pairs; these find 99.9 %.
"""

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vllm_quality.datasets.schema import Item

NORMALISATION = "NFKC, case folded, single spaces / 1"
SHORT = 64
GRAM, BANDS, ROWS, SEED = 4, 128, 2, 1
# Bounds of a report: an index over 10,000 longer texts takes half a gigabyte.
MOST_TEXTS, MOST_LONG_TEXTS, MOST_PAIRS = 20_000, 10_000, 200_000
_BLOCK = 256


@dataclass(frozen=True)
class NearPair:
    """Two items, a before b by id; `distance` edits at a longer text of `length` characters, so 5 * distance < length."""

    id_a: str
    id_b: str
    dataset_a: str
    dataset_b: str
    distance: int
    length: int


@dataclass(frozen=True)
class NearReport:
    """What was found.

    clusters    each an item that would be kept, by priority and then id, and those below 0.2 from it itself: no chaining
    incomplete  why not everything was compared, one sentence; None when it was
    """

    compared: int
    pairs: tuple[NearPair, ...]
    clusters: tuple[tuple[str, ...], ...]
    incomplete: str | None = None


def find_near_duplicates(items: Sequence[Item], priority: Mapping[str, int]) -> NearReport:
    """Every pair of items whose conversations, in normal form, are closer than 0.2; independent of the order of items."""
    texts = {item.id: normal(item) for item in items}
    # By length, so that those which can be near lie side by side.
    ordered = sorted(items, key=lambda item: (len(texts[item.id]), item.id))
    long_texts = sum(len(text) > SHORT for text in texts.values())
    if len(ordered) > MOST_TEXTS or long_texts > MOST_LONG_TEXTS:
        limit = f"the limits are {MOST_TEXTS} texts, {MOST_LONG_TEXTS} of them longer than {SHORT} characters"
        return NearReport(0, (), (), f"There are too many texts to look for near duplicates: {limit}.")
    pairs: list[NearPair] = []
    incomplete = None
    for first, second, distance in _near([texts[item.id] for item in ordered]):
        if len(pairs) == MOST_PAIRS:
            incomplete = f"There are more than {MOST_PAIRS} pairs; the search was broken off."
            break
        a, b = sorted((ordered[first], ordered[second]), key=lambda item: item.id)
        length = max(len(texts[a.id]), len(texts[b.id]))
        pairs.append(NearPair(a.id, b.id, a.dataset, b.dataset, distance, length))
    pairs.sort(key=lambda pair: (pair.id_a, pair.id_b))
    return NearReport(len(ordered), tuple(pairs), _stars(ordered, pairs, priority), incomplete)


def normal(item: Item) -> str:
    """The whole conversation in the form that is compared."""
    whole = "\n".join(message.content for message in item.messages)
    return " ".join(unicodedata.normalize("NFKC", whole).casefold().split())


def is_near(distance: int, length: int) -> bool:
    """Whether a distance is below 0.2 of the longer text, in integers: rapidfuzz's own cut-off lets exactly 0.2 pass."""
    return 5 * distance < length


def _near(texts: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Positions of near texts and their distance; the texts come by length."""
    from rapidfuzz.distance import Levenshtein

    lengths = [len(text) for text in texts]
    shorts = bisect_left(lengths, SHORT + 1)
    yield from _compare_all(texts, lengths, shorts)
    for first, second in _candidates(texts, shorts):
        longest = max(lengths[first], lengths[second])
        if is_near(abs(lengths[first] - lengths[second]), longest):
            allowed = (longest - 1) // 5
            distance = Levenshtein.distance(texts[first], texts[second], score_cutoff=allowed)
            if distance <= allowed:
                yield first, second, distance


def _compare_all(texts: Sequence[str], lengths: Sequence[int], shorts: int) -> Iterator[tuple[int, int, int]]:
    """Every near pair with a short text in it; a text of up to 79 characters can be near one of 64."""
    import numpy as np
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    for start in range(0, shorts, _BLOCK):
        end = min(start + _BLOCK, shorts)
        # Lengths differ by less than a fifth of the longer one, or the distance is too large already.
        last = bisect_left(lengths, (5 * lengths[end - 1] + 3) // 4)
        distances = cdist(texts[start:end], texts[start:last], scorer=Levenshtein.distance, dtype=np.uint8)
        longer = np.maximum.outer(np.array(lengths[start:end]), np.array(lengths[start:last]))
        for row, column in np.argwhere(np.triu(5 * distances.astype(np.int64) < longer, k=1)):
            yield start + int(row), start + int(column), int(distances[row, column])


def _candidates(texts: Sequence[str], shorts: int) -> Iterator[tuple[int, int]]:
    """Pairs of long texts that share a band of their signatures, each once."""
    from datasketch import MinHash, MinHashLSH

    if len(texts) - shorts < 2:
        return
    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    for first in range(shorts, len(texts), _BLOCK):
        block = texts[first : first + _BLOCK]
        grams = [{text[at : at + GRAM].encode() for at in range(len(text) - GRAM + 1)} for text in block]
        for offset, signature in enumerate(MinHash.bulk(grams, num_perm=BANDS * ROWS, seed=SEED)):
            for earlier in index.query(signature):
                yield earlier, first + offset
            index.insert(first + offset, signature)


def _stars(
    items: Sequence[Item], pairs: Sequence[NearPair], priority: Mapping[str, int]
) -> tuple[tuple[str, ...], ...]:
    near: dict[str, list[str]] = {}
    for pair in pairs:
        near.setdefault(pair.id_a, []).append(pair.id_b)
        near.setdefault(pair.id_b, []).append(pair.id_a)
    taken: set[str] = set()
    clusters = []
    for item in sorted(items, key=lambda item: (-priority.get(item.dataset, 0), item.id)):
        if item.id in taken:
            continue
        members = sorted(other for other in near.get(item.id, ()) if other not in taken)
        taken.update([item.id, *members])
        if members:
            clusters.append((item.id, *members))
    return tuple(clusters)
