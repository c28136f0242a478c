"""The items of a data snapshot that a release is asked, and what a metric gets to see of them."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

_COLUMNS = ("id", "dataset", "language", "messages", "input", "reference", "choices", "metadata")


@dataclass(frozen=True)
class Item:
    """One question of the snapshot (`datasets/schema.py`), its metadata parsed."""

    id: str
    dataset: str
    language: str
    messages: tuple[Mapping[str, str], ...]
    input: str
    reference: str | None
    choices: tuple[str, ...]
    metadata: Mapping[str, Any]

    @property
    def context(self) -> list[str] | None:
        """The passages that the answer must stand on, from the metadata's `context`."""
        found = self.metadata.get("context")
        return [found] if isinstance(found, str) else [str(passage) for passage in found] if found else None

    def test_case(self, answer: str) -> Any:
        """The item and a release's answer as deepeval's `LLMTestCase`; its metadata holds language, dataset, choices."""
        from deepeval.test_case import LLMTestCase

        facts = {"language": self.language, "dataset": self.dataset, "choices": list(self.choices)}
        return LLMTestCase(
            name=self.id,
            input=self.input,
            actual_output=answer,
            expected_output=self.reference,
            context=self.context,
            retrieval_context=self.context,
            metadata={**self.metadata, **facts},
        )


def read_items(frame: pl.DataFrame, per_dataset: int | None) -> list[Item]:
    """The items to ask, by id: of each data set the `per_dataset` ones with the smallest ids, so every release gets the same.

    The ids are hashes of the content, so this is a fair draw.
    """
    taken: Counter[str] = Counter()
    items = []
    for row in frame.select(_COLUMNS).sort("id").iter_rows(named=True):
        if per_dataset is not None and taken[row["dataset"]] >= per_dataset:
            continue
        taken[row["dataset"]] += 1
        items.append(
            Item(
                id=row["id"],
                dataset=row["dataset"],
                language=row["language"],
                messages=tuple({"role": part["role"], "content": part["content"]} for part in row["messages"]),
                input=row["input"],
                reference=row["reference"],
                choices=tuple(row["choices"] or ()),
                metadata=json.loads(row["metadata"] or "{}"),
            )
        )
    return items
