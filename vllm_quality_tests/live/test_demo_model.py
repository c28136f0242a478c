"""The demo's real model on llama.cpp: fetched, served, slowed down, and gone when whoever started it is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from vllm_quality.serving.demo_model import FILE_NAME, fetch_demo_model
from vllm_quality.serving.endpoint import identify
from vllm_quality.serving.llama import LlamaOptions, serve
from vllm_quality.settings import load_settings
from vllm_quality_tests.dagster_dev import wait_for

pytestmark = pytest.mark.live
pytest.importorskip("xllamacpp", reason="the extra 'demo' is not installed")

SHOUTING = "{% for message in messages %}{{ message['content'] | upper }}{% endfor %}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetch_demo_model(load_settings(home=tmp_path_factory.mktemp("home")))


def ask(url: str, question: str, max_tokens: int = 16) -> str:
    body = {"messages": [{"role": "user", "content": question}], "max_tokens": max_tokens, "temperature": 0}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    answer.raise_for_status()
    return str(answer.json()["choices"][0]["message"]["content"])


def is_gone(url: str) -> bool:
    try:
        httpx.get(f"{url}/health", timeout=2)
    except httpx.TransportError:
        return True
    return False


def test_the_model_is_fetched_once_and_alone(model: Path) -> None:
    assert model.name == FILE_NAME
    assert [path.name for path in model.parent.iterdir()] == [FILE_NAME]
    assert model.stat().st_size == 98_362_432


def test_servers_come_and_go_one_after_another(model: Path) -> None:
    for _ in range(2):
        with serve(LlamaOptions(model)) as url:
            endpoint = identify(url, None, None, 30)
            assert endpoint.model == "SmolLM2-135M-Instruct"
            assert "chat" in endpoint.capabilities
            assert "echo_logprobs" not in endpoint.capabilities
            assert "Cairo" in ask(url, "What is the capital of Egypt?")
        assert is_gone(url)


def test_broken_korean_is_no_server_error(model: Path) -> None:
    """ggml-org/llama.cpp#27543: without a grammar this very answer ends in HTTP 500."""
    with serve(LlamaOptions(model)) as url:
        assert ask(url, 'Say "나무".').startswith("The word")


def test_another_chat_template_is_really_used(model: Path) -> None:
    with serve(LlamaOptions(model, chat_template=SHOUTING)) as url:
        body = {"messages": [{"role": "user", "content": "hello"}]}
        assert httpx.post(f"{url}/apply-template", json=body, timeout=30).json()["prompt"] == "HELLO"


def stopped_share(argument: str) -> float:
    """The share of two seconds that the process started with that argument spent stopped."""
    processes = [
        path.parent
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if argument in path.read_bytes().decode(errors="replace").split("\0")
    ]
    samples = []
    for _ in range(400):
        # The throttle is a fork of the server with the same command line, and never stopped itself.
        samples.append(
            any((process / "stat").read_text().rpartition(")")[2].split()[0] == "T" for process in processes)
        )
        time.sleep(0.005)
    return sum(samples) / len(samples)


def test_a_server_with_a_share_of_the_time_is_stopped_for_the_rest(model: Path) -> None:
    with serve(LlamaOptions(model, run_share=0.3)):
        assert 0.5 < stopped_share("--run-share=0.3") < 0.9  # 0.7, and what a busy machine makes of it
    with serve(LlamaOptions(model)):
        assert stopped_share("--run-share=1.0") == 0


@pytest.mark.parametrize("run_share", [1.0, 0.3])
def test_the_server_does_not_outlive_a_killed_parent(model: Path, run_share: float) -> None:
    code = (
        "import sys, time; from pathlib import Path; from vllm_quality.serving.llama import LlamaOptions, serve\n"
        f"with serve(LlamaOptions(Path(sys.argv[1]), run_share={run_share})) as url: print(url, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(model)], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert not is_gone(url)
        os.kill(parent.pid, signal.SIGKILL)
    assert wait_for("the server to end", lambda: is_gone(url), 15)
