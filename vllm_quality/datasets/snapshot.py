"""Frozen evaluation data: all registered sets in one frame, addressed by the hash of its content.

Two releases are compared on what they were asked only where the hashes are equal. Objects: `snapshots/<hash>/items.parquet`
and `manifest.json`, which is written last and makes the snapshot visible; `datasets/<name>/<version>.parquet` is each set
as it was read.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from vllm_quality.datasets.exact import remove_exact_duplicates
from vllm_quality.datasets.manifest import Manifest, SetManifest, describe, describe_set
from vllm_quality.datasets.near import find_near_duplicates
from vllm_quality.datasets.reading import read_set
from vllm_quality.datasets.registry import DatasetFolder
from vllm_quality.datasets.schema import DatasetError, Item, hash_of_items, items_frame, items_of
from vllm_quality.results.objects import ObjectStore

_PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Snapshot:
    """A stored snapshot; `manifest` tells of this building of it."""

    hash: str
    items_key: str
    manifest_key: str
    manifest: Manifest


class SnapshotError(DatasetError):
    """A snapshot is missing or was changed after it was written."""


def build_snapshot(sets: Sequence[DatasetFolder], objects: ObjectStore) -> Snapshot:
    """Read the sets, remove exact duplicates, store what is left. The same rows give the same hash in any order and layout.

    Raises `DatasetError` when there is no set, or one of them has nothing to use.
    """
    if not sets:
        raise DatasetError("No data set is registered; add a folder with a dataset.yaml to VLLM_QUALITY_DATASETS_DIR.")
    contents = [read_set(source) for source in sorted(sets, key=lambda source: source.name)]
    priority = {part.source.name: part.source.description.priority for part in contents}
    deduplicated = remove_exact_duplicates([item for part in contents for item in part.items], priority)
    described: dict[str, SetManifest] = {}
    for part in contents:
        version = hash_of_items(part.items)
        key = f"datasets/{part.source.name}/{version}.parquet"
        _put_items(objects, key, part.items)
        described[part.source.name] = describe_set(part, deduplicated, version, key)
    found = hash_of_items(deduplicated.kept)
    manifest = describe(found, described, find_near_duplicates(deduplicated.kept, priority))
    snapshot = Snapshot(found, items_key(found), manifest_key(found), manifest)
    _put_items(objects, snapshot.items_key, deduplicated.kept)
    objects.put(snapshot.manifest_key, manifest.model_dump_json(indent=1).encode(), "application/json")
    return snapshot


def load_snapshot(objects: ObjectStore, snapshot_hash: str) -> pl.DataFrame:
    """The items of a snapshot, a frame of `ITEM_SCHEMA`. Raises `SnapshotError` when it is not there or not what it was."""
    read_manifest(objects, snapshot_hash)
    key = items_key(snapshot_hash)
    try:
        frame = pl.read_parquet(io.BytesIO(objects.get(key)))
        intact = hash_of_items(items_of(frame)) == snapshot_hash
    except (pl.exceptions.PolarsError, KeyError, TypeError):
        intact = False
    if not intact:
        raise SnapshotError(
            f"{objects.url(key)} does not hold what its name says; move its folder away and run evaluation_snapshot again."
        )
    return frame


def read_manifest(objects: ObjectStore, snapshot_hash: str) -> Manifest:
    """The manifest of a snapshot. Raises `SnapshotError` when there is none."""
    key = manifest_key(snapshot_hash)
    if not objects.exists(key):
        raise SnapshotError(
            f"There is no snapshot {snapshot_hash} at {objects.url(key)}; run evaluation_snapshot first."
        )
    try:
        return Manifest.model_validate_json(objects.get(key))
    except ValueError:
        raise SnapshotError(
            f"{objects.url(key)} is no manifest that this version reads; move its folder away and run evaluation_snapshot again."
        ) from None


def items_key(snapshot_hash: str) -> str:
    """Where a snapshot's items lie in the object store."""
    return f"snapshots/{_checked(snapshot_hash)}/items.parquet"


def manifest_key(snapshot_hash: str) -> str:
    """Where a snapshot's manifest lies in the object store."""
    return f"snapshots/{_checked(snapshot_hash)}/manifest.json"


def _checked(snapshot_hash: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", snapshot_hash):
        raise SnapshotError(
            f"{snapshot_hash[:80]!r} is no snapshot's hash, which has 64 hexadecimal digits; correct it."
        )
    return snapshot_hash


def _put_items(objects: ObjectStore, key: str, items: Sequence[Item]) -> None:
    if not objects.exists(key):
        buffer = io.BytesIO()
        items_frame(items).write_parquet(buffer, compression="zstd", statistics=False)
        objects.put(key, buffer.getvalue(), _PARQUET)
