"""One metric of one release, item by item, and how to read it from a file of JSON lines."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vllm_quality.errors import UserError


class CompareError(UserError):
    """Two results cannot be compared as they were given."""


@dataclass(frozen=True)
class ItemScore:
    """An item's score; `slice` and `cluster` are "" where it has none."""

    score: float
    slice: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Scores:
    """A metric's scores by item.

    name        metric path, or the file's "score"
    unscored    items without a score: they could not be asked or judged
    conditions  what must be equal for two of these to be comparable (name -> value), such as the suite's hash
    """

    name: str
    items: Mapping[str, ItemScore]
    unscored: int = 0
    higher_is_better: bool = True
    conditions: Mapping[str, str] = field(default_factory=dict)


def read_scores(path: Path) -> Scores:
    """The scores in a JSON-lines file with `item`, `score` and, optionally, `slice` and `cluster`. Raises `CompareError`.

    A score is a number, true, false, or null for an item that could not be scored.
    """
    items: dict[str, ItemScore] = {}
    unscored: set[str] = set()
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                item, score = _read_line(line, f"{path}, line {number}")
                if item in items or item in unscored:
                    raise CompareError(f"{path}, line {number}: item {item!r} is there twice; give each item once.")
                if score is None:
                    unscored.add(item)
                else:
                    items[item] = score
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CompareError(f"{path} cannot be read ({reason}); name a file of JSON lines.") from None
    if not items:
        raise CompareError(f"{path} has no item with a score; it needs lines such as {_EXAMPLE}.")
    return Scores("score", items, len(unscored))


_EXAMPLE = '{"item": "q1", "score": 1}'


def _read_line(line: str, place: str) -> tuple[str, ItemScore | None]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError, ValueError):
        raise CompareError(f"{place} is not JSON; each line is an object such as {_EXAMPLE}.") from None
    if not isinstance(row, Mapping) or "item" not in row or "score" not in row:
        raise CompareError(f"{place} has no 'item' and 'score'; each line is an object such as {_EXAMPLE}.")
    item, score = row["item"], row["score"]
    if not isinstance(item, str | int) or isinstance(item, bool):
        raise CompareError(f"{place}: 'item' must be a text or a whole number that names the item.")
    if score is None:
        return str(item), None
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise CompareError(f"{place}: 'score' must be a number, true, false or null.")
    return str(item), ItemScore(float(score), _label(row, "slice", place), _label(row, "cluster", place))


def _label(row: Mapping[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise CompareError(f"{place}: {name!r} must be a text.")
    return str(value)
