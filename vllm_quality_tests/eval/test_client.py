"""The client: what is retried, what is not, how it ends, and that the key stays inside."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from vllm_quality.eval.client import (
    ModelClient,
    RequestFailedError,
    RetryPolicy,
    _TransientError,
    in_order,
    run_async,
)
from vllm_quality.eval.http_facts import proxy_for
from vllm_quality.serving.endpoint import EndpointError
from vllm_quality_tests.eval.task_files import QUICK
from vllm_quality_tests.servers.openai_api import Fault, OpenAIServer

KEY = "sk-very-secret-5d41"


def post(server: OpenAIServer, *, key: str | None = None, timeout_s: float = 5.0, **body: Any) -> Any:
    async def send() -> Any:
        async with ModelClient(server.base_url, key, concurrency=2, timeout_s=timeout_s, retry=QUICK) as client:
            asked = {"model": "fake", "messages": [{"role": "user", "content": "Hi"}], **body}
            return await client.post("/v1/chat/completions", asked, lambda answer: answer["choices"][0])

    return run_async(send)


def first(count: int, fault: Fault) -> Callable[[int, str, dict[str, Any]], Fault | None]:
    return lambda number, path, body: fault if number < count else None


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429),
        Fault(status=500),
        Fault(status=503, retry_after="0"),
        Fault(raw=b"<html>bad gateway</html>"),
        Fault(raw=b'["no object"]'),
        Fault(raw=b'{"object": "error"}'),
        Fault(hang_s=0.01),
    ],
    ids=["429", "500", "503", "not json", "no object", "no choices", "cut off"],
)
def test_what_may_pass_is_tried_again(server: OpenAIServer, fault: Fault) -> None:
    server.fault = first(2, fault)
    assert post(server)["finish_reason"] == "stop"
    assert len(server.requests) == 3


def test_tries_are_bounded(server: OpenAIServer) -> None:
    server.fault = first(99, Fault(status=500))
    with pytest.raises(RequestFailedError, match="HTTP 500: made to fail") as caught:
        post(server)
    assert not caught.value.refused
    assert len(server.requests) == QUICK.attempts


def test_a_request_that_times_out_twice_is_given_up(server: OpenAIServer) -> None:
    server.fault = first(99, Fault(hang_s=60))
    began = time.monotonic()
    with pytest.raises(RequestFailedError, match=r"no answer within 1 s"):
        post(server, timeout_s=1)
    assert len(server.requests) == 2
    assert time.monotonic() - began < 10


def test_the_servers_pause_is_kept_to(server: OpenAIServer) -> None:
    server.fault = first(1, Fault(status=429, retry_after="1"))
    began = time.monotonic()
    post(server)
    assert time.monotonic() - began >= 1


def test_a_refused_request_is_not_tried_again(server: OpenAIServer) -> None:
    server.fault = first(99, Fault(status=400))
    with pytest.raises(RequestFailedError, match="HTTP 400") as caught:
        post(server)
    assert caught.value.refused
    assert len(server.requests) == 1


def test_a_refused_key_ends_it_at_once_and_is_never_shown(
    server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.key = "another"
    with caplog.at_level(logging.DEBUG), pytest.raises(EndpointError, match="refused the API key") as caught:
        post(server, key=KEY)
    assert len(server.requests) == 1
    assert "VLLM_QUALITY_API_KEY" in str(caught.value)
    assert KEY not in str(caught.value) + caplog.text


def test_a_key_that_the_server_repeats_is_masked(server: OpenAIServer) -> None:
    server.fault = first(99, Fault(status=400, raw=f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode()))
    with pytest.raises(RequestFailedError, match=r"bad key \*\*\*"):
        post(server, key=KEY)


def test_a_model_that_is_not_served_ends_it_at_once(server: OpenAIServer) -> None:
    with pytest.raises(EndpointError, match="`other` does not exist"):
        post(server, model="other")
    assert len(server.requests) == 1


def test_a_server_that_is_gone_is_not_asked_for_ever() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"

        async def send() -> tuple[str | None, int]:
            failures = 0
            async with ModelClient(nowhere, None, concurrency=4, timeout_s=5, retry=RetryPolicy(1)) as client:
                for _ in range(200):
                    with pytest.raises(RequestFailedError):
                        await client.post("/x", {}, dict)
                    failures += client.gave_up is None
                return client.gave_up, failures

        gave_up, tried = run_async(send)
    assert tried == 15
    assert gave_up is not None
    assert "stopped answering: 16 requests in a row failed (ClientConnectorError" in gave_up


def test_an_answer_beyond_the_bound_is_not_read(server: OpenAIServer) -> None:
    server.answer = lambda body: "x" * 5000

    async def send() -> Any:
        async with ModelClient(server.base_url, None, concurrency=1, timeout_s=5, largest_answer=1000) as client:
            return await client.post("/v1/completions", {"model": "fake", "prompt": "x"}, dict)

    with pytest.raises(RequestFailedError, match="larger than 1000 bytes"):
        run_async(send)


def test_no_more_requests_are_in_flight_than_wanted(server: OpenAIServer) -> None:
    server.fault = lambda number, path, body: server.pause(0.02)

    async def send() -> None:
        async with ModelClient(server.base_url, None, concurrency=3, timeout_s=5) as client:
            body = {"model": "fake", "prompt": "x"}
            await asyncio.gather(*(client.post("/tokenize", body, dict) for _ in range(12)))

    run_async(send)
    assert server.most_at_once == 3


def test_what_is_not_answered_by_the_deadline_was_not_reached(server: OpenAIServer) -> None:
    server.fault = first(1, Fault(hang_s=60))

    async def send() -> list[bool]:
        reached = []
        client = ModelClient(server.base_url, None, concurrency=2, timeout_s=30, deadline=time.monotonic() + 0.3)
        async with client:
            for _ in range(3):
                with pytest.raises(RequestFailedError, match="the time for this suite was over") as caught:
                    await client.post("/v1/chat/completions", {"model": "fake"}, dict)
                reached.append(caught.value.reached)
            assert client.gave_up is None
        return reached

    began = time.monotonic()
    assert run_async(send) == [False, False, False]
    assert time.monotonic() - began < 10
    assert len(server.requests) <= 2


def test_the_retries_of_all_requests_are_bounded(server: OpenAIServer) -> None:
    server.fault = first(999, Fault(status=500))
    policy = RetryPolicy(attempts=9, first_wait_s=0, reserve=3, share=0.5)

    async def send() -> None:
        async with ModelClient(server.base_url, None, concurrency=1, timeout_s=5, retry=policy) as client:
            for _ in range(10):
                with pytest.raises(RequestFailedError):
                    await client.post("/v1/chat/completions", {"model": "fake"}, dict)

    run_async(send)
    assert len(server.requests) == 10 + 3 + 5


def test_the_pauses_grow_up_to_a_bound() -> None:
    policy, error = RetryPolicy(first_wait_s=1, longest_wait_s=6), _TransientError("HTTP 500")
    assert [1 <= policy.wait_s(error, 1) <= 2, 2 <= policy.wait_s(error, 2) <= 3] == [True, True]
    assert policy.wait_s(error, 9) == 6
    assert policy.wait_s(_TransientError("HTTP 429", retry_after_s=3600), 1) == 60


def test_the_environments_proxy_is_used_but_not_for_those_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1,.internal")
    assert proxy_for("https://judge.example.com/v1") == "http://proxy:3128"
    assert proxy_for("https://judge.internal/v1") is None
    assert proxy_for("http://127.0.0.1:8000") is None


def test_results_keep_the_items_order_whatever_ends_first() -> None:
    async def slow_first(item: int) -> int:
        await asyncio.sleep(0.01 * (5 - item))
        return item * 10

    assert run_async(lambda: in_order([1, 2, 3, 4], slow_first, workers=4)) == [10, 20, 30, 40]
    assert run_async(lambda: in_order([], slow_first, workers=4)) == []


def test_the_first_error_ends_the_others() -> None:
    done = []

    async def work(item: int) -> None:
        if item == 0:
            raise EndpointError("gone")
        await asyncio.sleep(5)
        done.append(item)

    with pytest.raises(EndpointError, match="gone"):
        run_async(lambda: in_order(range(4), work, workers=2))
    assert done == []


def test_it_runs_where_a_loop_already_runs() -> None:
    async def answer() -> int:
        return 42

    async def notebook() -> int:
        return run_async(answer)

    assert asyncio.run(notebook()) == 42


@pytest.fixture(autouse=True)
def _no_task_left_behind() -> Iterator[None]:
    yield
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
