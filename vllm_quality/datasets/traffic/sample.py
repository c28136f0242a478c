"""A sample of a stream: the rows whose seeded hashes are smallest, so that neither their order nor the page size matters.

Every row's hash is a uniform number that depends on the row and the seed alone; the k smallest of a stream are a simple random
sample of it (a bottom-k sketch: Cohen and Kaplan 2007, "Summarizing data using bottom-k sketches"). Stratified, each value has
its own k smallest, and in the end its share of the rows, at least a few.
"""

import hashlib
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from vllm_quality.datasets.traffic.seen import SeenHashes
from vllm_quality.datasets.traffic.source import TrafficError
from vllm_quality.settings import PREFIX

MOST_STRATA = 200  # each may hold a whole sample in memory while the shares are not known yet
KEPT_OF_SMALL = 5  # items of each stratum that are drawn whatever its share, where the sample has room for them

T = TypeVar("T")


@dataclass(frozen=True)
class Drawn(Generic[T]):
    """The sample, in an order that depends on the rows and the seed alone.

    matched, sampled  stratum -> rows
    """

    rows: tuple[T, ...]
    matched: Mapping[str, int]
    sampled: Mapping[str, int]


class Sampler(Generic[T]):
    """Draws up to `size` rows of a stream. Not for threads."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._key = size, seed.to_bytes(16, "big", signed=False)
        self._seen = SeenHashes()
        self._kept: dict[str, list[tuple[int, int, T]]] = {}
        self._matched: dict[str, int] = {}

    def add(self, identity: bytes, stratum: str, make: Callable[[], T]) -> bool:
        """Offer a row; False where the same one was offered before.

        identity  what makes a row another row
        make      the row itself; called where it enters the sample, for the time being
        Raises `TrafficError` for the 201st stratum.
        """
        digest = hashlib.blake2b(identity, digest_size=16, key=self._key).digest()
        if not self._seen.add(int.from_bytes(digest[:8], "big")):
            return False
        self._count(stratum)
        kept, order = self._kept[stratum], int.from_bytes(digest, "big")
        if len(kept) < self._size:
            heapq.heappush(kept, (-order, len(kept), make()))
        elif -order > kept[0][0]:
            heapq.heapreplace(kept, (-order, 0, make()))
        return True

    def drawn(self) -> Drawn[T]:
        """The sample of what was offered so far."""
        shares = allocate(self._matched, self._size)
        chosen = [
            (order, row)
            for stratum, share in shares.items()
            for order, _, row in heapq.nlargest(share, self._kept[stratum], key=lambda entry: entry[0])
        ]
        chosen.sort(key=lambda entry: -entry[0])
        return Drawn(tuple(row for _, row in chosen), dict(sorted(self._matched.items())), shares)

    def _count(self, stratum: str) -> None:
        if stratum not in self._matched and len(self._matched) == MOST_STRATA:
            raise TrafficError(
                f"{PREFIX}QUERIES_STRATIFY names metadata of more than {MOST_STRATA} values; name a key of fewer."
            )
        self._matched[stratum] = self._matched.get(stratum, 0) + 1
        self._kept.setdefault(stratum, [])


def allocate(counts: Mapping[str, int], size: int) -> dict[str, int]:
    """How many rows each stratum gives: its share by largest remainder, but a few at least, of all `min(size, rows)`.

    counts  stratum -> rows, none of them 0
    """
    room = min(size, sum(counts.values()))
    least = min(KEPT_OF_SMALL, room // len(counts)) if counts else 0
    if least == 0:  # more strata than room: the largest give one each
        largest = sorted(counts, key=lambda name: (-counts[name], name))[:room]
        return {name: int(name in largest) for name in sorted(counts)}
    given = {name: min(least, counts[name]) for name in counts}
    open_names = set(counts)
    while True:
        # Those whose share is below what they are given anyway stand aside; the others share what is left.
        left = room - sum(given[name] for name in counts if name not in open_names)
        rows = sum(counts[name] for name in open_names)
        below = {name for name in open_names if left * counts[name] < given[name] * rows}
        if not below:
            return dict(sorted((given | _by_remainder(counts, open_names, left, rows)).items()))
        open_names -= below


def _by_remainder(counts: Mapping[str, int], names: set[str], room: int, rows: int) -> dict[str, int]:
    shares = {name: room * counts[name] // rows for name in names}
    rest = room - sum(shares.values())
    by_remainder = sorted(names, key=lambda name: (-(room * counts[name] % rows), name))
    for name in by_remainder[:rest]:
        shares[name] += 1
    return shares
