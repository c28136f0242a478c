"""Rows of any form into the object store as a shared data set: anonymised, in one schema, in files of bounded size.

See `stored_sets` for where they lie. Raw text never gets there: rows are anonymised before they are even spooled.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, SecretStr

from vllm_quality.datasets.description import DESCRIPTION_FILE, Description
from vllm_quality.datasets.formats import Columns
from vllm_quality.datasets.intake import Intake, take_rows
from vllm_quality.datasets.progress import Progress
from vllm_quality.datasets.row_file import PARQUET, RowFile
from vllm_quality.datasets.rows import QUARANTINE_SCHEMA, BadRow
from vllm_quality.datasets.schema import ITEM_SCHEMA, DatasetError, Item, hash_of_forms
from vllm_quality.datasets.spool import ItemSpool, spool_folder
from vllm_quality.datasets.stored_sets import find_stored_sets, next_version
from vllm_quality.results.objects import ObjectStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECORD_FILE = "import.json"
_FILE_BYTES = 256 << 20  # of text, in one of the set's files


class ImportRecord(BaseModel):
    """What an import says about itself, beside its files.

    hash           SHA-256 of the items
    origin         names of the files, or what else the rows came from
    anonymisation  rules, versions and what they cannot find; empty where personal data were kept
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: str
    origin: tuple[str, ...]
    rows: int
    bad_rows: int
    not_sampled: int
    items: int
    entities: dict[str, int]
    anonymisation: dict[str, str]
    imported_at: datetime
    imported_by: str


@dataclass(frozen=True)
class Imported:
    """An import that is stored.

    folder  where, in the object store
    is_new  False when the newest version of the set had the same items and description already
    """

    folder: str
    record: ImportRecord
    intake: Intake
    is_new: bool


@dataclass(frozen=True)
class Importing:
    """What is imported: rows that are items or bad ones, as the set `name` with this description."""

    name: str
    about: Description
    origin: tuple[str, ...]
    rows: Iterable[Item | BadRow]


def import_set(
    what: Importing,
    objects: ObjectStore,
    *,
    work: Path,
    by: str,
    pii_key: SecretStr | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Store rows as the next version of a set. Raises `DatasetError` when no row can be used."""
    folder = next_version(objects, what.name)
    with spool_folder(work) as place, ItemSpool(place / "items") as spool:
        with RowFile(place / "quarantine.parquet", QUARANTINE_SCHEMA) as quarantine:
            intake = take_rows(what.rows, what.name, what.about, spool, quarantine, pii_key=pii_key, progress=progress)
        if not intake.items:
            example = (
                f"; {intake.listed[0].file} row {intake.listed[0].line} {intake.listed[0].why}" if intake.listed else ""
            )
            raise DatasetError(f"No row can be used (of {intake.rows}){example}; check --format and --columns.")
        order = spool.order()
        about = stored_description(what.about)
        record = _record(what, intake, hash_of_forms(spool.form(at) for at in order.tolist()), by)
        before = find_stored_sets(objects, what.name).get(what.name)
        if before is not None and before.description == about and _hash_of(objects, before.folder) == record.hash:
            return Imported(before.folder, record, intake, is_new=False)
        _store_items(spool, order, objects, folder, place, progress)
        objects.put_file(f"{folder}/quarantine.parquet", place / "quarantine.parquet", PARQUET)
    objects.put(f"{folder}/{RECORD_FILE}", record.model_dump_json(indent=1).encode(), "application/json")
    if not objects.put(f"{folder}/{DESCRIPTION_FILE}", about.dump().encode(), "application/yaml"):
        raise _busy(objects, folder)
    return Imported(folder, record, intake, is_new=True)


def stored_description(about: Description) -> Description:
    """How an import's own files are described: what was said of its source, in the form they are in now."""
    changes = {"format": "items", "columns": Columns(), "files": ("items-*.parquet",), "sample": None, "task": None}
    return about.model_copy(update=changes)


def read_record(objects: ObjectStore, folder: str) -> ImportRecord | None:
    """What the import into a folder says about itself; None where the set was put there by hand."""
    key = f"{folder}/{RECORD_FILE}"
    if not objects.exists(key):
        return None
    try:
        return ImportRecord.model_validate_json(objects.get(key))
    except ValueError:
        raise DatasetError(f"{objects.url(key)} is no record of an import that this version reads.") from None


def _hash_of(objects: ObjectStore, folder: str) -> str | None:
    record = read_record(objects, folder)
    return None if record is None else record.hash


def _record(what: Importing, intake: Intake, found: str, by: str) -> ImportRecord:
    return ImportRecord(
        hash=found,
        origin=what.origin,
        rows=intake.rows,
        bad_rows=intake.bad_rows,
        not_sampled=intake.not_sampled,
        items=intake.items,
        entities={kind: count for kind, count in sorted(intake.entities.items()) if count},
        anonymisation=dict(intake.treatment),
        imported_at=datetime.now(UTC),
        imported_by=by,
    )


def _store_items(
    spool: ItemSpool,
    order: "NDArray[np.int64]",
    objects: ObjectStore,
    folder: str,
    place: Path,
    progress: Progress | None,
) -> None:
    """Write items into one file after another, each sent off before the next is begun."""
    done, number = 0, 0
    while done < len(order):
        number += 1
        path = place / "items.parquet"
        with RowFile(path, ITEM_SCHEMA) as file:
            while done < len(order) and file.text_bytes < _FILE_BYTES:
                form, item = spool.read(int(order[done]))
                file.append(item.as_row(), len(form))
                done += 1
                if progress is not None and (done % 500 == 0 or done == len(order)):
                    progress("storing items", done, len(order))
        if not objects.put_file(f"{folder}/items-{number:05d}.parquet", path, PARQUET):
            raise _busy(objects, folder)
        path.unlink()


def _busy(objects: ObjectStore, folder: str) -> DatasetError:
    return DatasetError(f"{objects.url(folder)} was written by another import at the same time; import again.")
