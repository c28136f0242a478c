"""The judge is held to a schema, asked again when its JSON is broken, and never guessed for."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel

from vllm_quality.eval.client import ModelClient, run_async
from vllm_quality.eval.deepeval_judge import make_deepeval_judge
from vllm_quality.eval.environment import prepare_deepeval
from vllm_quality.eval.judge import (
    Judge,
    JudgeError,
    JudgeSettings,
    JudgeSettingsError,
    judge_settings,
)
from vllm_quality.serving.endpoint import EndpointError
from vllm_quality.settings import load_settings
from vllm_quality_tests.eval.task_files import QUICK
from vllm_quality_tests.servers.openai_api import Fault, OpenAIServer

Result = TypeVar("Result")
GOOD = '{"score": 8, "reason": "fine"}'


class Grade(BaseModel):
    score: float
    reason: str | None = None


def with_judge(server: OpenAIServer, use: Callable[[Judge], Awaitable[Result]]) -> Result:
    async def main() -> Result:
        settings = JudgeSettings(server.base_url + "/v1", "fake")
        async with settings.client(concurrency=4, timeout_s=5, retry=QUICK) as client:
            return await use(Judge(client, settings.model))

    return run_async(main)


def grade(server: OpenAIServer) -> Grade:
    return with_judge(server, lambda judge: judge.structured("Grade it.", Grade))


@pytest.mark.parametrize("said", [GOOD, f"```json\n{GOOD}\n```", f"Sure! Here it is: {GOOD} Bye."])
def test_a_grade_is_found_in_what_the_judge_says(server: OpenAIServer, said: str) -> None:
    server.answer = lambda body: said
    assert grade(server) == Grade(score=8, reason="fine")
    (body,) = server.sent_to("/v1/chat/completions")
    assert (body["temperature"], body["seed"]) == (0, 1234)
    wanted = body["response_format"]["json_schema"]
    assert (wanted["name"], wanted["strict"]) == ("Grade", True)
    assert wanted["schema"]["required"] == ["score", "reason"]
    assert wanted["schema"]["additionalProperties"] is False


def test_broken_json_is_asked_for_again_with_another_seed(server: OpenAIServer) -> None:
    server.answer = lambda body: GOOD if body["seed"] == 1236 else "Sure! Score: 8"
    assert grade(server).score == 8
    assert [body["seed"] for body in server.sent_to("/v1/chat/completions")] == [1234, 1235, 1236]


@pytest.mark.parametrize("said", ["Sure! Score: 8", '{"score": "high"}', '{"reason": "none"}', "", None])
def test_a_judgement_that_stays_broken_is_an_error_and_no_score(server: OpenAIServer, said: str | None) -> None:
    server.answer = lambda body: said
    with pytest.raises(JudgeError, match="not the JSON that was asked for"):
        grade(server)
    assert len(server.requests) == 3


def test_a_server_without_schemas_is_asked_without_from_then_on(server: OpenAIServer) -> None:
    server.answer = lambda body: GOOD
    server.fault = lambda number, path, body: Fault(status=400) if "response_format" in body else None

    async def twice(judge: Judge) -> None:
        await judge.structured("Grade it.", Grade)
        await judge.structured("Grade it.", Grade)

    with_judge(server, twice)
    bodies = server.sent_to("/v1/chat/completions")
    forms = [body.get("response_format", {}).get("type") for body in bodies]
    assert forms == ["json_schema", "json_object", None, None]
    # Who cannot be held to a schema is told it.
    assert ["JSON schema" in body["messages"][-1]["content"] for body in bodies] == [False, True, True, True]


def test_a_prompt_that_is_refused_either_way_does_not_end_schemas(server: OpenAIServer) -> None:
    server.answer = lambda body: GOOD
    server.fault = lambda number, path, body: Fault(status=400) if number < 3 else None

    async def twice(judge: Judge) -> Grade:
        with pytest.raises(JudgeError, match="HTTP 400"):
            await judge.structured("Far too long.", Grade)
        return await judge.structured("Grade it.", Grade)

    assert with_judge(server, twice).score == 8
    assert "response_format" in server.requests[-1][1]


def test_a_judge_that_cannot_be_used_is_said_at_once(server: OpenAIServer) -> None:
    server.fault = lambda number, path, body: Fault(status=500)
    with pytest.raises(EndpointError, match=r"The judge 'fake' at .* does not answer .*VLLM_QUALITY_JUDGE_URL"):
        with_judge(server, lambda judge: judge.check_ready())
    server.key = "wanted"
    with pytest.raises(EndpointError, match="VLLM_QUALITY_JUDGE_API_KEY"):
        with_judge(server, lambda judge: judge.check_ready())


def test_deepeval_gets_the_judge_in_its_own_form(server: OpenAIServer, tmp_path: Path) -> None:
    prepare_deepeval(tmp_path)
    server.answer = lambda body: GOOD if "response_format" in body else "free text"

    async def use(judge: Judge) -> list[Any]:
        model = make_deepeval_judge(judge)
        from_a_thread = await asyncio.to_thread(model.generate, "Grade it.", Grade)
        with pytest.raises(JudgeError, match="must await a_generate"):
            model.generate("Grade it.", Grade)
        return [
            model.get_model_name(),
            await model.a_generate("Say."),
            await model.a_generate("G", Grade),
            from_a_thread,
        ]

    name, text, awaited, threaded = with_judge(server, use)
    assert (name, text) == ("fake", "free text")
    assert awaited == threaded == Grade(score=8, reason="fine")


def test_the_judge_comes_from_the_settings(tmp_path: Path) -> None:
    assert judge_settings(load_settings()) is None
    full = judge_settings(load_settings(judge_url="http://judge/v1/", judge_model="m", judge_api_key="sk-secret"))
    assert full == JudgeSettings("http://judge/v1", "m", "sk-secret")
    assert "sk-secret" not in repr(full)
    (tmp_path / "evalchemy.json").write_text(
        json.dumps({"tasks": [], "annotator_model": "annotator"}), encoding="utf-8"
    )
    named = judge_settings(load_settings(judge_url="http://judge/v1", config_dir=tmp_path))
    assert named == JudgeSettings("http://judge/v1", "annotator")
    (tmp_path / "evalchemy.json").write_text('{"tasks": []}', encoding="utf-8")
    with pytest.raises(JudgeSettingsError, match="set VLLM_QUALITY_JUDGE_MODEL"):
        judge_settings(load_settings(judge_url="http://judge/v1", config_dir=tmp_path))


def test_the_judge_is_asked_under_the_path_of_its_url(server: OpenAIServer) -> None:
    async def main() -> None:
        async with ModelClient(server.base_url + "/api/v4", None, concurrency=1, timeout_s=5, retry=QUICK) as client:
            with pytest.raises(EndpointError, match="/api/v4/chat/completions answered 404"):
                await Judge(client, "fake").text("Hi")

    run_async(main)
