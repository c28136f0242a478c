"""The mirror of benchmark data in the object store: written once, numbered, the same rows and types as upstream.

    benchmarks/<dataset>/@<configuration>/000001.json   a manifest: which files, types, rows; the highest number counts
    benchmarks/<dataset>/<sha256>.parquet               a split; several configurations may share one

Nothing is ever overwritten: an upstream that changed gets the next number, one that did not gets nothing.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from vllm_quality.errors import UserError
from vllm_quality.eval.dataset_source import MIRROR_ONLY, DatasetRequest
from vllm_quality.eval.result import hash_of
from vllm_quality.results.objects import ObjectStore

_ROOT = "benchmarks"
_MOST_BYTES = 2 << 30  # of one split: objects pass through memory
_ROWS_PER_GROUP = 1000
_RACES = 5


class MirrorError(UserError):
    """The mirror does not have what is asked of it, or cannot take what is given to it."""


class MirroredSplit(BaseModel):
    """One split: where its rows are, and of which types.

    features  of the library `datasets`, as its JSON has them: parquet alone forgets class labels
    """

    model_config = ConfigDict(frozen=True)

    key: str
    sha256: str
    rows: int
    size_bytes: int
    features: dict[str, Any] | list[Any]


class Manifest(BaseModel):
    """One version of a data set's configuration.

    revision  the commit of the hub that it came from, where it did
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    config: str | None
    options: dict[str, Any]
    revision: str | None
    splits: dict[str, MirroredSplit]

    @property
    def rows(self) -> int:
        """Of all splits."""
        return sum(split.rows for split in self.splits.values())

    @property
    def content(self) -> str:
        """What its rows are, as a hash, wherever they came from."""
        return hash_of({name: [split.sha256, split.features] for name, split in self.splits.items()})


@dataclass(frozen=True)
class Version:
    """A manifest and its number; `is_new` when this very call wrote it."""

    number: int
    manifest: Manifest
    is_new: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Mirror:
    """The mirror in an object store."""

    objects: ObjectStore

    def latest(self, request: DatasetRequest) -> Version | None:
        """The newest version of what is asked for; None when there is none."""
        keys = [key for key in self.objects.list(f"{_folder(request)}/") if re.search(r"/\d{6}\.json$", key)]
        if not keys:
            return None
        key = max(keys)
        try:
            return Version(int(key[-11:-5]), Manifest.model_validate_json(self.objects.get(key)))
        except ValidationError:
            raise MirrorError(f"{self.objects.url(key)} is no manifest of the mirror; move it away.") from None

    def publish(self, request: DatasetRequest, splits: Mapping[str, Any]) -> Version:
        """Store the splits (name -> `datasets.Dataset`), unless the newest version has the same rows and types already."""
        files = {str(name): self._store(request, str(name), split) for name, split in splits.items()}
        revision = next(filter(None, map(_revision_of, splits.values())), None)
        manifest = Manifest(
            dataset=request.path,
            config=request.name,
            options=json.loads(json.dumps(request.options, default=str)),
            revision=revision,
            splits=files,
        )
        for _ in range(_RACES):
            before = self.latest(request)
            if before is not None and before.manifest.content == manifest.content:
                return before
            number = before.number + 1 if before else 1
            key = f"{_folder(request)}/{number:06d}.json"
            if self.objects.put(key, manifest.model_dump_json(indent=1).encode(), "application/json"):
                return Version(number, manifest, is_new=True)
        raise MirrorError(f"The mirror of {request} is being written by others all the time; try again later.")

    def read(self, split: MirroredSplit, name: str) -> Any:
        """A split as `datasets.Dataset`, in memory: the rows, their order and their types as they were upstream."""
        import pyarrow.parquet
        from datasets import Dataset, DatasetInfo, Features, NamedSplit
        from datasets.table import InMemoryTable, table_cast

        data = self.objects.get(split.key)
        if hashlib.sha256(data).hexdigest() != split.sha256:
            raise MirrorError(
                f"{self.objects.url(split.key)} is not what was stored there; remove it and mirror again."
            )
        features = Features.from_dict(split.features)
        table = table_cast(pyarrow.parquet.read_table(io.BytesIO(data)), features.arrow_schema)
        info = DatasetInfo(features=features)
        return Dataset(InMemoryTable(table), info=info, split=NamedSplit(name), fingerprint=split.sha256[:16])

    def _store(self, request: DatasetRequest, name: str, split: Any) -> MirroredSplit:
        from datasets import Dataset

        if not isinstance(split, Dataset):
            raise MirrorError(f"Split {name!r} of {request} is a stream, which cannot be mirrored; turn streaming off.")
        if split.data.nbytes > _MOST_BYTES:
            raise MirrorError(
                f"Split {name!r} of {request} has {split.data.nbytes >> 20} MiB, and the mirror takes {_MOST_BYTES >> 20}; "
                "let the task name a smaller configuration."
            )
        buffer = io.BytesIO()
        split.to_parquet(buffer, batch_size=_ROWS_PER_GROUP)
        data = buffer.getvalue()
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"{_ROOT}/{_dataset(request)}/{sha256}.parquet"
        self.objects.put(key, data, "application/vnd.apache.parquet")
        return MirroredSplit(
            key=key, sha256=sha256, rows=len(split), size_bytes=len(data), features=split.features.to_dict()
        )


def _folder(request: DatasetRequest) -> str:
    config = _part(request.name or "default")
    more = f"-{hash_of(request.options)[:12]}" if request.options else ""
    return f"{_ROOT}/{_dataset(request)}/@{config}{more}"


def _dataset(request: DatasetRequest) -> str:
    return "/".join(_part(part) for part in request.path.removeprefix(MIRROR_ONLY).split("/") if part)


def _part(name: str) -> str:
    """A name that an object's key may have as a part; one that had to change carries its hash, to stay apart."""
    part = re.sub(r"[^\w.-]", "_", name).lstrip(".")[:80]
    return part if part == name else f"{part}-{hash_of(name)[:8]}"


def _revision_of(split: Any) -> str | None:
    """The commit in the path of the library's cache, where it keeps what came from a hub."""
    for file in split.cache_files:
        found = re.search(r"/([0-9a-f]{40})/[^/]+$", file["filename"])
        if found:
            return found[1]
    return None
