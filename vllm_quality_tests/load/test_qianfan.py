"""`stress_test`: Qianfan's parameters and names, from definitions that agree with each other, usable in a notebook."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from vllm_quality.load import stress_test
from vllm_quality.load.errors import LoadError
from vllm_quality.load.play.paced import PacedServer
from vllm_quality.load.qianfan import qianfan_summary, summary_text
from vllm_quality_tests.load.output.results import load_result

NAMES = [
    "QPS",
    "RPM",
    *(f"{name} {of}" for name in ("Latency", "FirstTokenLatency") for of in ("Avg", "Min", "Max", "50%", "80%")),
    "InputTokens Avg",
    "OutputTokens Avg",
    "TotalQuery",
    "SuccessQuery",
    "FailureQuery",
    "TotalTime",
    "SuccessRate",
]


def test_the_summary_has_qianfans_names_in_its_order() -> None:
    summary = qianfan_summary(load_result([{"type": "concurrency", "streams": 4, "requests": 80}]))
    assert list(summary) == NAMES
    assert [line.split(":")[0] for line in summary_text(summary).splitlines()] == NAMES
    assert "SuccessRate: 97.5%" in summary_text(summary)


def test_qps_and_rpm_count_over_one_window_and_totals_add_up() -> None:
    result = load_result([{"type": "concurrency", "streams": 4, "requests": 80}])
    told = {name: value or 0 for name, value in qianfan_summary(result).items()}
    assert told["RPM"] == pytest.approx(60 * told["QPS"])
    assert told["QPS"] * told["TotalTime"] == pytest.approx(told["SuccessQuery"])
    assert told["TotalQuery"] == told["SuccessQuery"] + told["FailureQuery"] == 80
    for name in ("Latency", "FirstTokenLatency"):
        assert told[f"{name} Min"] <= told[f"{name} 50%"] <= told[f"{name} 80%"] <= told[f"{name} Max"]
    assert told["FirstTokenLatency Avg"] < told["Latency Avg"]
    assert (told["InputTokens Avg"], told["OutputTokens Avg"]) == (128, 32)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=160, record=True)


@pytest.mark.parametrize(
    "data",
    [
        ["What is a token?", "And a prompt?", "좋은 아침이에요?"],
        [{"prompt": "How long is a day?", "response": "About 24 hours"}] * 3,
        [[{"prompt": "Hi", "response": "Hello"}, {"prompt": "Bye", "response": "Bye"}]] * 3,
    ],
    ids=["prompts", "pairs", "conversations"],
)
def test_the_data_are_played_once_and_the_summary_is_printed(tmp_path: Path, data: list[Any]) -> None:
    console = quiet()
    with PacedServer(ttft=0.01, itl=0.001) as server:
        tested = stress_test(
            data, users=2, spawn_rate=100, endpoint=server.url, output=tmp_path, calibrate=False, console=console
        )
    assert (tested.summary["TotalQuery"], tested.summary["SuccessQuery"]) == (3, 3)
    text = console.export_text()
    assert f"Log path: {tmp_path}" in text
    assert "QPS: " in text
    assert "SuccessRate: 100.0%" in text
    assert json.loads((tmp_path / "summary.json").read_text())["stages"][0]["requests"]["ok"] == 3
    assert tested.folder == tmp_path


def test_a_file_in_a_notebooks_running_loop_with_a_runtime_and_hyperparameters(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("One?\nTwo?\nThree?\n", encoding="utf-8")

    async def cell(url: str) -> Any:
        return stress_test(
            tmp_path / "prompts.txt",
            users=2,
            workers=2,
            spawn_rate=50,
            runtime="1s",
            endpoint=f"{url}/v1",
            model_type="Completion",
            hyperparameters={"temperature": 0.5, "max_output_tokens": 5, "top_p": 0.9},
            output=tmp_path / "out",
            calibrate=False,
            console=quiet(),
        )

    with PacedServer(ttft=0.01, itl=0.001) as server:
        tested = asyncio.run(cell(server.url))
    assert tested.summary["SuccessQuery"] > 3
    assert tested.summary["OutputTokens Avg"] == 5
    assert tested.result.workers == 2
    assert tested.result.scenario.hyperparameters == {"top_p": 0.9}
    assert pl.read_parquet(tmp_path / "out" / "requests.parquet").height == tested.summary["TotalQuery"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"users": 1, "workers": 2}, "cannot be shared by 2 workers"),
        ({"model_type": "Embedding"}, "is not known"),
        ({"runtime": "soon"}, "is no duration"),
        ({"data": []}, "hold no query"),
        ({"data": [5]}, "neither text nor a mapping"),
        ({"endpoint": None}, "No endpoint is given"),
        ({"hyperparameters": {"stream": False}}, "hyperparameters"),
    ],
)
def test_what_cannot_be_played_is_one_sentence(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"data": ["Hi"], "users": 2, "spawn_rate": 1, "endpoint": "http://127.0.0.1:9"} | wrong
    with pytest.raises(LoadError) as error:
        stress_test(**given, output=tmp_path, console=quiet())
    assert said in str(error.value)
    assert "\n" not in str(error.value)
