"""Scores without the items that another data set holds stand beside the plain ones, and change nothing else."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from vllm_quality.eval.lm_overlap import Overlap, no_overlap
from vllm_quality.eval.lm_suite import run_suite
from vllm_quality.eval.result import SuiteResult
from vllm_quality.eval.suites import Suite
from vllm_quality.verdict.metrics import definition_of
from vllm_quality_tests.eval.task_files import QUICK, add_up, vllm_at, write_answer_task, write_choice_task
from vllm_quality_tests.eval.test_deepeval_suite import right, snapshot
from vllm_quality_tests.eval.test_deepeval_suite import run as run_snapshot
from vllm_quality_tests.servers.openai_api import Body, OpenAIServer


def knows(*numbers: int) -> Callable[[Body], str]:
    """A release that has these sums by heart, and nothing else."""
    return lambda body: add_up(body) if any(f"{n} + {n} =" in json.dumps(body) for n in numbers) else "no idea"


def run(folder: Path, server: OpenAIServer, task: str, overlap: Overlap = no_overlap) -> SuiteResult:
    suite = Suite(name=task, include_path=folder, concurrency_probe=0)
    return run_suite(
        suite, vllm_at(server.base_url), None, profile="full", concurrency=4, timeout_s=5, retry=QUICK, overlap=overlap
    )


def hashes(result: SuiteResult, *prompts: str) -> frozenset[str]:
    return frozenset(result.texts.filter(pl.col("prompt").str.contains_any(list(prompts)))["item_hash"])


def test_a_benchmark_is_scored_once_more_without_what_was_learnt_by_heart(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = knows(10, 11)
    write_answer_task(tmp_path, items=12)
    plain = run(tmp_path, server, "sums")
    assert not [metric for metric in plain.metrics if "overlap" in metric]
    seen = hashes(plain, "10 + 10", "11 + 11")
    result = run(tmp_path, server, "sums", lambda task: seen if task == "sums" else ())
    assert result.metrics["eval/sums/overlap_count"] == 2
    assert result.metrics["eval/sums/exact_match"] == plain.metrics["eval/sums/exact_match"] == pytest.approx(2 / 12)
    assert result.metrics["eval/sums/exact_match_without_overlap"] == 0
    assert result.metrics["eval/sums/exact_match_without_overlap_stderr"] == 0
    assert (result.comparable, result.samples.equals(plain.samples)) == (plain.comparable, True)
    assert result.details["not judged"] == []


def test_a_group_counts_as_it_says_without_them_too(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = knows(0, 1, 2, 3)
    write_answer_task(tmp_path, "first", items=4)
    write_answer_task(tmp_path, "second", items=8)
    group = {
        "group": "both",
        "task": ["first", "second"],
        "aggregate_metric_list": [{"metric": "exact_match", "weight_by_size": True}],
    }
    (tmp_path / "both.yaml").write_text(json.dumps(group), encoding="utf-8")
    plain = run(tmp_path, server, "both")
    assert plain.metrics["eval/both/exact_match"] == pytest.approx(8 / 12)
    seen = hashes(plain, "2 + 2", "3 + 3")  # of both tasks
    result = run(tmp_path, server, "both", lambda task: seen)
    assert result.metrics["eval/both/overlap_count"] == 4
    assert result.metrics["eval/both/exact_match_without_overlap"] == pytest.approx(4 / 8)
    assert 0 < result.metrics["eval/both/exact_match_without_overlap_stderr"] < 0.3


def test_choices_are_scored_without_them_and_nothing_is_left_of_nothing(tmp_path: Path, server: OpenAIServer) -> None:
    write_choice_task(tmp_path, items=8)
    plain = run(tmp_path, server, "capitals_mc")
    half = hashes(plain, "0. ", "1. ", "2. ", "3. ")
    assert len(half) == 4
    scores = plain.samples.filter(~pl.col("item_hash").is_in(list(half)) & (pl.col("metric") == "acc"))["score"]
    result = run(tmp_path, server, "capitals_mc", lambda task: half)
    assert result.metrics["eval/capitals_mc/acc_without_overlap"] == pytest.approx(scores.mean())
    everything = run(tmp_path, server, "capitals_mc", lambda task: frozenset(plain.texts["item_hash"]))
    assert {m.rpartition("/")[2] for m in everything.metrics if "overlap" in m} == {"overlap_count"}


def test_a_snapshots_items_are_scored_once_more_without_them(server: OpenAIServer) -> None:
    frame = snapshot(12)
    seen = frozenset(frame["id"].to_list()[:4])
    answers = {body: right({"messages": [{"content": body}]}) for body in frame["input"].to_list()[:4]}
    server.answer = lambda body: answers.get(str(body["messages"][-1]["content"]), "I forgot.")
    plain = run_snapshot(server, frame)
    result = run_snapshot(server, frame, overlapping=seen)
    name = "eval/deepeval/exact_answer_score"
    assert result.metrics["eval/deepeval/overlap_count"] == 4
    assert result.metrics[name] == pytest.approx(4 / 12)
    assert (result.metrics[f"{name}_without_overlap"], result.metrics[f"{name}_without_overlap_stderr"]) == (0, 0)
    assert not [metric for metric in plain.metrics if "overlap" in metric]
    assert result.comparable == plain.comparable
    assert [metric for metric in result.metrics if definition_of(metric) is None] == []
