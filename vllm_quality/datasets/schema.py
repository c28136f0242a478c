"""The one form that every data set is brought into: an item, and the named columns of a frame of items."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import polars as pl

from vllm_quality.errors import UserError

SCHEMA_VERSION = 1

Role = Literal["benchmark", "golden", "regression", "traffic"]

# id             SHA-256 of the data set's name and the canonical content (see `Item.content_hash`)
# messages       the conversation up to and with the user's last word; what is sent
# input          that last word
# reference      the right answer, where there is one
# choices        the allowed answers, where they are given
# metadata       JSON object: whatever else the row's mapping keeps (category, context, max_tokens, …)
# source_file    path below the set's folder; source_line: line, or position in a JSON array or parquet file, from 1
ITEM_SCHEMA: Mapping[str, pl.DataType] = {
    "id": pl.String(),
    "dataset": pl.String(),
    "language": pl.String(),
    "role": pl.String(),
    "messages": pl.List(pl.Struct({"role": pl.String(), "content": pl.String()})),
    "input": pl.String(),
    "reference": pl.String(),
    "choices": pl.List(pl.String()),
    "metadata": pl.String(),
    "source_file": pl.String(),
    "source_line": pl.Int64(),
}


class DatasetError(UserError):
    """A data set is described wrongly, or holds nothing that can be used."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation; role is "system", "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True)
class Item:
    """One thing to ask a release. The last message is the user's; `metadata` is a JSON object with sorted keys."""

    dataset: str
    language: str
    role: Role
    messages: tuple[Message, ...]
    reference: str | None
    choices: tuple[str, ...]
    metadata: str
    source_file: str
    source_line: int

    @property
    def input(self) -> str:
        """The user's last word."""
        return self.messages[-1].content

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of what is asked and expected, in canonical form: equal for two rows that differ in nothing that matters.

        Canonical is NFC, so that Hangul typed on a Mac and on a PC are equal, without spaces at line ends. It is not NFKC,
        which would make one of "x²" and "x2".
        """
        messages = [[message.role, canonical(message.content)] for message in self.messages]
        reference = None if self.reference is None else canonical(self.reference)
        return _sha256(_as_json([messages, reference, [canonical(choice) for choice in self.choices]]))

    @cached_property
    def id(self) -> str:
        """SHA-256 of the data set's name and the content."""
        return _sha256(_as_json([self.dataset, self.content_hash]))

    @cached_property
    def exact_form(self) -> str:
        """Everything but where it was read, to the byte, as JSON: what a snapshot's hash is made of."""
        messages = [[message.role, message.content] for message in self.messages]
        return _as_json(
            [self.id, self.dataset, self.language, self.role, messages, self.reference, self.choices, self.metadata]
        )

    def as_row(self) -> dict[str, Any]:
        """The item as a row of `ITEM_SCHEMA`."""
        return {
            "id": self.id,
            "dataset": self.dataset,
            "language": self.language,
            "role": self.role,
            "messages": [{"role": message.role, "content": message.content} for message in self.messages],
            "input": self.input,
            "reference": self.reference,
            "choices": list(self.choices),
            "metadata": self.metadata,
            "source_file": self.source_file,
            "source_line": self.source_line,
        }


def canonical(text: str) -> str:
    """NFC, one kind of line end, no white space at line ends nor around the text."""
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def items_frame(items: Iterable[Item]) -> pl.DataFrame:
    """The items as a frame of `ITEM_SCHEMA`, in an order that does not depend on the one they come in."""
    ordered = sorted(items, key=lambda item: (item.exact_form, item.source_file, item.source_line))
    return pl.DataFrame([item.as_row() for item in ordered], schema=dict(ITEM_SCHEMA), orient="row")


def items_of(frame: pl.DataFrame) -> list[Item]:
    """The inverse of `items_frame`."""
    return [
        Item(
            dataset=row["dataset"],
            language=row["language"],
            role=row["role"],
            messages=tuple(Message(**message) for message in row["messages"]),
            reference=row["reference"],
            choices=tuple(row["choices"]),
            metadata=row["metadata"],
            source_file=row["source_file"],
            source_line=row["source_line"],
        )
        for row in frame.iter_rows(named=True)
    ]


def hash_of_items(items: Iterable[Item]) -> str:
    """SHA-256 of a collection of items: independent of their order and of the files they were read from."""
    return hash_of_forms(sorted(item.exact_form for item in items))


def hash_of_forms(forms: Iterable[str | bytes]) -> str:
    """`hash_of_items` of the items with these exact forms, which come sorted; read once, one at a time."""
    digest = hashlib.sha256(f"vllm_quality items {SCHEMA_VERSION}\n".encode())
    for form in forms:
        digest.update((form if isinstance(form, bytes) else form.encode()) + b"\n")
    return digest.hexdigest()


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
