"""Data set folders made by hand, for the tests of this folder."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from vllm_quality.datasets.intake import take_in
from vllm_quality.datasets.registry import DatasetFolder, RegisteredSet, read_set_folder
from vllm_quality.datasets.row_file import RowFile
from vllm_quality.datasets.rows import QUARANTINE_SCHEMA, BadRow
from vllm_quality.datasets.schema import Item, Message
from vllm_quality.datasets.spool import ItemSpool


def write_set(place: Path, name: str, data: dict[str, str | bytes], **description: Any) -> DatasetFolder:
    """A data set with these files; the description has defaults for everything that must be said."""
    folder = place / name
    folder.mkdir(parents=True, exist_ok=True)
    about = {"format": "jsonl", "language": "en", "role": "golden", "licence": "CC0-1.0", **description}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(about), encoding="utf-8")
    for file, content in data.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_set_folder(folder)


@dataclass(frozen=True)
class SetContents:
    """What reading a set came to; its items in the order of its rows."""

    items: tuple[Item, ...]
    rows: int
    bad_rows: int
    quarantined: tuple[BadRow, ...]


def read_set(source: RegisteredSet) -> SetContents:
    """A set as a snapshot takes it in, but for its personal data."""
    about = source.description.model_copy(update={"pii": "keep"})
    with TemporaryDirectory() as folder, ItemSpool(Path(folder) / "items") as spool:
        with RowFile(Path(folder) / "quarantine.parquet", QUARANTINE_SCHEMA) as quarantine:
            intake = take_in(replace(source, description=about), spool, quarantine, work=Path(folder))  # type: ignore[type-var]
        items = tuple(spool.item(at) for at in range(len(spool)))
    return SetContents(items, intake.rows, intake.bad_rows, tuple(intake.listed))


def lines(rows: Iterable[object]) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def question(
    text: str, *, dataset: str = "a", reference: str | None = None, line: int = 1, metadata: str = "{}"
) -> Item:
    """An item that asks one thing."""
    return Item(dataset, "en", "golden", (Message("user", text),), reference, (), metadata, "rows.jsonl", line)
