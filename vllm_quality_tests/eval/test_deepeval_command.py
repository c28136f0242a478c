"""`deepeval test run` works on the packaged folder, for those who come from pytest."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vllm_quality
from vllm_quality.datasets.schema import DatasetError
from vllm_quality.eval.deepeval_tests.goldens import PACKAGED_GOLDENS, load_goldens
from vllm_quality_tests.servers.openai_api import OpenAIServer
from vllm_quality_tests.servers.toy_llm import ToyModel, serve_toy

FOLDER = Path(vllm_quality.__file__).parent / "eval" / "deepeval_tests"
GOOD, BAD = '{"reason": "fine", "score": 9}', '{"reason": "not so", "score": 1}'
CONTEXT = ["The library closes at 5 pm on Saturdays."]


def write_goldens(path: Path) -> Path:
    rows = [
        {"input": "What is the capital of France?", "expected_output": "Paris"},
        {"input": "대한민국의 수도는?", "expected_output": "서울"},
        {"input": "When does it close?", "expected_output": "5 pm", "retrieval_context": CONTEXT},
        {"input": "Just chat."},
    ]
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def deepeval_test_run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a user types it, in a folder of its own."""
    here = folder / "here"
    here.mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DEEPEVAL", "PYTEST"))}
    goldens = write_goldens(folder / "mine.json")
    return subprocess.run(
        [str(Path(sys.executable).with_name("deepeval")), "test", "run", str(FOLDER), f"--goldens={goldens}"],
        cwd=here,
        env={
            **inherited,
            "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
            "DEEPEVAL_CACHE_FOLDER": str(folder / "cache"),
            "DEEPEVAL_DISABLE_DOTENV": "1",
            "COLUMNS": "200",
            "VLLM_QUALITY_HOME": str(folder / "home"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def outcomes(output: str) -> dict[str, int]:
    """passed, failed, skipped, as pytest's last line has it."""
    return {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|skipped|error)", output)}


def test_it_measures_a_golden_file(tmp_path: Path) -> None:
    answers = {"capital of France": "Lyon", "대한민국": "서울입니다.", "When": "At 5 pm."}
    with (
        serve_toy(ToyModel(answers=answers)) as base_url,
        OpenAIServer(answer=lambda body: GOOD, model="judge") as judge,
    ):
        done = deepeval_test_run(
            tmp_path,
            VLLM_QUALITY_BASE_URL=base_url,
            VLLM_QUALITY_JUDGE_URL=f"{judge.base_url}/v1",
            VLLM_QUALITY_JUDGE_MODEL="judge",
        )
        prompts = [body["messages"][-1]["content"] for body in judge.sent_to("/v1/chat/completions")]
    assert outcomes(done.stdout) == {"passed": 2, "failed": 1, "skipped": 1}, done.stdout + done.stderr
    assert done.returncode == 1
    assert "ExactAnswer (score: 0.0" in done.stdout
    assert sum("At 5 pm." in prompt for prompt in prompts) == 2  # rag_accuracy and no_hallucination
    assert list((tmp_path / "here").iterdir()) == []


def test_it_does_without_a_judge(tmp_path: Path) -> None:
    answers = {"capital of France": "Paris", "대한민국": "서울입니다.", "When": "At 5 pm."}
    with serve_toy(ToyModel(answers=answers)) as base_url:
        done = deepeval_test_run(tmp_path, VLLM_QUALITY_BASE_URL=base_url)
    assert outcomes(done.stdout) == {"passed": 3, "skipped": 1}, done.stdout + done.stderr
    assert done.returncode == 0


def test_the_packaged_goldens_can_be_read() -> None:
    items = load_goldens(PACKAGED_GOLDENS)
    assert {item.language for item in items} == {"en", "ko"}
    assert any(item.context for item in items)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.txt", "x", "is not one of .json, .jsonl, .csv"),
        ("rows.json", '[{"scenario": "s"}]', "row 1 describes a scenario without 'turns'"),
        ("rows.json", "[]", "has no goldens"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=f"{name}.*{re.escape(says)}"):
        load_goldens(tmp_path / name)
