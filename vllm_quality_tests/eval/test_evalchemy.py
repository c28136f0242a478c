"""Evalchemy's own benchmarks: its results are taken in, and each way in which it fails is said."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.eval.evalchemy import run_evalchemy
from vllm_quality.eval.evalchemy_checkout import Checkout, EvalchemyError, find_checkout
from vllm_quality.eval.judge import JudgeSettings
from vllm_quality.eval.result import SuiteResult
from vllm_quality.eval.suites import Suite
from vllm_quality.results.rows import check_samples
from vllm_quality.serving.endpoint import EndpointError
from vllm_quality.settings import load_settings
from vllm_quality_tests.eval.evalchemy_checkout import make_checkout
from vllm_quality_tests.eval.task_files import add_up, vllm_at
from vllm_quality_tests.servers.openai_api import OpenAIServer

KEY = "sk-very-secret"


def run(folder: Path, task: str, base_url: str = "http://127.0.0.1:9", **changes: Any) -> SuiteResult:
    place = folder / "evalchemy"
    given: dict[str, Any] = {
        "checkout": Checkout(place, Path(sys.executable)) if place.exists() else make_checkout(place),
        "profile": "full",
        "concurrency": 4,
        "timeout_s": 10,
        "work_folder": folder / "work",
        **changes,
    }
    options = {key: given.pop(key) for key in ("mode", "limit", "num_fewshot", "time_limit_s") if key in given}
    suite = Suite(name=task, runner="evalchemy", **options)
    result = run_evalchemy(suite, vllm_at(base_url), given.pop("api_key", KEY), **given)
    check_samples(result.samples)
    return result


def seen(folder: Path) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((folder / "evalchemy" / "seen.json").read_text(encoding="utf-8"))
    return stored


def test_a_benchmarks_scores_and_items_are_taken_in(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = add_up
    result = run(tmp_path, "AIME24", server.base_url)
    assert result.step == "eval/AIME24"
    assert result.metrics["eval/AIME24/acc"] == 0.75
    assert result.metrics["eval/AIME24/acc_stderr"] == 0.1
    assert result.metrics["eval/AIME24/items_count"] == 3
    assert result.details["not judged"] == ["eval/AIME24/solved_avg"]
    assert result.problem is None
    assert sorted(zip(result.texts["prompt"], result.texts["answer"], result.texts["expected"], strict=True)) == [
        ("1 + 1 =", "2\n\n2", "2"),
        ("2 + 2 =", "4\n\n4", "4"),
        ("3 + 3 =", "6\n\n6", "6"),
    ]
    assert result.samples.height == 0  # it does not say which of the items are right
    assert len(server.sent_to("/v1/chat/completions")) == 3
    assert list((tmp_path / "work" / "evalchemy").iterdir()) == []


def test_items_that_say_whether_they_are_right_become_samples(tmp_path: Path) -> None:
    result = run(tmp_path, "LiveCodeBench")
    assert result.metrics["eval/LiveCodeBench/acc"] == 0.5
    assert sorted(zip(result.samples["status"], result.samples["score"], strict=True)) == [
        ("model_error", 0),
        ("ok", 1),
    ]
    assert result.metrics["eval/LiveCodeBench/model_errors_count"] == 1


@pytest.mark.parametrize(
    ("task", "metrics"),
    [
        ("HumanEval", {"eval/HumanEval/pass@1": 0.25}),
        ("hellaswag", {"eval/hellaswag/acc": 0.4, "eval/hellaswag/acc_stderr": 0.05}),
    ],
)
def test_other_forms_of_results_are_read_too(tmp_path: Path, task: str, metrics: dict[str, float]) -> None:
    assert run(tmp_path, task).metrics == metrics


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (
            "arc_easy",
            "has no result for the task, although it ended with code 0 (Error in pretrain evaluation: 'NoneType'",
        ),
        ("MATH500", "ended with code 1 (AttributeError: no attribute 'model_args')"),
        ("RepoBench", "has no result for the task, although it ended with code 0;"),
        ("MBPP", "failed at the task (no such file: mbpp.jsonl)"),
        ("IFEval", "has a result for the task without any score"),
    ],
)
def test_each_failure_is_one_sentence_and_its_log_is_kept(tmp_path: Path, task: str, said: str) -> None:
    with pytest.raises(EvalchemyError) as caught:
        run(tmp_path, task)
    sentence = str(caught.value)
    assert said in sentence
    assert "\n" not in sentence
    assert KEY not in sentence
    (log,) = (tmp_path / "work" / "evalchemy").glob("*/log.txt")
    assert sentence.endswith(f"its log is {log}.")
    assert "Selected Tasks:" in log.read_text(encoding="utf-8")


def test_its_time_is_bounded_and_its_children_end_with_it(tmp_path: Path) -> None:
    with pytest.raises(EvalchemyError, match=r"was not done after 3 s and was ended"):
        run(tmp_path, "SWEbench", time_limit_s=3)
    (pids,) = (tmp_path / "work" / "evalchemy").glob("*/pids")
    for pid in map(int, pids.read_text(encoding="utf-8").split()):
        assert not is_running(pid)


def is_running(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        if state == "Z":  # ended; whoever inherited it has not looked yet
            return False
        time.sleep(0.05)
    return True


def test_the_key_is_in_its_environment_alone_and_none_of_ours_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: OpenAIServer
) -> None:
    server.answer, server.key = add_up, KEY
    monkeypatch.setenv("VLLM_QUALITY_RESULTS_URL", "https://user:hunter2@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2")
    result = run(tmp_path, "AIME24", server.base_url)
    given = seen(tmp_path)
    assert KEY not in json.dumps(given["arguments"])
    assert given["environment"]["OPENAI_API_KEY"] == KEY
    assert "hunter2" not in json.dumps(given["environment"])
    # Without a judge the key must not travel to OpenAI's own address, which its judge would ask.
    assert given["environment"]["OPENAI_BASE_URL"] == "http://127.0.0.1:9/v1"
    assert KEY not in json.dumps(dict(result.details))
    assert result.metrics["eval/AIME24/items_count"] == 3  # the server lets nobody in without the key


def test_it_is_asked_as_the_suite_says(tmp_path: Path, server: OpenAIServer) -> None:
    server.answer = add_up
    result = run(tmp_path, "AIME24", server.base_url, profile="smoke", limit=7, num_fewshot=2)
    arguments = seen(tmp_path)["arguments"]
    model_args = arguments[arguments.index("--model_args") + 1]
    assert model_args.startswith(f"base_url={server.base_url}/v1/chat/completions,model=fake,num_concurrent=4,")
    assert arguments[arguments.index("--limit") + 1] == "7"
    assert arguments[arguments.index("--num_fewshot") + 1] == "2"
    assert "--debug" in arguments
    assert result.metrics["eval/AIME24/items_count"] == 2


def test_a_benchmark_that_needs_a_judge_gets_the_configured_one_or_is_refused(tmp_path: Path) -> None:
    judge = JudgeSettings("http://127.0.0.1:9/judge/v1", "judge-1", KEY)
    result = run(tmp_path, "MTBench", judge=judge)
    assert result.metrics == {"eval/MTBench/score": 7.5}
    assert seen(tmp_path)["environment"]["OPENAI_BASE_URL"] == judge.url
    assert "judge-1" in seen(tmp_path)["arguments"]
    with pytest.raises(EvalchemyError, match=r"needs a judge; set VLLM_QUALITY_JUDGE_URL"):
        run(tmp_path, "MTBench")
    with pytest.raises(EvalchemyError, match="sends one key to the endpoint and to the judge alike"):
        run(tmp_path, "MTBench", judge=JudgeSettings(judge.url, "judge-1", "another"))


def test_what_shapes_the_scores_is_in_the_hash(tmp_path: Path) -> None:
    first = run(tmp_path, "HumanEval")
    assert run(tmp_path, "HumanEval", base_url="http://127.0.0.1:99").comparable == first.comparable
    assert run(tmp_path, "HumanEval", concurrency=8).comparable != first.comparable
    assert run(tmp_path, "HumanEval", profile="smoke").comparable != first.comparable
    (tmp_path / "evalchemy" / "eval" / "__init__.py").write_text("changed = True\n", encoding="utf-8")
    assert run(tmp_path, "HumanEval").comparable != first.comparable


def test_the_commit_and_what_was_changed_since_are_the_version(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "evalchemy")
    git = ["git", "-C", str(checkout.folder), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all of it"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    commit = checkout.version()
    assert len(commit) == 40
    (checkout.folder / "eval" / "__init__.py").write_text("changed = True\n", encoding="utf-8")
    assert checkout.version().startswith(f"{commit}+")


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"mode": "loglikelihood"}, EvalchemyError, "asks through chat, not 'loglikelihood'"),
        ({"base_url": "http://127.0.0.1:9/a,b"}, EvalchemyError, "takes no comma"),
    ],
)
def test_what_it_cannot_do_is_refused_before_it_starts(
    tmp_path: Path, changes: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        run(tmp_path, "AIME24", **changes)
    assert not (tmp_path / "work").exists()


def test_an_endpoint_without_chat_is_refused(tmp_path: Path) -> None:
    endpoint = vllm_at("http://127.0.0.1:9", capabilities=("completions",))
    common: dict[str, Any] = {"profile": "full", "concurrency": 1, "timeout_s": 1, "work_folder": tmp_path / "work"}
    with pytest.raises(EndpointError, match="does not offer"):
        run_evalchemy(Suite(name="AIME24"), endpoint, None, checkout=make_checkout(tmp_path / "evalchemy"), **common)


def test_the_checkout_is_found_by_the_settings_or_missed_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EvalchemyError, match="VLLM_QUALITY_EVALCHEMY_DIR does not name a checkout"):
        find_checkout(load_settings())
    monkeypatch.setenv("VLLM_QUALITY_EVALCHEMY_DIR", str(tmp_path))
    with pytest.raises(EvalchemyError, match=r"holds no eval/eval\.py"):
        find_checkout(load_settings())
    made = make_checkout(tmp_path / "evalchemy")
    monkeypatch.setenv("VLLM_QUALITY_EVALCHEMY_DIR", str(made.folder))
    with pytest.raises(EvalchemyError, match=r"\.venv/bin/python cannot be started; set VLLM_QUALITY_EVALCHEMY_PYTHON"):
        find_checkout(load_settings())
    monkeypatch.setenv("VLLM_QUALITY_EVALCHEMY_PYTHON", str(made.python))
    assert find_checkout(load_settings()) == made


PROGRAM = """
import sys
from pathlib import Path
from vllm_quality.eval.evalchemy import run_evalchemy
from vllm_quality.eval.suites import Suite
from vllm_quality_tests.eval.evalchemy_checkout import make_checkout
from vllm_quality_tests.eval.task_files import vllm_at

here = Path(sys.argv[1])
common = {"checkout": make_checkout(here / "evalchemy"), "work_folder": here / "work"}
run_evalchemy(
    Suite(name="HumanEval"), vllm_at("http://127.0.0.1:9"), None, profile="full", concurrency=1, timeout_s=9, **common
)
print(*sorted({"lm_eval", "datasets", "deepeval", "huggingface_hub", "pyarrow"} & set(sys.modules)))
"""


def test_its_step_imports_none_of_the_frameworks(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")
