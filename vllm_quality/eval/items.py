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
        """The passages that the answer must stand on, from the metadata's `context`, else its `retrieval_context`."""
        return self._passages("context") or self._passages("retrieval_context")

    @property
    def retrieval_context(self) -> list[str] | None:
        """The passages that were retrieved, from the metadata's `retrieval_context`, else its `context`."""
        return self._passages("retrieval_context") or self._passages("context")

    def _passages(self, name: str) -> list[str] | None:
        found = self.metadata.get(name)
        return [found] if isinstance(found, str) else [str(passage) for passage in found] if found else None

    @property
    def _facts(self) -> dict[str, Any]:
        own = {"language": self.language, "dataset": self.dataset, "choices": list(self.choices)}
        return {**self.metadata, **own}

    def test_case(self, answer: str) -> Any:
        """The item and a release's answer as deepeval's `LLMTestCase`; its metadata holds language, dataset, choices."""
        from deepeval.test_case import LLMTestCase

        return LLMTestCase(
            name=self.id,
            input=self.input,
            actual_output=answer,
            expected_output=self.reference,
            context=self.context,
            retrieval_context=self.retrieval_context,
            metadata=self._facts,
        )

    def conversation(self, answer: str) -> Any:
        """The item and a release's answer as deepeval's `ConversationalTestCase`; a system message is the chatbot's role."""
        from deepeval.test_case import ConversationalTestCase, Turn

        turns = [Turn(role=said["role"], content=said["content"]) for said in self.messages if said["role"] != "system"]
        systems = [said["content"] for said in self.messages if said["role"] == "system"]
        told = {name: self.metadata.get(name) for name in ("scenario", "expected_outcome", "user_description")}
        return ConversationalTestCase(
            name=self.id,
            turns=[*turns, Turn(role="assistant", content=answer, retrieval_context=self.retrieval_context)],
            context=self.context,
            chatbot_role=self.metadata.get("chatbot_role") or "\n".join(systems) or None,
            metadata=self._facts,
            **{name: str(value) for name, value in told.items() if value is not None},
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
