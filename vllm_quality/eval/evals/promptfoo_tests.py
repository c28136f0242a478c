"""The prompts and tests of a Promptfoo configuration, with everything that stands elsewhere filled in."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from vllm_quality.eval.evals.promptfoo_files import (
    UnsupportedError,
    is_file,
    path_of,
    read_text,
    read_value,
    to_template,
)

_MOST_COMBINATIONS = 10_000
_EXPECTED = re.compile(r"(?P<type>(?:not-)?[a-z][a-z:-]*)(?:\((?P<threshold>[\d.]+)\))?:\s*(?P<value>.*)", re.DOTALL)
_CODE = (".js", ".cjs", ".mjs", ".ts", ".py", ".sh", ".rb")


@dataclass(frozen=True)
class Prompt:
    """Messages with our templates in them."""

    messages: Sequence[Mapping[str, str]]


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """The value where it is a list; a single object as a list of one; else an empty one."""
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def read_prompts(given: Any, folder: Path) -> list[Prompt]:
    """The prompts; without any, Promptfoo sends the variable `prompt`. Raises `UnsupportedError`."""
    if given is None:
        return [_prompt("{{prompt}}")]
    listed = given if isinstance(given, list) else [given]
    return [prompt for entry in listed for prompt in _prompts(entry, folder)]


def _prompts(entry: Any, folder: Path) -> list[Prompt]:
    if isinstance(entry, dict):
        if "role" in entry:
            raise UnsupportedError("messages straight in the list of prompts", "put them into a JSON file, or a text")
        entry = entry.get("raw", entry.get("id", ""))
    text = str(entry)
    if text.startswith("exec:") or (re.match(r"[a-z]+://", text) and not is_file(text)):
        raise UnsupportedError(f"the prompt {text[:60]!r}", "write the prompt itself")
    if not is_file(text):
        return [_prompt(text)]
    path = path_of(text, folder)
    if path.suffix.lower() in _CODE or ".py:" in text or ".js:" in text:
        raise UnsupportedError(f"prompts from code ({path.name})", "write the prompt itself")
    inside = read_text(path)
    parts = re.split(r"^---\s*$", inside, flags=re.MULTILINE) if path.suffix.lower() in (".txt", ".md") else [inside]
    return [_prompt(part.strip()) for part in parts if part.strip()]


def _prompt(text: str) -> Prompt:
    messages = _chat(text)
    if messages is None:
        return Prompt([{"role": "user", "content": to_template(text)}])
    return Prompt([{"role": str(part["role"]), "content": to_template(str(part["content"]))} for part in messages])


def _chat(text: str) -> list[Mapping[str, Any]] | None:
    """Messages, where a text is JSON or YAML of them."""
    if '"role"' not in text and "role:" not in text:
        return None
    try:
        found = json.loads(text) if text.lstrip().startswith("[") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return None
    good = isinstance(found, list) and all(isinstance(p, dict) and {"role", "content"} <= set(p) for p in found)
    return found if good and found else None


def read_tests(given: Any, folder: Path) -> list[Mapping[str, Any]]:
    """The tests as they stand, those of a file read. Raises `UnsupportedError`."""
    if is_file(given) or isinstance(given, str):
        path = path_of(str(given), folder)
        if path.suffix.lower() == ".csv":
            return [_csv_test(row) for row in csv.DictReader(io.StringIO(read_text(path)))]
        return read_tests(read_value(path), path.parent)
    found: list[Mapping[str, Any]] = []
    for entry in given if isinstance(given, list) else [given] if isinstance(given, dict) else []:
        found += read_tests(entry, folder) if isinstance(entry, str) else [entry]
    return found


def _csv_test(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A line of a CSV file: its columns are variables, `__expected…` are assertions."""
    variables, assertions, more = {}, [], {}
    for name, value in row.items():
        if name.startswith("__expected"):
            assertions += [_compact(value)] if value else []
        elif name == "__threshold":
            more["threshold"] = float(value) if value else None
        elif name.startswith("__"):
            if value and not name.startswith("__metadata") and name != "__description":
                raise UnsupportedError(f"the CSV column {name}", "write the tests as YAML")
        else:
            variables[name] = value or ""
    return {"vars": variables, "assert": assertions, **more}


def _compact(text: str) -> Mapping[str, Any]:
    found = _EXPECTED.fullmatch(text)
    if found is None or text.startswith(("http://", "https://")):
        return {"type": "equals", "value": text}
    kind = {"grade": "llm-rubric", "fn": "javascript", "eval": "javascript"}.get(found["type"], found["type"])
    limit = {"threshold": float(found["threshold"])} if found["threshold"] else {}
    return {"type": kind, "value": found["value"], **limit}


def variables_of(test: Mapping[str, Any], default: Mapping[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """Each set of variables that a test stands for: a list of values means one test for each. Raises `UnsupportedError`."""
    merged: dict[str, Any] = {}
    for source in (default.get("vars"), test.get("vars")):
        given = read_value(path_of(str(source), folder)) if is_file(source) else source
        merged |= given if isinstance(given, dict) else {}
    merged = {name: read_value(path_of(value, folder)) if is_file(value) else value for name, value in merged.items()}
    for name, value in merged.items():
        if isinstance(value, str) and any(f"{{{{{other}}}}}" in value.replace(" ", "") for other in merged):
            raise UnsupportedError(f"the variable {name!r} that refers to another", "write its value out")
    options = {**mapping(default.get("options")), **mapping(test.get("options"))}
    lists = {} if options.get("disableVarExpansion") else {n: v for n, v in merged.items() if isinstance(v, list)}
    for count, values in enumerate(product(*lists.values())):
        if count >= _MOST_COMBINATIONS:
            raise UnsupportedError(f"more than {_MOST_COMBINATIONS} combinations of variables", "give shorter lists")
        yield merged | dict(zip(lists, values, strict=True))
