"""Servers that fail, stall, answer nothing or run out of time: the other items' scores stay, and the counts are right."""

import json
import time
import zlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vllm_quality.eval.client import RetryPolicy
from vllm_quality.eval.lm_suite import SuiteError, run_suite
from vllm_quality.eval.result import SuiteResult
from vllm_quality.eval.suites import Suite
from vllm_quality.results.rows import check_samples
from vllm_quality.verdict.metrics import definition_of
from vllm_quality_tests.eval.scores import scores_of
from vllm_quality_tests.eval.task_files import QUICK, add_up, vllm_at, write_answer_task, write_choice_task, write_task
from vllm_quality_tests.servers.openai_api import Body, Fault, OpenAIServer

ITEMS = 200
Healthy = Callable[[str, int], SuiteResult]
Faults = Callable[[int, str, Body], Fault | None]


def run(
    folder: Path, server: OpenAIServer, task: str, *, concurrency: int = 8, timeout_s: float = 5.0, **suite: Any
) -> SuiteResult:
    chosen = Suite(**{"name": task, "include_path": folder, "limit": None, "concurrency_probe": 0, **suite})
    result = run_suite(
        chosen,
        vllm_at(server.base_url),
        None,
        profile="full",
        concurrency=concurrency,
        timeout_s=timeout_s,
        retry=QUICK,
    )
    check_samples(scores_of(result))
    return result


def mostly_right(body: Body) -> str:
    """Wrong for every third item."""
    right = add_up(body)
    return "0" if right.isdigit() and int(right) % 3 == 0 else right


def always(fault: Fault, share: float) -> Faults:
    """A share of the requests fails whenever they are asked."""
    return lambda _, path, body: fault if zlib.crc32(json.dumps(body).encode()) % 1000 < share * 1000 else None


def the_first_time(fault: Fault, share: float) -> Faults:
    """A share of the requests fails when first asked, and passes when it is asked again, whatever the order they come in."""
    asked: Counter[str] = Counter()

    def decide(number: int, path: str, body: Body) -> Fault | None:
        raw = json.dumps(body)
        asked[raw] += 1
        return fault if asked[raw] == 1 and zlib.crc32(raw.encode()) % 1000 < share * 1000 else None

    return decide


def agree_where_scored(result: SuiteResult, healthy: SuiteResult) -> int:
    """The number of items without a score; the others' scores must be those of the healthy run, and their mean the metric."""
    joined = scores_of(healthy).join(scores_of(result), on=["item_hash", "metric"], suffix="_now")
    assert joined.height == scores_of(healthy).height
    scored = joined.filter(pl.col("score_now").is_not_null())
    assert scored["score"].to_list() == scored["score_now"].to_list()
    for (metric,), own in scored.group_by("metric"):
        assert result.metrics[f"{result.step}/{metric}"] == pytest.approx(own["score"].mean())
    lost = joined.filter(pl.col("score_now").is_null())
    assert set(lost["status_now"]) <= {"infra_error"}
    count = lost["item_hash"].n_unique()
    assert result.metrics[f"{result.step}/infra_errors_count"] == count
    assert result.metrics[f"{result.step}/items_count"] == healthy.metrics[f"{result.step}/items_count"]
    assert result.comparable == healthy.comparable
    return int(count)


@pytest.fixture
def server(server: OpenAIServer) -> OpenAIServer:
    """The server, mostly right."""
    server.answer = mostly_right
    return server


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    write_choice_task(folder, items=ITEMS)
    return write_answer_task(folder, items=ITEMS)


@pytest.fixture(scope="module")
def healthy(tasks: Path) -> Callable[[str, int], SuiteResult]:
    """A task's result on a server that has no fault, by the concurrency that it is asked at."""

    @cache
    def measure(task: str, concurrency: int) -> SuiteResult:
        with OpenAIServer(answer=mostly_right) as faultless:
            return run(tasks, faultless, task, concurrency=concurrency)

    return measure


@pytest.mark.parametrize("task", ["sums", "capitals_mc"])
@pytest.mark.parametrize("fault", [Fault(status=500), Fault(hang_s=0.01), Fault(raw=b"{}")], ids=["500", "cut", "{}"])
def test_failures_that_pass_cost_nothing(
    tasks: Path, server: OpenAIServer, healthy: Healthy, task: str, fault: Fault
) -> None:
    server.fault = the_first_time(fault, 0.05)
    assert agree_where_scored(run(tasks, server, task), healthy(task, 8)) == 0


@pytest.mark.parametrize("task", ["sums", "capitals_mc"])
def test_of_a_server_that_fails_five_percent_of_the_requests_the_rest_is_scored_as_ever(
    tasks: Path, server: OpenAIServer, healthy: Healthy, task: str
) -> None:
    server.fault = always(Fault(status=503), 0.05)
    result = run(tasks, server, task)
    lost = agree_where_scored(result, healthy(task, 8))
    assert 0 < lost < ITEMS / 2
    assert result.problem is not None
    assert result.problem.startswith(f"{lost} of {ITEMS} items have no score (such as: HTTP 503")


@pytest.mark.parametrize("task", ["sums", "capitals_mc"])
def test_a_server_that_stalls_now_and_then_costs_those_items_only(
    tasks: Path, server: OpenAIServer, healthy: Healthy, task: str
) -> None:
    server.fault = always(Fault(hang_s=60), 0.015)
    result = run(tasks, server, task, timeout_s=0.5)
    assert 0 < agree_where_scored(result, healthy(task, 8)) < ITEMS / 4
    assert "no answer within 0.5 s" in (result.texts["error"].drop_nulls().to_list() or [""])[0]


def test_null_contents_are_wrong_answers_of_their_own_and_take_no_other_along(
    tasks: Path, server: OpenAIServer, healthy: Healthy
) -> None:
    server.answer = lambda body: None if add_up(body).endswith("4") else mostly_right(body)
    result = run(tasks, server, "sums")
    empty = scores_of(result).filter(pl.col("status") == "model_error")
    assert result.details["null_contents"] == empty.height == ITEMS / 5
    assert set(empty["score"]) == {0.0}
    others = (
        scores_of(result).filter(pl.col("status") == "ok").join(healthy("sums", 8).samples, on=["item_hash", "metric"])
    )
    assert others["score"].to_list() == others["score_right"].to_list()
    assert result.problem is None


def test_all_requests_together_have_a_budget_of_retries(tasks: Path, server: OpenAIServer) -> None:
    server.fault = lambda number, path, body: Fault(status=500) if number % 4 else None  # three of four
    chosen = Suite(name="sums", include_path=tasks, concurrency_probe=0)
    patient = RetryPolicy(attempts=10, first_wait_s=0.001, longest_wait_s=0.002, reserve=10, share=0.5)
    result = run_suite(
        chosen, vllm_at(server.base_url), None, profile="full", concurrency=8, timeout_s=5, retry=patient
    )
    assert len(server.requests) <= ITEMS * 1.5 + 10 + 5
    assert result.problem is not None
    assert result.metrics["eval/sums/infra_errors_count"] > ITEMS / 2


@pytest.mark.parametrize("task", ["sums", "capitals_mc"])
def test_what_the_time_limit_leaves_is_said_and_scored_by_nobody(
    tasks: Path, server: OpenAIServer, healthy: Healthy, task: str
) -> None:
    sent = Counter[str]()

    def stuck_after_twenty(number: int, path: str, body: Body) -> Fault | None:
        sent[path] += 1
        return Fault(hang_s=60) if path != "/tokenize" and sent[path] > 20 else None

    server.fault = stuck_after_twenty
    began = time.monotonic()
    result = run(tasks, server, task, concurrency=2, timeout_s=60, time_limit_s=2)
    assert time.monotonic() - began < 30
    lost = agree_where_scored(result, healthy(task, 2))
    assert 0 < lost < ITEMS
    assert result.metrics[f"eval/{task}/not_reached_count"] == result.details["not_reached"] == lost
    assert result.problem is not None
    assert result.problem.startswith(f"{lost} of {ITEMS} items were not reached within the 2 s")


@pytest.mark.parametrize("task", ["sums", "capitals_mc"])
def test_what_is_sent_is_the_same_set_at_any_concurrency(tmp_path: Path, server: OpenAIServer, task: str) -> None:
    server.answer = add_up
    write_choice_task(write_answer_task(tmp_path, items=40), items=40)
    sent = []
    for concurrency in (1, 4, 32):
        server.requests.clear()
        run(tmp_path, server, task, concurrency=concurrency)
        sent.append(sorted(json.dumps([path, body], sort_keys=True) for path, body in server.requests))
    assert sent[0] == sent[1] == sent[2]


def test_generated_items_are_asked_once_more_alone_and_the_difference_is_told(
    tmp_path: Path, server: OpenAIServer
) -> None:
    write_answer_task(tmp_path, items=40)
    server.fault = lambda number, path, body: server.pause(0.01)

    def answer(body: Body) -> str:
        # Under load every answer is wrong.
        return add_up(body) if server.now == 1 else "0"

    server.answer = answer
    result = run(tmp_path, server, "sums", concurrency_probe=10)
    again = [json.dumps(body) for body in server.sent_to("/v1/chat/completions")[-10:]]
    assert set(again) <= {json.dumps(body) for body in server.sent_to("/v1/chat/completions")[1:41]}
    assert result.metrics["eval/sums/load_items_count"] == 10
    assert result.metrics["eval/sums/load_delta_score"] < -0.5
    assert result.metrics["eval/sums/load_same_ratio"] < 0.5
    definition = definition_of("eval/sums/load_delta_score")
    assert definition is not None
    assert definition.higher_is_better is None
    alone = scores_of(result).filter(pl.col("suite") == "sums@1")
    assert alone["metric"].unique().to_list() == ["exact_match_alone"]
    assert alone["score"].to_list() == [1.0] * 10
    assert scores_of(result).filter(pl.col("suite") == "sums").height == 40
    assert scores_of(result).select("suite", "item_hash", "metric").is_unique().all()
    assert result.texts.filter(pl.col("suite") == "sums@1").height == 10
    assert result.details["not judged"] == []


def test_a_server_that_is_gone_when_items_are_asked_alone_costs_no_score(tmp_path: Path, server: OpenAIServer) -> None:
    write_answer_task(tmp_path, items=40)
    server.answer = add_up
    server.fault = lambda number, path, body: Fault(status=503) if number > 40 else None
    result = run(tmp_path, server, "sums", concurrency_probe=10)
    assert (result.problem, result.metrics["eval/sums/exact_match"]) == (None, 1.0)
    assert "does not answer" in result.details["asked_alone"]
    assert "eval/sums/load_delta_score" not in result.metrics


def test_the_items_asked_alone_are_the_same_for_every_release_and_none_at_concurrency_one(
    tmp_path: Path, server: OpenAIServer
) -> None:
    write_answer_task(tmp_path, items=40)
    server.answer = add_up
    drawn = [
        run(tmp_path, server, "sums", concurrency_probe=5).texts.filter(pl.col("suite") == "sums@1")["item_hash"]
        for _ in range(2)
    ]
    assert drawn[0].to_list() == drawn[1].to_list()
    single = run(tmp_path, server, "sums", concurrency=1, concurrency_probe=5)
    assert "eval/sums/load_delta_score" not in single.metrics


def test_items_about_one_passage_widen_the_error(tmp_path: Path, server: OpenAIServer) -> None:
    docs = [
        {"question": f"{number} + {number} =", "answer": str(2 * number), "passage": f"p{number // 4}", "topic": "sums"}
        for number in range(40)
    ]
    config: dict[str, Any] = {
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["\n"]},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    write_task(tmp_path, "by_passage", docs, **config)
    write_task(tmp_path, "by_nothing", [{k: v for k, v in doc.items() if k != "passage"} for doc in docs], **config)
    write_task(tmp_path, "by_topic", docs, **{**config, "metadata": {"version": 1.0, "cluster": "topic"}})
    # Whole passages are answered wrongly.
    wrong = {str(2 * number) for number in range(40) if number // 4 % 2}
    server.answer = lambda body: "wrong" if add_up(body) in wrong else add_up(body)
    stderr = "exact_match_stderr"
    together = run(tmp_path, server, "by_passage").metrics[f"eval/by_passage/{stderr}"]
    apart = run(tmp_path, server, "by_nothing").metrics[f"eval/by_nothing/{stderr}"]
    assert together / apart == pytest.approx(2, rel=0.15)  # clusters of four that agree: sqrt(4)
    assert f"eval/by_topic/{stderr}" not in run(tmp_path, server, "by_topic").metrics  # one cluster tells nothing
    chosen = run(tmp_path, server, "by_topic", cluster="question").metrics[f"eval/by_topic/{stderr}"]
    assert chosen == pytest.approx(apart)
    server.requests.clear()
    with pytest.raises(SuiteError, match=r"have no field 'pasage' for cluster; there are question, answer, passage"):
        run(tmp_path, server, "by_passage", cluster="pasage")
    assert server.requests == []


def test_a_macro_f1_has_an_error_of_its_own_where_lm_eval_says_not_available(
    tmp_path: Path, server: OpenAIServer
) -> None:
    write_choice_task(tmp_path, items=60)
    (tmp_path / "macro.py").write_text(
        "from sklearn.metrics import f1_score\n\n\n"
        "def macro_f1(items):\n"
        "    golds, found = zip(*items)\n"
        "    return f1_score(golds, found, average='macro')\n",
        encoding="utf-8",
    )
    task = tmp_path / "capitals_mc.yaml"
    text = task.read_text(encoding="utf-8")
    listed = "metric_list:\n- metric: f1\n  aggregation: !function macro.macro_f1\n  higher_is_better: true\n"
    task.write_text(text.replace("metric_list:\n", listed), encoding="utf-8")
    result = run(tmp_path, server, "capitals_mc")
    assert 0 < result.metrics["eval/capitals_mc/f1"] < 1
    assert 0.005 < result.metrics["eval/capitals_mc/f1_stderr"] < 0.1
    again = run(tmp_path, server, "capitals_mc")
    assert again.metrics["eval/capitals_mc/f1_stderr"] == result.metrics["eval/capitals_mc/f1_stderr"]


def test_early_signals_come_with_the_scores(tasks: Path, server: OpenAIServer) -> None:
    server.answer = lambda body: "죄송합니다. 답변할 수 없습니다." if add_up(body) == "8" else mostly_right(body)
    found = run(tasks, server, "sums").metrics
    assert found["eval/sums/refusal_ratio"] == pytest.approx(1 / ITEMS)
    assert found["eval/sums/hangul_ratio"] == 1.0
    assert found["eval/sums/truncated_ratio"] == 0.0
    assert found["eval/sums/answer_tokens"] == 7.0
    choices = run(tasks, server, "capitals_mc")
    assert -5 < choices.metrics["eval/capitals_mc/gold_logprob"] < 0
    assert "eval/capitals_mc/refusal_ratio" not in choices.metrics
    assert set(choices.texts["reason"]) == {""}
