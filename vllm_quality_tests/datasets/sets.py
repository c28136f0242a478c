"""Data set folders made by hand, for the tests of this folder."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from vllm_quality.datasets.registry import DatasetFolder, read_set_folder
from vllm_quality.datasets.schema import Item, Message


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


def lines(rows: Iterable[object]) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def question(
    text: str, *, dataset: str = "a", reference: str | None = None, line: int = 1, metadata: str = "{}"
) -> Item:
    """An item that asks one thing."""
    return Item(dataset, "en", "golden", (Message("user", text),), reference, (), metadata, "rows.jsonl", line)
