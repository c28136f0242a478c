"""lm-eval suites end to end against a server whose answers are known, healthy and broken in every way."""

import json
import random
import socket
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vllm_quality.errors import UserError
from vllm_quality.eval.lm_suite import SuiteError, run_suite
from vllm_quality.eval.result import SuiteResult
from vllm_quality.eval.suites import Suite, load_suites
from vllm_quality.eval.token_scores import common_prefix
from vllm_quality.results.rows import check_samples
from vllm_quality.serving.endpoint import Endpoint, EndpointError
from vllm_quality_tests.eval.scores import scores_of
from vllm_quality_tests.eval.task_files import (
    QUICK,
    add_up,
    vllm_at,
    write_answer_task,
    write_choice_task,
    write_task,
)
from vllm_quality_tests.servers.openai_api import Body, Fault, OpenAIServer, logprob, tokenize

CONFIGS = Path(str(files("vllm_quality"))) / "configs"
TAKE = {"function": "take_first"}
LLAMA = {"engine": "llama.cpp", "engine_version": "b9000", "capabilities": ("chat", "completions")}


def run(folder: Path, endpoint: Endpoint, task: str = "sums", *, concurrency: int = 4, **suite: Any) -> SuiteResult:
    chosen = Suite(**{"name": task, "include_path": folder, "limit": None, "concurrency_probe": 0, **suite})
    result = run_suite(
        chosen, endpoint, None, profile="full", concurrency=concurrency, timeout_s=5, retry=QUICK, on_progress=None
    )
    check_samples(scores_of(result))
    return result


def asking_about(number: int) -> Callable[[Body], bool]:
    return lambda body: f"{number} + {number} =" in json.dumps(body)


def fails_for(numbers: Iterable[int], fault: Fault) -> Callable[[int, str, Body], Fault | None]:
    checks = [asking_about(number) for number in numbers]
    return lambda _, path, body: fault if any(check(body) for check in checks) else None


def rows(result: SuiteResult, status: str) -> pl.DataFrame:
    return scores_of(result).filter(pl.col("status") == status)


def test_right_answers_score_one_and_everything_is_kept(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = lambda body: "0" if asking_about(3)(body) else add_up(body)
    write_answer_task(tmp_path)
    done: list[tuple[int, int]] = []
    result = run_suite(
        Suite(name="sums", include_path=tmp_path, concurrency_probe=0),
        vllm_at(server.base_url),
        None,
        profile="standard",
        concurrency=4,
        timeout_s=5,
        on_progress=lambda *state: done.append(state),
    )
    assert result.step == "eval/sums"
    assert result.metrics["eval/sums/exact_match"] == pytest.approx(11 / 12)
    assert 0 < result.metrics["eval/sums/exact_match_stderr"] < 0.2
    assert result.metrics["eval/sums/items_count"] == 12
    assert result.problem is None
    assert result.details["not judged"] == []
    assert done[-1] == (12, 12)
    assert scores_of(result)["score"].sum() == 11
    assert scores_of(result)["item_hash"].n_unique() == 12
    assert set(scores_of(result)["finish_reason"]) == {"stop"}
    wrong = result.texts.filter(pl.col("answer") != pl.col("expected")).row(0, named=True)
    assert ("3 + 3" in wrong["prompt"], wrong["answer"], wrong["expected"]) == (True, "0", "6")


def test_choices_are_scored_by_the_servers_own_logprobs(tmp_path: Path, server: OpenAIServer) -> None:
    write_choice_task(tmp_path)
    result = run(tmp_path, vllm_at(server.base_url), "capitals_mc")
    right = []
    for line in (tmp_path / "capitals_mc.jsonl").read_text(encoding="utf-8").splitlines():
        doc = json.loads(line)
        sums = []
        for choice in doc["choices"]:
            context, whole = tokenize(f"Q: {doc['question']}\nA:"), tokenize(f"Q: {doc['question']}\nA: {choice}")
            border = common_prefix(context, whole)
            sums.append(sum(logprob(whole[:at], whole[at]) for at in range(border, len(whole))))
        right.append(sums.index(max(sums)) == doc["gold"])
    assert result.metrics["eval/capitals_mc/acc"] == pytest.approx(sum(right) / len(right))
    assert result.details["mode"] == "loglikelihood"
    assert len(server.sent_to("/v1/completions")) == 12 + 1  # one per item, and the first that checks the server


def test_one_lost_item_has_no_score_and_the_others_keep_theirs(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer, server.fault = add_up, fails_for([5], Fault(status=500))
    write_answer_task(tmp_path, items=60)
    result = run(tmp_path, vllm_at(server.base_url))
    (lost,) = rows(result, "infra_error").iter_rows(named=True)
    assert lost["score"] is None
    assert result.metrics["eval/sums/exact_match"] == 1.0
    assert result.metrics["eval/sums/infra_errors_count"] == 1
    assert result.metrics["eval/sums/items_count"] == 60
    assert result.problem is None
    assert len([body for body in server.sent_to("/v1/chat/completions") if asking_about(5)(body)]) == QUICK.attempts
    assert result.texts.filter(pl.col("error").is_not_null())["error"].to_list() == ["HTTP 500: made to fail"]


def test_lost_choices_take_their_item_along_and_every_metric_is_of_the_others(
    tmp_path: Path, server: OpenAIServer
) -> None:
    write_choice_task(tmp_path, items=60)
    healthy = run(tmp_path, vllm_at(server.base_url), "capitals_mc")
    server.fault = lambda _, path, body: Fault(status=500) if path == "/tokenize" and " 7. " in body["prompt"] else None
    result = run(tmp_path, vllm_at(server.base_url), "capitals_mc")
    assert rows(result, "infra_error").height == 2  # acc and acc_norm of one item
    both = (
        scores_of(healthy)
        .join(scores_of(result), on=["item_hash", "metric"], suffix="_now")
        .filter(pl.col("score_now").is_not_null())
    )
    assert (both["score"] == both["score_now"]).all()
    for metric in ("acc", "acc_norm"):
        scored = both.filter(pl.col("metric") == metric)["score"]
        assert result.metrics[f"eval/capitals_mc/{metric}"] == pytest.approx(scored.mean())
    assert result.comparable == healthy.comparable


def test_too_many_lost_items_make_the_suite_invalid(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer, server.fault = add_up, fails_for([3, 7], Fault(raw=b"not json"))
    write_answer_task(tmp_path, items=60)
    result = run(tmp_path, vllm_at(server.base_url))
    assert result.problem == "2 of 60 items have no score (such as: the answer is not JSON)."
    assert result.metrics["eval/sums/exact_match"] == 1.0


def test_a_server_that_stops_answering_is_not_asked_for_ever(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = add_up
    server.fault = lambda number, path, body: Fault(status=503) if number > 30 else None
    write_answer_task(tmp_path, items=200)
    result = run(tmp_path, vllm_at(server.base_url))
    assert len(server.requests) < 30 + 3 * (16 + 4) + 10
    assert result.problem is not None
    assert "stopped answering: 16 requests in a row failed" in result.problem
    assert result.metrics["eval/sums/exact_match"] == 1.0
    assert rows(result, "ok").height + rows(result, "infra_error").height == 200


def test_when_nothing_is_scored_there_is_no_score(tmp_path: Path, server: OpenAIServer) -> None:
    server.fault = lambda number, path, body: Fault(status=500) if number else None
    write_answer_task(tmp_path)
    result = run(tmp_path, vllm_at(server.base_url))
    assert "eval/sums/exact_match" not in result.metrics
    assert rows(result, "infra_error").height == 12
    assert result.problem is not None


def test_null_contents_and_cut_answers_count_against_the_release(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = lambda body: None if asking_about(2)(body) else add_up(body)
    write_answer_task(tmp_path)
    result = run(tmp_path, vllm_at(server.base_url))
    assert rows(result, "model_error")["score"].to_list() == [0.0]
    assert result.details["null_contents"] == 1
    assert result.metrics["eval/sums/exact_match"] == pytest.approx(11 / 12)
    server.finish = "length"
    cut = run(tmp_path, vllm_at(server.base_url))
    assert cut.metrics["eval/sums/truncated_count"] == 12


@pytest.mark.parametrize("mode", ["chat", "completions"])
def test_what_is_sent_is_the_same_at_any_concurrency(tmp_path: Path, server: OpenAIServer, mode: str) -> None:
    server.answer = add_up
    write_answer_task(tmp_path)
    sent = []
    for concurrency in (1, 8):
        server.requests.clear()
        run(tmp_path, vllm_at(server.base_url), mode=mode, concurrency=concurrency)
        sent.append(sorted(json.dumps(body, sort_keys=True) for _, body in server.requests))
    assert sent[0] == sent[1]
    assert {path for path, _ in server.requests} == {"/v1/chat/completions" if mode == "chat" else "/v1/completions"}
    for _, body in server.requests[1:]:
        assert body["stop"] == ["\n", "END"]
        assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.0, 1234, 16)


def test_a_second_release_is_really_asked(tmp_path: Path, server: OpenAIServer) -> None:
    write_answer_task(tmp_path)
    server.answer = add_up
    first = run(tmp_path, vllm_at(server.base_url))
    asked = len(server.requests)
    server.answer = lambda body: "no idea"
    second = run(tmp_path, vllm_at(server.base_url))
    assert len(server.requests) == 2 * asked
    assert (first.metrics["eval/sums/exact_match"], second.metrics["eval/sums/exact_match"]) == (1.0, 0.0)
    assert first.comparable == second.comparable


def test_scores_are_comparable_only_under_equal_conditions(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = add_up
    write_answer_task(tmp_path / "a")
    plain = run(tmp_path / "a", vllm_at(server.base_url)).comparable
    write_answer_task(tmp_path / "b")
    assert run(tmp_path / "b", vllm_at(server.base_url)).comparable == plain  # another folder is no other condition
    write_answer_task(tmp_path / "c", generation_kwargs={"until": ["\n"], "max_gen_toks": 8})
    others = [
        run(tmp_path / "c", vllm_at(server.base_url)).comparable,
        run(tmp_path / "a", vllm_at(server.base_url), mode="completions").comparable,
        run(tmp_path / "a", vllm_at(server.base_url), limit=5).comparable,
        run(tmp_path / "a", vllm_at(server.base_url), num_fewshot=2).comparable,
        run(tmp_path / "a", vllm_at(server.base_url), concurrency=2).comparable,
    ]
    assert len({plain, *others}) == 6


def test_a_scoring_without_source_is_the_same_in_every_process(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = add_up
    code = (
        "class Scorer:\n"
        "    def __call__(self, doc, results):\n"
        "        return {'exact_match': float(results[0] == doc['answer'])}\n\n\n"
        "score = Scorer()\n"
    )
    write_answer_task(tmp_path)
    task = tmp_path / "sums.yaml"
    task.write_text(task.read_text(encoding="utf-8") + "process_results: !function scorer.score\n", encoding="utf-8")
    found = []
    for comment in ("# once", "# twice"):  # lm-eval loads a changed file anew, to another address
        (tmp_path / "scorer.py").write_text(code + comment, encoding="utf-8")
        found.append(run(tmp_path, vllm_at(server.base_url)))
    assert found[0].metrics["eval/sums/exact_match"] == 1.0
    assert found[0].comparable == found[1].comparable


def test_a_limit_draws_the_same_items_wherever_they_stand(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = add_up
    write_answer_task(tmp_path / "a", items=30)
    lines = (tmp_path / "a" / "sums.jsonl").read_text(encoding="utf-8").splitlines()
    write_answer_task(tmp_path / "b", items=30)
    random.Random(1).shuffle(lines)
    (tmp_path / "b" / "sums.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    drawn = [scores_of(run(tmp_path / name, vllm_at(server.base_url), limit=7)) for name in ("a", "b")]
    assert drawn[0]["item_hash"].to_list() == drawn[1]["item_hash"].to_list()
    assert drawn[0].height == 7
    texts = run(tmp_path / "a", vllm_at(server.base_url), limit=7).texts
    assert (texts["answer"] == texts["expected"]).all()  # each answer is still beside its own question


def test_llama_cpp_is_refused_loglikelihood_before_the_first_request(tmp_path: Path, server: OpenAIServer) -> None:
    write_choice_task(tmp_path)
    with pytest.raises(EndpointError, match=r"which .* \(llama.cpp b9000\) cannot tell: it needs /tokenize") as caught:
        run(tmp_path, vllm_at(server.base_url, **LLAMA), "capitals_mc")
    assert server.requests == []
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "mode", "endpoint", "says"),
    [
        ("capitals_mc", "chat", {}, "mode 'chat' cannot score 'capitals_mc'"),
        ("sums", "loglikelihood", {}, "mode 'loglikelihood' has no meaning"),
        ("sums", "completions", {"capabilities": ("chat",)}, "which .* does not offer"),
    ],
)
def test_a_mode_that_cannot_be_is_refused_before_the_first_request(
    tmp_path: Path, server: OpenAIServer, task: str, mode: str, endpoint: dict[str, Any], says: str
) -> None:
    write_choice_task(write_answer_task(tmp_path))
    with pytest.raises(UserError, match=says):
        run(tmp_path, vllm_at(server.base_url, **endpoint), task, mode=mode)
    assert server.requests == []


@pytest.mark.parametrize("task", ["sums", "capitals_mc"])
def test_an_endpoint_that_cannot_be_used_ends_it_at_once(tmp_path: Path, server: OpenAIServer, task: str) -> None:
    write_choice_task(write_answer_task(tmp_path))
    server.key = "wanted"
    with pytest.raises(EndpointError, match="refused the API key"):
        run(tmp_path, vllm_at(server.base_url), task)
    server.key = None
    with pytest.raises(EndpointError, match="does not exist"):
        run(tmp_path, vllm_at(server.base_url, model="gone"), task)
    assert len(server.requests) == 2
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(EndpointError, match="ClientConnectorError"):
            run(tmp_path, vllm_at(f"http://127.0.0.1:{taken.getsockname()[1]}"), task)


def test_a_group_counts_as_it_says_and_its_members_are_kept(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = lambda body: "2" if asking_about(1)(body) else "wrong"
    write_answer_task(tmp_path, "few", items=2)
    write_answer_task(tmp_path, "many", items=8)
    group = "group: sums_all\ntask: [few, many]\nmetadata: {version: 1.0}\n"
    weighted = group + "aggregate_metric_list: [{metric: exact_match, weight_by_size: false}]\n"
    for text, expected in ((group, 2 / 10), (weighted, (1 / 2 + 1 / 8) / 2)):
        (tmp_path / "group.yaml").write_text(text, encoding="utf-8")
        result = run(tmp_path, vllm_at(server.base_url), "sums_all")
        assert result.metrics["eval/sums_all/exact_match"] == pytest.approx(expected)
        assert result.metrics["eval/sums_all/exact_match_stderr"] > 0
        assert result.metrics["eval/sums_all/few/exact_match"] == 0.5
        assert result.metrics["eval/sums_all/items_count"] == 10
        assert scores_of(result).height == 10  # "0 + 0" and "1 + 1" are in both tasks, and are items of their own
        assert "eval/sums_all/few/exact_match" in result.details["not judged"]


def test_a_tag_counts_each_item_once(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = lambda body: "2" if asking_about(1)(body) else "wrong"
    write_answer_task(tmp_path, "few", items=2, tag="tagged")
    write_answer_task(tmp_path, "many", items=8, tag="tagged")
    result = run(tmp_path, vllm_at(server.base_url), "tagged")
    assert result.metrics["eval/tagged/exact_match"] == pytest.approx(2 / 10)
    assert result.metrics["eval/tagged/many/exact_match"] == pytest.approx(1 / 8)


@pytest.mark.parametrize("suite", load_suites(CONFIGS / "evalchemy.json"), ids=lambda suite: suite.name)
def test_the_packaged_suites_run_on_any_chat_endpoint(suite: Suite, server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = lambda body: "…"
    endpoint = vllm_at(server.base_url, **LLAMA)
    result = run_suite(suite, endpoint, None, profile="smoke", concurrency=4, timeout_s=5, work_folder=tmp_path)
    assert result.problem is None
    assert result.details["not judged"] == []
    assert 0 < result.metrics[f"{suite.step}/items_count"] <= 60


def test_several_filters_and_pairs_and_unknown_metrics(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = lambda body: f"#### {add_up(body)}"
    (tmp_path / "scoring.py").write_text(
        "def score(doc, results):\n"
        "    right = doc['answer'] in results[0]\n"
        "    return {'exact_match': float(right), 'f1': (1, int(right)), 'oddness': int(doc['answer'][-1])}\n",
        encoding="utf-8",
    )
    docs = [{"question": f"{number} + {number} =", "answer": str(2 * number)} for number in range(6)]
    write_task(
        tmp_path,
        "filtered",
        docs,
        output_type="generate_until",
        doc_to_text="{{question}}",
        doc_to_target="{{answer}}",
        generation_kwargs={"until": ["\n"]},
        filter_list=[
            {"name": "strict-match", "filter": [{"function": "regex", "regex_pattern": "#### (\\d+)"}, TAKE]},
            {"name": "first-word", "filter": [{"function": "regex", "regex_pattern": "(^\\w+)"}, TAKE]},
        ],
        metric_list=[
            {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True},
            {"metric": "f1", "aggregation": "f1", "higher_is_better": True},
            {"metric": "oddness", "aggregation": "mean", "higher_is_better": True},
        ],
    )
    task = tmp_path / "filtered.yaml"
    task.write_text(task.read_text(encoding="utf-8") + "process_results: !function scoring.score\n", encoding="utf-8")
    result = run(tmp_path, vllm_at(server.base_url), "filtered")
    assert result.metrics["eval/filtered/exact_match_strict_match"] == 1.0
    assert result.metrics["eval/filtered/exact_match_first_word"] == 0.0
    assert "eval/filtered/oddness_strict_match" in result.details["not judged"]
    assert scores_of(result)["metric"].unique().sort().to_list() == [
        "exact_match_first_word",
        "exact_match_strict_match",
        "oddness_first_word",
        "oddness_strict_match",
    ]


def test_a_scoring_that_breaks_on_one_answer_costs_that_item_only(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = lambda body: "boom" if asking_about(4)(body) else add_up(body)
    (tmp_path / "fragile.py").write_text(
        "def score(doc, results):\n    return {'exact_match': float(int(results[0]) == int(doc['answer']))}\n",
        encoding="utf-8",
    )
    write_answer_task(tmp_path, items=60)
    task = tmp_path / "sums.yaml"
    task.write_text(task.read_text(encoding="utf-8") + "process_results: !function fragile.score\n", encoding="utf-8")
    result = run(tmp_path, vllm_at(server.base_url))
    assert rows(result, "judge_error").height == 1
    assert result.metrics["eval/sums/exact_match"] == 1.0
    assert result.metrics["eval/sums/judge_errors_count"] == 1
    assert result.problem is None


def test_a_task_whose_prompt_breaks_is_one_sentence(tmp_path: Path, server: OpenAIServer) -> None:
    write_answer_task(tmp_path)
    (tmp_path / "prompts.py").write_text(
        "def ask(doc):\n    return doc['question'] if doc['answer'] != '6' else 1 / 0\n", encoding="utf-8"
    )
    task = tmp_path / "sums.yaml"
    text = task.read_text(encoding="utf-8").replace("doc_to_text: '{{question}}'", "doc_to_text: !function prompts.ask")
    task.write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError, match=r"'sums' broke off in lm-eval \(ZeroDivisionError") as caught:
        run(tmp_path, vllm_at(server.base_url))
    assert "\n" not in str(caught.value)
    assert server.requests == []


def test_repeats_are_drawn_with_seeds_of_their_own(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = add_up
    write_answer_task(
        tmp_path,
        items=2,
        repeats=3,
        generation_kwargs={"until": ["\n"], "do_sample": True, "temperature": 0.7, "top_p": 0.9},
    )
    run(tmp_path, vllm_at(server.base_url))
    sent = server.sent_to("/v1/chat/completions")[1:]
    assert sorted(body["seed"] for body in sent) == [1234, 1234, 1235, 1235, 1236, 1236]
    assert {(body["temperature"], body["top_p"]) for body in sent} == {(0.7, 0.9)}


def test_examples_become_turns_of_the_conversation(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = add_up
    write_answer_task(tmp_path)
    run(tmp_path, vllm_at(server.base_url), num_fewshot=2)
    for body in server.sent_to("/v1/chat/completions")[1:]:
        assert [message["role"] for message in body["messages"]] == ["user", "assistant"] * 2 + ["user"]


def test_perplexity_scores_each_text_once(tmp_path: Path, server: OpenAIServer) -> None:
    write_task(
        tmp_path,
        "fixed_text",
        [{"page": "대한민국의 수도는 서울이다."}, {"page": "The capital of Korea is Seoul."}],
        output_type="loglikelihood_rolling",
        doc_to_text="",
        doc_to_target="{{page}}",
        metric_list=[{"metric": "bits_per_byte"}, {"metric": "word_perplexity"}],
    )
    result = run(tmp_path, vllm_at(server.base_url), "fixed_text")
    texts = ["대한민국의 수도는 서울이다.", "The capital of Korea is Seoul."]
    total = sum(logprob(ids[:at], ids[at]) for ids in map(tokenize, texts) for at in range(1, len(ids)))
    size = sum(len(text.encode()) for text in texts)
    assert result.metrics["eval/fixed_text/bits_per_byte"] == pytest.approx(-total / size / 0.6931471805599453)
    assert result.details["not judged"] == []
