"""Every type of grader behind one call; a judge that fails gives no score, an answer that lacks something gives the worst."""

import asyncio
import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from vllm_quality.eval.client import ModelClient
from vllm_quality.eval.graders.bench import Bench, Grade
from vllm_quality.eval.graders.embeddings import Embedder
from vllm_quality.eval.graders.schema import AnyGrader, Grader
from vllm_quality.eval.judge import Judge
from vllm_quality_tests.eval.graders.test_schema import LABEL, MULTI, PYTHON, SCORE, SIMILARITY, STRING_CHECK
from vllm_quality_tests.eval.task_files import QUICK
from vllm_quality_tests.servers.openai_api import Body, Fault, OpenAIServer

ADAPTER: TypeAdapter[Grader] = TypeAdapter(AnyGrader)


def grade(grader: dict[str, Any], output: str = "", *, server: OpenAIServer | None = None, **item: Any) -> Grade:
    return asyncio.run(_grade(ADAPTER.validate_python(grader), {"output_text": output}, item, server))


async def _grade(grader: Grader, sample: dict[str, Any], item: dict[str, Any], server: OpenAIServer | None) -> Grade:
    if server is None:
        return await Bench().grade(grader, sample, item)
    async with ModelClient(server.base_url + "/v1", None, concurrency=2, timeout_s=5, retry=QUICK) as client:
        return await Bench(Judge(client, "fake"), Embedder(client, "fake")).grade(grader, sample, item)


def judged(result: Any, *conclusions: str) -> str:
    steps = [{"description": "…", "conclusion": conclusion} for conclusion in conclusions]
    return json.dumps({"steps": steps, "result": result})


def test_string_check() -> None:
    found = grade(STRING_CHECK, "spam", correct_label="spam")
    assert (found.score, found.passed, found.status) == (1.0, True, "ok")
    assert grade(STRING_CHECK, "ham", correct_label="spam").score == 0.0


def test_text_similarity_passes_from_its_threshold_up() -> None:
    assert grade(SIMILARITY, "a fine summary", reference_answer="a fine summary").passed is True
    assert grade(SIMILARITY, "xyz", reference_answer="a fine summary").passed is False
    assert grade({**SIMILARITY, "pass_threshold": None}, "a", reference_answer="a").passed is None


def test_python() -> None:
    source = "def grade(sample, item):\n    return len(sample['output_text']) / item['most']"
    found = grade({**PYTHON, "source": source, "pass_threshold": 0.5}, "four", most=4)
    assert (found.score, found.passed) == (1.0, True)
    broken = grade({**PYTHON, "source": "def grade(sample, item): return 1 / 0"}, "x")
    assert (broken.score, broken.status) == (None, "judge_error")
    assert broken.reason == "the python grader gave no grade: it raised ZeroDivisionError: division by zero"


def test_multi_is_the_formula_over_its_graders_with_their_scores_as_the_reason() -> None:
    found = grade({**MULTI, "pass_threshold": 0.5}, "spam", reference_answer="nothing like it", correct_label="spam")
    assert (found.score, found.passed, found.reason) == (0.5, True, "email 1; name 0")


def test_a_formula_without_a_value_is_no_score() -> None:
    found = grade({**MULTI, "calculate_output": "name / (email - email)"}, "a", reference_answer="a", correct_label="a")
    assert (found.score, found.status) == (None, "judge_error")
    assert "calculate_output has no value" in found.reason


def test_score_model_is_asked_for_steps_and_a_result_and_cut_to_its_range(server: OpenAIServer) -> None:
    server.answer = lambda body: judged(7.5, "it is polite,", "and right")
    found = grade({**SCORE, "range": [1, 7], "pass_threshold": 5}, "hi", server=server)
    assert (found.score, found.passed, found.reason) == (7.0, True, "it is polite, and right")
    body = server.sent_to("/v1/chat/completions")[0]
    assert (body["temperature"], [part["role"] for part in body["messages"]]) == (0, ["system", "user"])
    assert body["messages"][1]["content"] == "Answer: hi"
    schema = body["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["steps", "result"]


def test_label_model_passes_by_its_labels(server: OpenAIServer) -> None:
    server.answer = lambda body: judged("rude", "it insults")
    found = grade(LABEL, "go away", server=server)
    assert (found.score, found.passed, found.reason) == (0.0, False, "rude: it insults")
    body = server.sent_to("/v1/chat/completions")[0]
    assert body["messages"][0]["role"] == "system"  # what OpenAI calls developer
    assert "polite" in json.dumps(body["response_format"])


@pytest.mark.parametrize(
    "said", ["no JSON", judged("ten"), judged(None), '{"result": 1}', "[]", '{"steps": [], "result": NaN}']
)
def test_a_judgement_that_cannot_be_read_is_no_score_and_never_a_zero(server: OpenAIServer, said: str) -> None:
    server.answer = lambda body: said
    found = grade(SCORE, "hi", server=server)
    assert (found.score, found.passed, found.status) == (None, None, "judge_error")


def test_a_label_that_was_not_offered_is_no_judgement(server: OpenAIServer) -> None:
    server.answer = lambda body: judged("kind")
    assert grade(LABEL, "hi", server=server).score is None


def test_a_judge_without_schemas_is_told_the_form_in_words(server: OpenAIServer) -> None:
    server.answer = lambda body: "Sure: " + judged(1, "fine")
    server.fault = lambda n, path, body: Fault(status=400) if "response_format" in body else None
    assert grade(SCORE, "hi", server=server).score == 1.0


def test_cosine_is_of_embeddings(server: OpenAIServer) -> None:
    cosine = {**SIMILARITY, "evaluation_metric": "cosine"}
    assert grade(cosine, "abc", server=server, reference_answer="cab").score == pytest.approx(1.0)
    assert grade(cosine, "a" * 9, server=server, reference_answer="b" * 9).score == pytest.approx(1 / 82)
    assert server.sent_to("/v1/embeddings")[1] == {"model": "fake", "input": ["a" * 9, "b" * 9]}


def test_what_is_not_configured_is_said_without_a_score() -> None:
    assert grade(SCORE, "hi").reason == "no judge is configured"
    found = grade({**SIMILARITY, "evaluation_metric": "cosine"}, "a", reference_answer="b")
    assert (found.score, found.reason) == (None, "no model for embeddings is configured")


def test_an_answer_without_the_json_that_is_graded_has_the_worst_score() -> None:
    found = grade(
        {**STRING_CHECK, "operation": "ne", "input": "{{sample.output_json.city}}"}, "no JSON", correct_label="x"
    )
    assert (found.score, found.passed, found.status) == (0.0, False, "model_error")
    assert "sample.output_json.city has no value" in found.reason


def test_broken_embeddings_are_no_score(server: OpenAIServer) -> None:
    server.fault = lambda n, path, body: Fault(raw=b'{"data": []}') if path == "/v1/embeddings" else None
    assert grade({**SIMILARITY, "evaluation_metric": "cosine"}, "a", server=server, reference_answer="b").score is None


def test_an_answer_of_the_judge_carries_no_secret_of_the_prompt(server: OpenAIServer) -> None:
    def refuse(n: int, path: str, body: Body) -> Fault:
        return Fault(status=500)

    server.fault = refuse
    assert grade(SCORE, "hi", server=server).reason == "the judge did not answer: HTTP 500: made to fail"
