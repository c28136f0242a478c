"""Data rows of an eval: JSON lines of {"item": {…}, "sample": {…}}, checked against the eval's schema, bad ones set aside."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_quality.eval.evals.plan import BadRow, EvalError
from vllm_quality.eval.graders.text_checks import CheckError, misfits

_LARGEST_LINE = 32 * 1024 * 1024  # characters


@dataclass(frozen=True)
class DataRow:
    """A row as it stands in the data; `sample` has at least `output_text` where there is one."""

    line: int
    item: Mapping[str, Any]
    sample: Mapping[str, Any] | None


def read_lines(path: Path) -> list[tuple[int, object]]:
    """Line number and value of each line that is not blank; what is no JSON is a `BadRow`. Raises `EvalError`."""
    found: list[tuple[int, object]] = []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    found.append((number, _value(number, line)))
    except (OSError, UnicodeDecodeError) as error:
        raise EvalError(f"{path} cannot be read ({error}); give a readable file of JSON lines in UTF-8.") from None
    return found


def _value(number: int, line: str) -> object:
    if len(line) > _LARGEST_LINE:
        return BadRow(number, f"has more than {_LARGEST_LINE} characters")
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return BadRow(number, f"is no JSON ({error})")


def check_rows(
    values: Iterable[tuple[int, object]], item_schema: Mapping[str, Any] | None
) -> tuple[list[DataRow], list[BadRow]]:
    """The rows that can be used, and the others. Raises `EvalError` when the schema itself cannot be used."""
    good: list[DataRow] = []
    bad: list[BadRow] = []
    for number, value in values:
        found = value if isinstance(value, BadRow) else _row(number, value, item_schema)
        if isinstance(found, BadRow):
            bad.append(found)
        else:
            good.append(found)
    return good, bad


def _row(number: int, value: object, schema: Mapping[str, Any] | None) -> DataRow | BadRow:
    if not isinstance(value, dict) or not isinstance(value.get("item"), dict):
        return BadRow(number, 'has no object "item"')
    item, sample = value["item"], value.get("sample")
    try:
        wrong = _misfit(item, schema)
    except CheckError as error:
        raise EvalError(f"The eval's item_schema: {error}; correct it.") from None
    if wrong:
        return BadRow(number, f"item {wrong}")
    if sample is None:
        return DataRow(number, item, None)
    if not isinstance(sample, dict):
        return BadRow(number, 'has a "sample" that is no object')
    full = complete_sample(sample)
    if not isinstance(full.get("output_text"), str):
        return BadRow(number, "has a sample without output_text")
    return DataRow(number, item, full)


def _misfit(item: Mapping[str, Any], schema: Mapping[str, Any] | None) -> str | None:
    error = next(misfits(item, schema), None)
    if error is None:
        return None
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return f"{where} does not fit the schema: {error.message[:200]}".strip()


def complete_sample(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A sample with `output_text` taken from its choices, and `output_json` wherever the text is JSON."""
    full = dict(sample)
    if "output_text" not in full:
        text = _first_content(full.get("choices"))
        if text is not None:
            full["output_text"] = text
    if "output_json" not in full and isinstance(full.get("output_text"), str):
        with suppress(ValueError, RecursionError):
            full["output_json"] = json.loads(full["output_text"])
    return full


def _first_content(choices: object) -> str | None:
    if not isinstance(choices, Sequence) or not choices or not isinstance(choices[0], dict):
        return None
    message = choices[0].get("message")
    content = message.get("content") if isinstance(message, dict) else choices[0].get("text")
    return content if isinstance(content, str) else None
