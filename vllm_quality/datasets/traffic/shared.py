"""The earlier days' signatures in a Redis that machines share: a day is signed and added by the first machine that needs it.

The index is only a help, as the bank is: what is missing in it is added from the frozen days. Texts stay in the object store
and on each machine; the index has their signatures and ids. What tells common grams is the same for all machines, and lies
in the object store.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from vllm_quality.datasets.dedup.near.bank import Bank, empty_bank
from vllm_quality.datasets.dedup.near.grams import GramTable
from vllm_quality.datasets.dedup.near.indexed import IndexedBank
from vllm_quality.datasets.dedup.near.interop import SharedIndex
from vllm_quality.datasets.dedup.near.lsh import plan_for
from vllm_quality.datasets.dedup.near.segments import sign
from vllm_quality.datasets.dedup.normal import NORMALISATION
from vllm_quality.datasets.dedup.threshold import USUAL
from vllm_quality.datasets.traffic.source import TrafficError
from vllm_quality.results.objects import ObjectStore
from vllm_quality.settings import PREFIX

_PLACE = "queries_index"
_TIMEOUT_S = 30


@dataclass(frozen=True)
class Storage:
    """Where indexes lie: datasketch's `storage_config`, and what all names begin with."""

    config: Mapping[str, Any]
    basename: str


@contextmanager
def open_storage(address: str) -> Iterator[Storage]:
    """The storage at redis://[user:password@]host[:port]/[number][?basename=…].

    Raises `TrafficError`, which does not say the password, where it cannot be used, in the block too.
    """
    parts = urlsplit(address)
    basename = parse_qs(parts.query).get("basename", ["vllm_quality"])[0]
    try:
        import redis
    except ImportError:
        raise TrafficError(
            f"{PREFIX}QUERIES_INDEX needs redis' client, which is not installed; install vllm-quality[redis], or unset it."
        ) from None
    pool = redis.ConnectionPool.from_url(
        parts._replace(query="").geturl(), socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
    )
    try:
        yield Storage({"type": "redis", "redis": {"connection_pool": pool}}, basename)
    except redis.RedisError as error:
        raise TrafficError(
            f"The index of earlier queries at {parts.hostname} cannot be used ({type(error).__name__}); look after that "
            f"Redis, or unset {PREFIX}QUERIES_INDEX to do without it."
        ) from None
    finally:
        pool.disconnect()


def index_name(storage: Storage, texts: int, seed: int) -> str:
    """The name of the index for so many earlier texts. Machines that sign alike share it.

    What is common is counted anew, and so another index begun, when there are four times as many texts.
    """
    versions = hashlib.sha256(
        f"{NORMALISATION}\n{sorted(plan_for(USUAL, seed).describe().items())}".encode()
    ).hexdigest()
    return f"{storage.basename}:{versions[:12]}:{(max(texts, 1).bit_length() + 1) // 2}"


def shared_table(objects: ObjectStore, name: str, alike: Sequence[str], seed: int) -> GramTable:
    """What tells the common grams of an index: what the first machine that needed it counted, in texts such as these."""
    import numpy as np

    key = f"{_PLACE}/{name.replace(':', '/')}/grams.npz"
    if not objects.exists(key):
        table, room = empty_bank(alike, seed=seed).table, io.BytesIO()
        np.savez_compressed(room, size=table.size, texts=table.texts, counts=table.counts)
        objects.put(key, room.getvalue())
    with np.load(io.BytesIO(objects.get(key)), allow_pickle=False) as stored:
        return GramTable(int(stored["size"]), int(stored["texts"]), stored["counts"])


def indexed_bank(bank: Bank, parts: Sequence[str], storage: Storage, name: str) -> IndexedBank:
    """The bank with the index of this name, in which all its texts are now, and none of days before them.

    parts  the name of each segment, "<day>/<hash>", with which its ids begin
    """
    # Signatures by different tables must not meet, as they would where two object stores share a storage.
    told = hashlib.sha256(bank.table.counts.tobytes()).hexdigest()[:12]
    index = SharedIndex(bank.plan, f"{name}:{told}", storage.config)
    there = index.parts()
    for part in sorted(there.difference(parts)):
        if part <= max(parts):
            index.forget(part, f"{part}/")
    for part, segment in zip(parts, bank.segments, strict=True):
        if part not in there:
            index.add(part, segment.ids, sign(list(segment.signed.ranked.texts), bank.table, bank.plan))
    return IndexedBank(bank, index)
