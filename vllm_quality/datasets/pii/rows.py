"""Rows of any format with all their strings anonymised, and what was found in them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from vllm_quality.datasets.pii.anonymiser import Anonymiser
from vllm_quality.datasets.pii.walk import walk

ENTITIES = "entities"  # the field of what was found; one that a row has of that name is replaced
ENTITY_SCHEMA: pl.DataType = pl.List(
    pl.Struct({"type": pl.String(), "field": pl.String(), "start": pl.Int64(), "end": pl.Int64()})
)

Entity = Mapping[str, str | int]


@dataclass(frozen=True)
class CleanRow:
    """A row to be written, and how many of each kind were found in it."""

    row: Mapping[str, Any] | list[Any]
    counts: Counter[str]


def clean_row(row: object, anonymiser: Anonymiser) -> CleanRow:
    """A row in its own form, each object of it with its `entities`: type, field, start and end in the field's text.

    A row that is a list of objects, as a conversation is in some formats, has them in each of its objects; one that is a
    line of text becomes {"text": …}.
    """
    counts: Counter[str] = Counter()
    if isinstance(row, list) and row and all(isinstance(turn, dict) for turn in row):
        return CleanRow([_clean_object(turn, anonymiser, counts) for turn in row], counts)
    if isinstance(row, list):
        row = {"conversations": row}
    elif not isinstance(row, Mapping):
        row = {"text": row}
    return CleanRow(_clean_object(dict(row), anonymiser, counts), counts)


def _clean_object(row: dict[str, Any], anonymiser: Anonymiser, counts: Counter[str]) -> dict[str, Any]:
    entities: list[Entity] = []

    def clean(text: str, name: str, path: str) -> str:
        written, found = anonymiser.field(name, text)
        for place in found:
            counts[place.kind] += 1
            entities.append({"type": place.kind, "field": path, "start": place.start, "end": place.end})
        return written

    row.pop(ENTITIES, None)
    cleaned: dict[str, Any] = walk(row, clean)
    return {**cleaned, ENTITIES: entities}
