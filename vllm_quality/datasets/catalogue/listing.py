"""All registered data sets and all snapshots, as tables."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from vllm_quality.datasets.catalogue.importing import read_record
from vllm_quality.datasets.registry import RegisteredSet, find_sets, place_of
from vllm_quality.datasets.schema import DatasetError
from vllm_quality.datasets.snapshot import list_snapshots, read_manifest
from vllm_quality.datasets.stored_sets import StoredSet
from vllm_quality.results.objects import ObjectsError, ObjectStore, open_objects
from vllm_quality.settings import Settings

_MOST_COUNTED = 64 << 20  # bytes of a set whose lines are counted for a list


def list_sets(settings: Settings, console: Console) -> int:
    """Print the registered sets."""
    table = _table("name", "role", "language", "format", "licence", "personal data", "where", right=("rows",))
    for found in find_sets(settings):
        about = found.description
        rows = _cheap_rows(found)
        table.add_row(
            found.name,
            about.role,
            about.language,
            about.format,
            about.licence,
            about.pii_policy,
            "package" if place_of(found) == "package" else found.where,
            "–" if rows is None else f"{rows:,}",
        )
    console.print(table)
    return 0


def list_stored_snapshots(settings: Settings, console: Console) -> int:
    """Print the snapshots of the object store, the newest last."""
    objects = open_objects(settings)
    table = _table("snapshot", "frozen", "by", "sets", right=("items", "removed", "bad rows"))
    manifests = [read_manifest(objects, found) for found in list_snapshots(objects)]
    for manifest in sorted(manifests, key=lambda one: (one.built_at is not None, one.built_at, one.hash)):
        when = "–" if manifest.built_at is None else f"{manifest.built_at:%Y-%m-%d %H:%M} UTC"
        counts = (f"{count:,}" for count in (manifest.items, manifest.removed, manifest.bad_rows))
        table.add_row(manifest.hash[:16], when, manifest.built_by or "–", ", ".join(manifest.sets), *counts)
    if not manifests:
        console.print(f"There is no snapshot at {objects.url('snapshots')}; run `vllm-quality datasets freeze`.")
        return 0
    console.print(table)
    return 0


def find_set(settings: Settings, name: str, objects: ObjectStore | None = None) -> RegisteredSet:
    """A registered set by its name. Raises `DatasetError` when there is none."""
    sets = {found.name: found for found in find_sets(settings, objects)}
    if name not in sets:
        raise DatasetError(f"There is no data set {name!r}; registered are {', '.join(sets)}.")
    return sets[name]


def _table(*left: str, right: Iterable[str] = ()) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in left:
        table.add_column(heading, overflow="fold")
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _cheap_rows(found: RegisteredSet) -> int | None:
    """How many rows a set has, where that can be told without reading it all."""
    if isinstance(found, StoredSet):
        record = read_record(found.objects, found.folder)
        return None if record is None else record.items
    if found.description.task is not None:
        return None
    try:
        paths = [path for _, path in found.open_files()]
        counts = [_rows_of(path) for path in paths]
    except (OSError, DatasetError, ObjectsError, pl.exceptions.PolarsError):
        return None
    return None if any(count is None for count in counts) else sum(count for count in counts if count is not None)


def _rows_of(path: Path) -> int | None:
    if path.suffix.lower() == ".parquet":
        return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
    if path.suffix.lower() not in (".jsonl", ".ndjson", ".txt") or path.stat().st_size > _MOST_COUNTED:
        return None
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())
