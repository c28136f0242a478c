"""Reads an eval in whichever form it comes: OpenAI's API objects (JSON) or a Promptfoo configuration (YAML or JSON)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from vllm_quality.eval.evals.openai_file import read_openai_eval
from vllm_quality.eval.evals.openai_plan import plan_openai
from vllm_quality.eval.evals.plan import EvalError, Plan
from vllm_quality.eval.evals.promptfoo import is_promptfoo, plan_promptfoo
from vllm_quality.eval.evals.rows import read_lines
from vllm_quality.eval.suites import Bounds, safe_name

SUFFIXES = (".json", ".yaml", ".yml")
_RESERVED = ("deepeval",)


def read_stored(path: Path) -> Mapping[str, Any]:
    """The object in a JSON or YAML file. Raises `EvalError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EvalError(
            f"{path} cannot be read ({error}); give the JSON of an eval, or a Promptfoo configuration."
        ) from None
    try:
        stored = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise EvalError(
            f"{path} is neither JSON nor YAML ({' '.join(str(error).split())[:150]}); correct it."
        ) from None
    if not isinstance(stored, dict):
        raise EvalError(f"{path} holds no object; give the JSON of an eval, or a Promptfoo configuration.")
    return stored


def name_of(path: Path) -> str:
    """The eval's name in metric paths: its file's."""
    return safe_name(path.stem)


def load_plan(path: Path, data: Path | None = None, *, skip_unsupported: bool = False) -> Plan:
    """The plan of an eval's file. `data`: its rows, where they are not in it. Raises `EvalError`, one sentence."""
    stored, name = read_stored(path), name_of(path)
    if name in _RESERVED:
        raise EvalError(f"{path} makes an eval called {name!r}, which is taken; rename the file.")
    plan = _plan(stored, path, name, data, skip_unsupported=skip_unsupported)
    return replace(plan, bounds=_bounds(stored, path))


def _plan(stored: Mapping[str, Any], path: Path, name: str, data: Path | None, *, skip_unsupported: bool) -> Plan:
    if is_promptfoo(stored):
        if data is not None:
            raise EvalError(f"{path} is a Promptfoo configuration, whose tests are its data; leave --data out.")
        return plan_promptfoo(stored, path, name, skip_unsupported=skip_unsupported)
    loaded = read_openai_eval(stored, str(path))
    beside = path.parent / loaded.data if loaded.data else None
    source = data or beside
    return plan_openai(loaded, read_lines(source) if source else None, name, str(path))


def _bounds(stored: Mapping[str, Any], path: Path) -> Bounds:
    """`time_limit_s` and `concurrency_probe`, which are ours, of a file in either form."""
    inner = stored.get("eval")
    try:
        return Bounds.model_validate({**(inner if isinstance(inner, dict) else {}), **stored})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        raise EvalError(f"{path}: {place} cannot be used: {first['msg'][0].lower()}{first['msg'][1:]}.") from None
