"""Frozen evaluation data: all registered sets in one frame, addressed by the hash of its content.

Two releases are compared on what they were asked only where the hashes are equal. Objects below `snapshots/<hash>/`, none of
which is ever changed: `items.parquet`, `pairs.parquet` (the ledger of duplicates), `quarantine.parquet` (bad rows, by place
and reason) and `manifest.json`, which is written last and makes the snapshot visible. `datasets/<name>/<version>.parquet` is
each set with all its usable rows, so that a removal can be undone.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping

import polars as pl

from vllm_quality.datasets.dedup.ledger import PAIR_SCHEMA
from vllm_quality.datasets.manifest import Manifest
from vllm_quality.datasets.manifest_1 import from_version_1
from vllm_quality.datasets.rows import QUARANTINE_SCHEMA
from vllm_quality.datasets.schema import DatasetError, hash_of_forms, items_of
from vllm_quality.results.objects import ObjectStore

_SLICE_ROWS = 2_000


class SnapshotError(DatasetError):
    """A snapshot is missing or was changed after it was written."""


def load_snapshot(objects: ObjectStore, snapshot_hash: str) -> pl.DataFrame:
    """The items of a snapshot, a frame of `ITEM_SCHEMA`. Raises `SnapshotError` when it is not there or not what it was."""
    key = read_manifest(objects, snapshot_hash).files["items"].key
    try:
        frame = pl.read_parquet(io.BytesIO(objects.get(key)))
        forms = (item.exact_form for part in frame.iter_slices(_SLICE_ROWS) for item in items_of(part))
        intact = hash_of_forms(forms) == snapshot_hash
    except (pl.exceptions.PolarsError, KeyError, TypeError):
        intact = False
    if not intact:
        raise _changed(objects, key)
    return frame


def read_manifest(objects: ObjectStore, snapshot_hash: str) -> Manifest:
    """The manifest of a snapshot. Raises `SnapshotError` when there is none."""
    key = manifest_key(snapshot_hash)
    if not objects.exists(key):
        raise SnapshotError(
            f"There is no snapshot {snapshot_hash} at {objects.url(key)}; run evaluation_snapshot first."
        )
    try:
        stored = json.loads(objects.get(key))
        if "schema_version" in stored:
            return from_version_1(stored, items_key(snapshot_hash))
        return Manifest.model_validate(stored)
    except (ValueError, TypeError, KeyError):
        raise SnapshotError(
            f"{objects.url(key)} is no manifest that this version reads; move its folder away and run evaluation_snapshot again."
        ) from None


def read_pairs(objects: ObjectStore, snapshot_hash: str) -> pl.DataFrame:
    """The ledger of a snapshot's duplicates, a frame of `PAIR_SCHEMA`; empty where it was frozen before ledgers were kept.

    Raises `SnapshotError`.
    """
    return _read_table(objects, snapshot_hash, "pairs", PAIR_SCHEMA)


def read_quarantine(objects: ObjectStore, snapshot_hash: str) -> pl.DataFrame:
    """A snapshot's bad rows by place and reason, a frame of `QUARANTINE_SCHEMA`. Raises `SnapshotError`."""
    return _read_table(objects, snapshot_hash, "quarantine", QUARANTINE_SCHEMA)


def _read_table(objects: ObjectStore, snapshot_hash: str, name: str, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    file = read_manifest(objects, snapshot_hash).files.get(name)
    if file is None:
        return pl.DataFrame(schema=dict(schema))
    data = objects.get(file.key)
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise _changed(objects, file.key)
    return pl.read_parquet(io.BytesIO(data))


def list_snapshots(objects: ObjectStore) -> tuple[str, ...]:
    """The hashes of all snapshots, sorted."""
    found = (re.fullmatch(r"snapshots/([0-9a-f]{64})/manifest\.json", key) for key in objects.list("snapshots/"))
    return tuple(match[1] for match in found if match)


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


def _changed(objects: ObjectStore, key: str) -> SnapshotError:
    return SnapshotError(
        f"{objects.url(key)} does not hold what its name says; move its folder away and run evaluation_snapshot again."
    )
