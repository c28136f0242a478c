"""What the tasks basics_en and basics_ko ask, and when an answer counts: the packaged data sets of the same names."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any


def documents(name: str, **_: object) -> dict[str, Any]:
    """The rows of a packaged data set, as lm-eval takes a custom data set: split -> rows."""
    from datasets import Dataset

    path = files("vllm_quality") / "datasets" / "raw" / name / "items.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {"test": Dataset.from_list([{"choices": [], **row} for row in rows])}


def score(doc: Mapping[str, Any], answers: Sequence[str]) -> dict[str, float]:
    """1 for an answer that says the reference, and where choices are given none of the others; else 0."""
    answer = _normal(answers[0])
    others = [choice for choice in doc["choices"] if choice != doc["reference"]]
    right = _says(answer, doc["reference"]) and not any(_says(answer, choice) for choice in others)
    return {"exact_match": float(right)}


def _says(answer: str, phrase: str) -> bool:
    """Whether the phrase is there as a word; a Korean one may have a particle behind it."""
    word = _normal(phrase)
    behind = r"(?!\w)" if word.isascii() else ""
    return re.search(rf"(?<!\w){re.escape(word)}{behind}", answer) is not None


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
