"""Files of a snapshot on their way into the object store, where nothing is ever overwritten."""

import hashlib
from pathlib import Path

from vllm_quality.datasets.manifest import StoredFile
from vllm_quality.datasets.row_file import PARQUET
from vllm_quality.results.objects import ObjectStore


def store_file(objects: ObjectStore, key: str, path: Path, rows: int) -> StoredFile:
    """Store a parquet file under its key; where an unfinished build left another file there, beside it.

    So two builds that come to the same items over different duplicates do not mix what they say about them.
    """
    found = _sha256(path)
    if objects.put_file(key, path, PARQUET):
        return StoredFile(key=key, sha256=found, rows=rows)
    there = path.with_name(f"there-{path.name}")
    objects.get_file(key, there)
    taken = _sha256(there) != found
    there.unlink()
    if taken:
        key = f"{key.removesuffix('.parquet')}-{found[:16]}.parquet"
        objects.put_file(key, path, PARQUET)
    return StoredFile(key=key, sha256=found, rows=rows)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
