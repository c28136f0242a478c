"""G-Eval weighs the grades that the judge might have given, where its server shows them, and takes the grade where not."""

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.eval.client import run_async
from vllm_quality.eval.deepeval_judge import make_deepeval_judge
from vllm_quality.eval.environment import prepare_deepeval
from vllm_quality.eval.judge import Judge, JudgeSettings
from vllm_quality_tests.eval.task_files import QUICK
from vllm_quality_tests.servers.openai_api import Body, Fault, OpenAIServer

Chances = dict[str, float]


def grading(server: OpenAIServer, score: str, chances: Chances) -> None:
    """Have the server say a score, and what it might have said at that place."""
    text = f'{{"reason": "It has 7 steps.", "score": {score}}}'
    head, _, _ = text.rpartition(score)
    others = [{"token": token, "logprob": math.log(chance)} for token, chance in chances.items()]
    tokens = [
        {"token": head, "logprob": -0.1, "top_logprobs": []},
        {"token": f" {score}", "logprob": -0.5, "top_logprobs": others},
        {"token": "}", "logprob": 0.0, "top_logprobs": []},
    ]
    server.answer = lambda body: text
    server.logprobs = lambda body: {"content": tokens} if body.get("logprobs") else None


def measured(server: OpenAIServer, tmp_path: Path, times: int = 1, **options: Any) -> list[float]:
    """Scores of a G-Eval metric, measured one after another."""
    prepare_deepeval(tmp_path)
    from deepeval.metrics import GEval
    from deepeval.test_case import LLMTestCase, SingleTurnParams

    async def main() -> list[float]:
        settings = JudgeSettings(f"{server.base_url}/v1", "fake")
        async with settings.client(concurrency=2, timeout_s=5, retry=QUICK) as client:
            model = make_deepeval_judge(Judge(client, "fake"))
            found = []
            for _ in range(times):
                metric = GEval(
                    name="Right",
                    evaluation_steps=["Is it right?"],
                    evaluation_params=[SingleTurnParams.ACTUAL_OUTPUT],
                    model=model,
                    **options,
                )
                case = LLMTestCase(input="?", actual_output="!")
                found.append(float(await metric.a_measure(case, _show_indicator=False)))
            return found

    return run_async(main)


def sent(server: OpenAIServer) -> list[Body]:
    return server.sent_to("/v1/chat/completions")


def test_the_score_is_weighted_by_what_the_judge_might_have_said(server: OpenAIServer, tmp_path: Path) -> None:
    grading(server, "7", {"7": 0.6, "9": 0.4})
    assert measured(server, tmp_path) == [pytest.approx(0.78)]
    (body,) = sent(server)
    assert (body["logprobs"], body["top_logprobs"], body["temperature"]) == (True, 20, 0)
    assert body["response_format"]["json_schema"]["schema"]["properties"]["score"]["type"] == "integer"


def test_a_digit_that_may_begin_a_ten_is_left_out(server: OpenAIServer, tmp_path: Path) -> None:
    grading(server, "9", {"9": 0.5, "1": 0.5})
    assert measured(server, tmp_path) == [pytest.approx(0.9)]
    grading(server, "9", {"9": 0.5, "1": 0.25, "10": 0.25})
    assert measured(server, tmp_path) == [pytest.approx(0.9 * 0.5 + 0.1 * 0.25 + 1.0 * 0.25)]


def test_a_server_without_logprobs_gives_the_plain_score(server: OpenAIServer, tmp_path: Path) -> None:
    grading(server, "7", {})
    server.logprobs = lambda body: None
    assert measured(server, tmp_path, times=2) == [0.7, 0.7]
    assert ["logprobs" in body for body in sent(server)] == [True, False]  # asked for once, then no more


def test_a_server_that_refuses_logprobs_gives_the_plain_score(server: OpenAIServer, tmp_path: Path) -> None:
    grading(server, "7", {"7": 0.6, "9": 0.4})
    server.fault = lambda number, path, body: Fault(status=400) if "logprobs" in body else None
    assert measured(server, tmp_path, times=2) == [0.7, 0.7]
    assert ["logprobs" in body for body in sent(server)] == [True, False, False]
    assert all("response_format" in body for body in sent(server))


def test_broken_json_with_logprobs_is_asked_for_again(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = lambda body: '{"reason": "r", "score": 4}' if len(body["messages"]) > 1 else "4 of 10"
    assert measured(server, tmp_path) == [0.4]
    (first, second) = sent(server)
    assert second["messages"][0] == first["messages"][0]
    assert second["messages"][1] == {"role": "assistant", "content": "4 of 10"}
    assert "there is no JSON object in it" in second["messages"][2]["content"]


def test_strict_mode_is_yes_or_no(server: OpenAIServer, tmp_path: Path) -> None:
    grading(server, "1", {"1": 0.6, "0": 0.4})
    assert measured(server, tmp_path, strict_mode=True) == [1.0]


def test_it_answers_from_other_loops_and_threads(server: OpenAIServer, tmp_path: Path) -> None:
    """deepeval's `assert_test` runs a metric in a loop of its own."""
    prepare_deepeval(tmp_path)
    server.answer = lambda body: "free text"

    async def main() -> list[Any]:
        settings = JudgeSettings(f"{server.base_url}/v1", "fake")
        async with settings.client(concurrency=2, timeout_s=5, retry=QUICK) as client:
            model = make_deepeval_judge(Judge(client, "fake"))
            elsewhere = await asyncio.to_thread(lambda: asyncio.run(model.a_generate("Say.")))
            return [elsewhere, await asyncio.to_thread(model.generate, "Say.")]

    assert run_async(main) == ["free text", "free text"]


def test_the_retries_of_all_judgements_have_a_limit(server: OpenAIServer) -> None:
    from vllm_quality.eval.deepeval_judge import GEvalGrade
    from vllm_quality.eval.judge import JudgeError

    server.answer = lambda body: json.dumps({"score": "?"})

    async def main() -> int:
        settings = JudgeSettings(f"{server.base_url}/v1", "fake")
        async with settings.client(concurrency=2, timeout_s=5, retry=QUICK) as client:
            judge = Judge(client, "fake", spare_asks=3)
            for _ in range(5):
                with pytest.raises(JudgeError):
                    await judge.structured("Grade it.", GEvalGrade)
            return judge.asked_again

    assert run_async(main) == 3
    assert len(sent(server)) == 5 + 3
