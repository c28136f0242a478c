"""A fair draw from a stream: the rows whose content hashes smallest, whatever the order they come in."""

from hashlib import blake2b
from heapq import heapify, heappush, heappushpop

from vllm_quality.datasets.description import Sample


class Draw:
    """The `size` smallest of the keys seen so far. Equal contents have one key, and count once."""

    def __init__(self, sample: Sample) -> None:
        self._size, self._salt = sample.size, sample.seed.to_bytes(16, "big", signed=True)
        self._drawn: list[tuple[int, int]] = []  # (minus the key, the position given): the largest key first
        self._keys: set[int] = set()
        heapify(self._drawn)

    def key(self, content_hash: str) -> int:
        """The place of a content in the draw's order. The salt is the seed: another seed is another draw."""
        return int.from_bytes(blake2b(bytes.fromhex(content_hash), digest_size=8, salt=self._salt).digest(), "big")

    def takes(self, key: int) -> bool:
        """Whether a row with this key is drawn as things stand now."""
        return key not in self._keys and (len(self._drawn) < self._size or key < -self._drawn[0][0])

    def take(self, key: int, position: int) -> int | None:
        """Draw a row that `takes` allows; the position of the one that had to make room, if one had to."""
        self._keys.add(key)
        if len(self._drawn) < self._size:
            heappush(self._drawn, (-key, position))
            return None
        gone, out = heappushpop(self._drawn, (-key, position))
        self._keys.discard(-gone)
        return out
