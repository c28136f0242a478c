"""Our signatures in datasketch's MinHashLSH, whose storage many machines may share: what one has signed, all of them find.

A `MinHash(num_perm, seed, hashfunc=hash_gram)` of datasketch that is updated with `grams_of(text, size)` has the same values
as a signature of ours for which no gram was left out as too common.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vllm_quality.datasets.dedup.near.bands import ROWS
from vllm_quality.datasets.dedup.near.lsh import Plan
from vllm_quality.datasets.dedup.near.segments import Signed
from vllm_quality.datasets.dedup.near.signatures import SCHEME, Signatures

if TYPE_CHECKING:
    from datasketch import LeanMinHash, MinHashLSH

_LAYERS = ("telling", "framed")
_PARTS = b"parts"
_AT_ONCE = 10_000  # commands that are sent to a storage together


@dataclass(frozen=True)
class Bucket:
    """Of the texts asked about those that fall into a bucket, by rank, and the ids of the indexed ones in it."""

    asked: Sequence[int]
    ids: Sequence[bytes]


class SharedIndex:
    """Long texts by id, in parts that are added once: an index of datasketch for each layer of signatures.

    name     of the index in the storage; whoever gives the same one shares it, and must have the same plan and gram table
    storage  datasketch's `storage_config`, without a `basename`
    """

    def __init__(self, plan: Plan, name: str, storage: Mapping[str, Any]) -> None:
        from datasketch.storage import unordered_storage

        self._seed = plan.seed
        self._indexes = [minhash_lsh(plan, f"{name}:{layer}", storage) for layer in _LAYERS]
        self._parts = unordered_storage(dict(storage), name=f"{name}:parts".encode())

    def parts(self) -> frozenset[str]:
        """What was added, and is there as a whole."""
        return frozenset(part.decode() for part in self._parts.get(_PARTS))

    def add(self, part: str, ids: Sequence[str], signed: Signed) -> None:
        """Add the long ones of these texts; to do so again, or on two machines at once, changes nothing."""
        for layer, index in zip(signed.layers, self._indexes, strict=True):
            with index.insertion_session(buffer_size=_AT_ONCE) as session:
                for rank, values in lean_minhashes(layer, self._seed):
                    name = ids[int(signed.ranked.order[rank])].encode()
                    session.insert(name, values, check_duplication=False)
        # Last, so that a part which was left half done is added again.
        self._parts.insert(_PARTS, part.encode())

    def forget(self, part: str, ids_begin: str) -> None:
        """Remove a part, whose ids are those that begin so; to do so on two machines at once does no harm."""
        self._parts.remove_val(_PARTS, part.encode())  # first, so that a part which is half removed is added again
        for index in self._indexes:
            for name in list(index.keys.keys()):
                if name.startswith(ids_begin.encode()):
                    with suppress(ValueError):  # another machine was faster
                        index.remove(name)

    def buckets(self, asked: Signed) -> Iterator[tuple[int, list[Bucket]]]:
        """Band and its buckets that texts of the question fall into, for each band of each layer: one inquiry for each."""
        for layer, index in zip(asked.layers, self._indexes, strict=True):
            signatures = list(lean_minhashes(layer, self._seed))
            for band, ((start, end), table) in enumerate(zip(index.hashranges, index.hashtables, strict=True)):
                ranks: dict[bytes, list[int]] = {}
                for rank, values in signatures:
                    ranks.setdefault(bytes(values.hashvalues[start:end].byteswap().data), []).append(rank)
                held = table.getmany(*ranks) if ranks else []
                yield band, [Bucket(some, list(ids)) for some, ids in zip(ranks.values(), held, strict=True) if ids]


def minhash_lsh(plan: Plan, name: str, storage: Mapping[str, Any]) -> "MinHashLSH":
    """datasketch's index of a plan's bands, empty or as the storage has it under this name; its keys are bytes."""
    from datasketch import MinHashLSH

    return MinHashLSH(
        num_perm=plan.permutations,
        params=(plan.bands, ROWS),
        storage_config={**storage, "basename": name.encode()},
        prepickle=False,  # what others stored must not be unpickled
    )


def lean_minhashes(layer: Signatures, seed: int) -> "Iterator[tuple[int, LeanMinHash]]":
    """Rank and signature of each text of a layer."""
    import numpy as np
    from datasketch import LeanMinHash

    rows = np.ascontiguousarray(layer.found.T)
    for rank, values in zip(layer.ranks.tolist(), rows, strict=True):
        yield rank, LeanMinHash(seed=seed, hashvalues=values, scheme=SCHEME)
