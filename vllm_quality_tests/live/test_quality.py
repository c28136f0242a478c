"""The lm-eval runner against a real vLLM: English and Korean benchmarks end to end; a second release is really asked."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from vllm_quality.eval.lm_suite import run_suite
from vllm_quality.eval.result import SuiteResult
from vllm_quality.eval.suites import Suite
from vllm_quality.results.rows import check_samples
from vllm_quality.serving.endpoint import identify
from vllm_quality_tests.eval.task_files import write_answer_task
from vllm_quality_tests.live.models import Models
from vllm_quality_tests.live.servers import vllm_server

pytestmark = pytest.mark.live

CHANCE = {"live_piqa": 1 / 2, "live_openbookqa": 1 / 4, "live_ko_spelling": 1 / 2, "live_ko_dialects": 1 / 6}


def run(base_url: str, tasks: Path, name: str, *, limit: int = 60, concurrency: int = 8) -> SuiteResult:
    suite = Suite(name=name, limit=limit, include_path=tasks)
    endpoint = identify(base_url, None, None, 120)
    result = run_suite(suite, endpoint, None, profile="standard", concurrency=concurrency, timeout_s=300)
    check_samples(result.samples)
    return result


def prompts_served(base_url: str) -> float:
    """How many prompts the server has finished, by its own count."""
    metrics = httpx.get(f"{base_url}/metrics", timeout=30).text
    return sum(
        float(count) for count in re.findall(r"^vllm:request_success_total\{[^}]*\} (\S+)$", metrics, re.MULTILINE)
    )


@pytest.mark.parametrize("name", CHANCE)
def test_a_benchmark_runs_end_to_end(vllm: str, benchmarks: Path, name: str) -> None:
    result = run(vllm, benchmarks, name)
    assert result.problem is None
    assert result.details["not judged"] == []
    items = result.metrics[f"eval/{name}/items_count"]
    assert 50 <= items <= 60
    assert result.samples.height == 3 * items  # acc, acc_norm and gold_logprob
    # A model of 135 million parameters is above chance in English; in Korean it guesses, but it does so in earnest.
    assert result.metrics[f"eval/{name}/acc"] > CHANCE[name] * (0.3 if "_ko_" in name else 0.7)
    assert 0 < result.metrics[f"eval/{name}/acc_stderr"] < 0.1
    assert -10 < result.metrics[f"eval/{name}/gold_logprob"] < 0
    choices = {"live_ko_dialects": {"강원도", "경상도", "전라도", "제주도", "충청도", "서울"}}
    assert set(result.texts["answer"]) <= choices.get(name, set(result.texts["answer"]))


def test_generated_answers_come_with_their_signals_and_a_probe_alone(vllm: str, tmp_path: Path) -> None:
    write_answer_task(tmp_path, items=12, generation_kwargs={"until": ["\n"], "max_gen_toks": 12})
    result = run(vllm, tmp_path, "sums")
    assert result.problem is None
    assert result.metrics["eval/sums/load_items_count"] == 12
    assert 0 < result.metrics["eval/sums/answer_tokens"] <= 12
    assert result.metrics["eval/sums/truncated_count"] / 12 == result.metrics["eval/sums/truncated_ratio"]


def test_two_releases_behind_one_address_are_both_asked(models: Models, benchmarks: Path) -> None:
    found, served = [], []
    port = None
    for model in (models.good, models.noisy):
        with vllm_server(model, port=port) as base_url:
            port = urlsplit(base_url).port
            identify(base_url, None, None, 120)
            before = prompts_served(base_url)
            found.append(run(base_url, benchmarks, "live_piqa"))
            served.append(prompts_served(base_url) - before)
    # Two choices an item, one text to see that the server scores at all, and what tells who answers.
    assert served[0] == served[1]
    assert 2 * 60 + 1 <= served[0] <= 2 * 60 + 10
    first, second = (result.metrics["eval/live_piqa/gold_logprob"] for result in found)
    assert first > second + 0.1  # noise in the weights shows at once
    assert found[0].comparable == found[1].comparable
