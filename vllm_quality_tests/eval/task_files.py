"""Small lm-eval tasks on disk, for tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from vllm_quality.eval.client import RetryPolicy
from vllm_quality.serving.endpoint import Endpoint

QUICK = RetryPolicy(attempts=3, first_wait_s=0.01, longest_wait_s=0.02)
CAPITALS = [("France", "Paris"), ("대한민국", "서울"), ("Japan", "Tokyo"), ("독일", "베를린")]


def vllm_at(base_url: str, **changes: Any) -> Endpoint:
    """A vLLM endpoint, as `identify` would describe it."""
    fields: dict[str, Any] = {
        "base_url": base_url,
        "model": "fake",
        "engine": "vllm",
        "engine_version": "0.32.0",
        "capabilities": ("chat", "completions", "echo_logprobs", "tokenize"),
        "max_model_len": 4096,
    }
    return Endpoint(**{**fields, **changes})


def write_task(folder: Path, name: str, docs: Sequence[dict[str, Any]], **config: Any) -> Path:
    """A task file and its data."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(doc, ensure_ascii=False) + "\n" for doc in docs), encoding="utf-8")
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "metadata": {"version": 1.0},
        **config,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(task, allow_unicode=True), encoding="utf-8")
    return folder


def write_choice_task(folder: Path, name: str = "capitals_mc", *, items: int = 12) -> Path:
    """Multiple choice by loglikelihood."""
    docs = [
        {"question": f"{number}. {CAPITALS[number % 4][0]}?", "choices": [c for _, c in CAPITALS], "gold": number % 4}
        for number in range(items)
    ]
    return write_task(
        folder,
        name,
        docs,
        output_type="multiple_choice",
        doc_to_text="Q: {{question}}\nA:",
        doc_to_choice="choices",
        doc_to_target="gold",
        metric_list=[
            {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
            {"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True},
        ],
    )


def write_answer_task(folder: Path, name: str = "sums", *, items: int = 12, **config: Any) -> Path:
    """Generated answers, compared exactly."""
    docs = [{"question": f"{number} + {number} =", "answer": str(2 * number)} for number in range(items)]
    return write_task(
        folder,
        name,
        docs,
        **{
            "output_type": "generate_until",
            "doc_to_text": "{{question}}",
            "doc_to_target": "{{answer}}",
            "generation_kwargs": {"until": ["\n", "END"], "max_gen_toks": 16, "do_sample": False},
            "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
            **config,
        },
    )


def add_up(body: dict[str, Any]) -> str:
    """The right answer to an item of `write_answer_task`, whichever way it is asked."""
    question = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    first = question.split(" + ")[0]
    return str(2 * int(first)) if first.isdigit() else "Hello."
