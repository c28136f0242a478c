"""Small evals on disk, for tests."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vllm_quality_tests.servers.openai_api import Body

CRITERIA: Sequence[Mapping[str, Any]] = (
    {
        "type": "string_check",
        "name": "Right sum",
        "operation": "like",
        "input": "{{ sample.output_text }}",
        "reference": "{{ item.answer }}",
    },
    {
        "type": "text_similarity",
        "name": "similar",
        "evaluation_metric": "fuzzy_match",
        "input": "{{ sample.output_text }}",
        "reference": "{{ item.answer }}",
        "pass_threshold": 0.5,
    },
)
SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["question", "answer"],
}


def sums(count: int = 10) -> list[dict[str, Any]]:
    """Rows without answers."""
    return [{"item": {"question": f"What is {n} plus {n}?", "answer": str(2 * n)}} for n in range(count)]


def add_up(body: Body) -> str:
    """The right answer to a row of `sums`."""
    words = str(body["messages"][-1]["content"]).split()
    return str(2 * int(words[2])) if len(words) > 2 and words[2].isdigit() else "Hello."


def write_eval(
    folder: Path, name: str = "sums.json", criteria: Sequence[Mapping[str, Any]] = CRITERIA, **more: Any
) -> Path:
    """An eval as OpenAI's API takes it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"type": "custom", "item_schema": SCHEMA, "include_sample_schema": True}
    path = folder / name
    path.write_text(
        json.dumps({"name": "Sums", "data_source_config": config, "testing_criteria": list(criteria), **more}),
        encoding="utf-8",
    )
    return path


def write_rows(folder: Path, rows: Sequence[Any], name: str = "rows.jsonl") -> Path:
    """Rows as JSON lines; a text stands as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_promptfoo(folder: Path, name: str = "promptfooconfig.yaml", **config: Any) -> Path:
    """A Promptfoo configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    return path
