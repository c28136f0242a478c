"""One answer: what is sent, and which status what comes back gets."""

from typing import Any

import pytest

from vllm_quality.eval.answers import Answer, Asking, Prompt, Sampling, ask
from vllm_quality.eval.client import run_async
from vllm_quality_tests.eval.task_files import QUICK, vllm_at
from vllm_quality_tests.servers.openai_api import Fault, OpenAIServer

CHAT: Prompt = [{"role": "user", "content": "1 + 1 ="}]
SHORT = Sampling(max_tokens=8)


def answer(server: OpenAIServer, prompt: Prompt = CHAT, sampling: Sampling = SHORT, **endpoint: Any) -> Answer:
    asking = Asking(vllm_at(server.base_url, **endpoint), None, 1, 5, QUICK)

    async def send() -> Answer:
        async with asking.client() as client:
            return await ask(client, asking.endpoint, prompt, sampling)

    return run_async(send)


def test_a_conversation_goes_to_chat_and_a_text_to_completions(server: OpenAIServer) -> None:
    assert answer(server).text == answer(server, "1 + 1 =").text == "The answer is 42."
    (chat,), (text,) = server.sent_to("/v1/chat/completions"), server.sent_to("/v1/completions")
    assert chat["messages"] == CHAT
    assert text["prompt"] == "1 + 1 ="
    for body in (chat, text):
        assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.0, 1234, 8)


def test_tokens_and_reason_are_kept(server: OpenAIServer) -> None:
    assert answer(server) == Answer("The answer is 42.", "ok", "stop", 11, 7)


def test_an_answer_that_was_cut_off_says_so(server: OpenAIServer) -> None:
    server.finish = "length"
    assert answer(server).status == "truncated"


@pytest.mark.parametrize(("finish", "status"), [("stop", "model_error"), ("length", "truncated")])
def test_a_null_content_is_the_models_fault(server: OpenAIServer, finish: str, status: str) -> None:
    server.answer, server.finish = lambda body: None, finish
    found = answer(server)
    assert (found.text, found.status, found.error) == ("", status, "the answer's content is null")


def test_a_refused_prompt_is_the_models_fault_and_an_unanswered_one_nobodys(server: OpenAIServer) -> None:
    server.fault = lambda number, path, body: Fault(status=400)
    assert (answer(server).status, answer(server).error) == ("model_error", "HTTP 400: made to fail")
    server.fault = lambda number, path, body: Fault(status=500)
    assert answer(server).status == "infra_error"


def test_stops_end_the_text_whether_or_not_the_server_knows_them(server: OpenAIServer) -> None:
    server.answer = lambda body: "4\nEND of it"
    stops = Sampling(8, stop=("x", "y", "z", "u", "END", "\n"))
    assert answer(server, sampling=stops).text == "4"
    assert answer(server, sampling=stops, engine="unknown").text == "4"
    full, cut = (body["stop"] for body in server.sent_to("/v1/chat/completions"))
    assert full == ["x", "y", "z", "u", "END", "\n"]
    assert cut == ["x", "y", "z", "u"]  # OpenAI's interface takes four


def test_a_begun_answer_is_gone_on_with(server: OpenAIServer) -> None:
    begun = [*CHAT, {"role": "assistant", "content": "It is"}]
    answer(server, begun)
    (body,) = server.sent_to("/v1/chat/completions")
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


def test_half_a_surrogate_pair_breaks_nothing_on_either_way(server: OpenAIServer) -> None:
    server.answer = lambda body: "half \ud83d a pair"
    assert answer(server, [{"role": "user", "content": "half \ud83d a pair"}]).text == "half ? a pair"


def test_the_key_is_in_no_repr() -> None:
    assert "sk-secret" not in repr(Asking(vllm_at("http://host"), "sk-secret", 1, 5, QUICK))
