"""A release from a file of JSON lines: the score of each item, and nothing else."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from vllm_quality.verdict.compare.release import CompareError, Release

SCORE = "score"  # the metric of a file
_EXAMPLE = '{"item": "q1", "score": 1}'
_SCHEMA: dict[str, pl.DataType] = {
    "item_hash": pl.String(),
    "score": pl.Float64(),
    "cluster": pl.String(),
    "slices": pl.List(pl.String()),
}


def read_scores(path: Path) -> Release:
    """What a JSON-lines file with `item`, `score` and, optionally, `slice` and `cluster` says. Raises `CompareError`.

    A score is a number, true, false, or null for an item that could not be scored: that one is left out.
    """
    rows, seen = list[dict[str, Any]](), set[str]()
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                row = _read_line(line, f"{path}, line {number}")
                item = row["item_hash"]
                if item in seen:
                    raise CompareError(f"{path}, line {number}: item {item!r} is there twice; give each item once.")
                seen.add(item)
                rows.append(row)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CompareError(f"{path} cannot be read ({reason}); name a file of JSON lines.") from None
    samples = pl.DataFrame(rows, schema=_SCHEMA).drop_nulls("score")
    if samples.is_empty():
        raise CompareError(f"{path} has no item with a score; it needs lines such as {_EXAMPLE}.")
    same = {"suite": "", "metric": SCORE, "prompt_hash": "", "judge": ""}
    samples = samples.with_columns(pl.lit(value).alias(name) for name, value in same.items())
    scores = samples["score"].to_list()
    return Release(str(path), str(path), {SCORE: math.fsum(scores) / len(scores)}, samples, None, {SCORE: ""})


def _read_line(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError, ValueError):
        raise CompareError(f"{place} is not JSON; each line is an object such as {_EXAMPLE}.") from None
    if not isinstance(row, Mapping) or "item" not in row or "score" not in row:
        raise CompareError(f"{place} has no 'item' and 'score'; each line is an object such as {_EXAMPLE}.")
    item, score = row["item"], row["score"]
    if not isinstance(item, str | int) or isinstance(item, bool):
        raise CompareError(f"{place}: 'item' must be a text or a whole number that names the item.")
    if score is not None and (not isinstance(score, int | float) or not math.isfinite(score)):
        raise CompareError(f"{place}: 'score' must be a number, true, false or null.")
    part = _label(row, "slice", place)
    return {
        "item_hash": str(item),
        "score": None if score is None else float(score),
        "cluster": _label(row, "cluster", place),
        "slices": [part] if part else [],
    }


def _label(row: Mapping[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise CompareError(f"{place}: {name!r} must be a text.")
    return str(value)
