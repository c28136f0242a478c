import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from vllm_quality.load.errors import LoadError
from vllm_quality.load.play.paced import PacedServer
from vllm_quality.load.wire.answer import Answer, read_answer
from vllm_quality.load.wire.client import Client
from vllm_quality.load.wire.exchange import Exchange
from vllm_quality.load.wire.target import Target
from vllm_quality_tests.load.asking import QUICK

COUNTING = {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}


@pytest.fixture(scope="module")
def server() -> Iterator[PacedServer]:
    with PacedServer(ttft=0.02, itl=0.001) as running:
        yield running


def address(server: PacedServer) -> tuple[str, int]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return host, int(port)


def post(server: PacedServer, path: str, body: object) -> Any:
    return httpx.post(f"{server.url}{path}", json=body, timeout=10).raise_for_status().json()


def ask(server: PacedServer, path: str, body: dict[str, object], count: int = 1) -> list[tuple[Exchange, Answer]]:
    """So many requests at once."""

    async def main() -> list[Exchange]:
        client = Client(Target(server.url, path, "paced"), QUICK)
        assert await client.open() is None
        loop, now = asyncio.get_running_loop(), time.perf_counter()
        waiting = [loop.create_future() for _ in range(count)]
        for number, future in enumerate(waiting):
            request = client.target.request(json.dumps(body).encode())
            client.send(Exchange(number, now, now, request, future.set_result))
        ended = await asyncio.wait_for(asyncio.gather(*waiting), 15)
        await client.close()
        return ended

    return [(exchange, read_answer(exchange, streaming=True)) for exchange in asyncio.run(main())]


def one(server: PacedServer, path: str, body: dict[str, object]) -> Answer:
    ((_, answer),) = ask(server, path, body)
    return answer


def test_a_streamed_completion(server: PacedServer) -> None:
    answer = one(server, "/v1/completions", {"prompt": "one two three", "max_tokens": 5, **COUNTING})
    assert (answer.outcome, answer.text, answer.finish_reason) == ("ok", " word" * 5, "length")
    assert (answer.prompt_tokens, answer.output_tokens, answer.chunk_tokens) == (3, 5, [1] * 5)


def test_a_streamed_chat_completion_without_usage(server: PacedServer) -> None:
    messages = [{"role": "user", "content": 'say "hi" twice'}]
    answer = one(server, "/v1/chat/completions", {"messages": messages, "max_completion_tokens": 4, "stream": True})
    assert (answer.outcome, answer.text, len(answer.token_times)) == ("ok", " word" * 4, 4)
    assert (answer.usage, answer.chunk_tokens) == (False, [])


def test_usage_counts_the_words_of_all_messages(server: PacedServer) -> None:
    messages = [{"role": "system", "content": 'be "brief" now'}, {"role": "user", "content": "one two"}]
    body = {"messages": messages, "max_tokens": 2, **COUNTING}
    assert one(server, "/v1/chat/completions", body).prompt_tokens == 5
    assert post(server, "/tokenize", {"messages": messages})["count"] == 5


def test_answers_that_are_not_streamed(server: PacedServer) -> None:
    completion = post(server, "/v1/completions", {"prompt": "a b", "max_tokens": 3})
    assert completion["choices"][0]["text"] == " word" * 3
    assert completion["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    chat = post(server, "/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]})
    assert chat["choices"][0]["message"]["content"] == " word" * 16


def test_it_says_what_it_is(server: PacedServer) -> None:
    assert httpx.get(f"{server.url}/v1/models").json()["data"][0]["id"] == "paced"
    assert httpx.get(f"{server.url}/health").status_code == 200
    assert httpx.get(f"{server.url}/nothing").status_code == 404
    assert post(server, "/tokenize", {"prompt": "a b c"})["tokens"] == [0, 1, 2]
    assert httpx.post(f"{server.url}/tokenize", json={}).status_code == 400
    assert server.url.startswith("http://127.0.0.1:")


def test_its_clocks_bracket_what_a_client_sees() -> None:
    with PacedServer(ttft=0.03, itl=0.002) as server:
        ended = ask(server, "/v1/completions", {"prompt": "a", "max_tokens": 20, **COUNTING}, count=8)
        truth = server.truth()
    assert truth.columns == ["id", "received_s", "first_s", "last_s", "tokens"]
    assert truth["id"].to_list() == list(range(8))
    assert truth["tokens"].to_list() == [20] * 8
    rows = zip(sorted(ended, key=lambda pair: pair[0].sent or 0), truth.iter_rows(), strict=True)
    for (exchange, answer), (_, received, first, last, _) in rows:
        assert exchange.sent is not None
        assert exchange.sent < received
        assert first >= received + 0.03
        assert answer.token_times[0] > first
        assert answer.token_times[-1] > last
        # The last token is due on the clock: what one chunk was late, the next is not.
        assert last >= received + 0.03 + 19 * 0.002
    assert {answer.outcome for _, answer in ended} == {"ok"}


def test_beyond_its_capacity_streams_wait_in_order() -> None:
    with PacedServer(ttft=0.02, itl=0.001, capacity=2) as server:
        ask(server, "/v1/completions", {"prompt": "a", "max_tokens": 10, **COUNTING}, count=6)
        truth = server.truth()
        metrics = httpx.get(f"{server.url}/metrics").text
    firsts = truth["first_s"].to_list()
    assert firsts == sorted(firsts)
    # Two at a time: the third's first token comes after the first's last one, and its own time to it.
    assert all(firsts[number + 2] >= truth["last_s"][number] + 0.02 for number in range(4))
    waited = float(metrics.split("vllm:request_queue_time_seconds_sum")[1].split()[1])
    # From its arrival (a busy machine sends some of the six late) until the last but one before it was done.
    least = sum(max(0.0, truth["last_s"][number] - truth["received_s"][number + 2]) for number in range(4))
    assert 0 < least <= waited + 0.001


def test_tokens_of_one_chunk_are_counted_and_keep_their_pace() -> None:
    with PacedServer(ttft=0.01, itl=0.002, tokens_per_chunk=4) as server:
        answer = one(server, "/v1/completions", {"prompt": "a", "max_tokens": 10, **COUNTING})
        truth = server.truth()
    assert answer.chunk_tokens == [4, 4, 2]
    assert truth["last_s"][0] - truth["first_s"][0] >= 0.008


def test_jitter_is_drawn_from_the_seed() -> None:
    def waits(seed: int) -> list[float]:
        with PacedServer(ttft=0.02, itl=0, jitter=1.0, seed=seed) as server:
            for _ in range(4):
                one(server, "/v1/completions", {"prompt": "a", "max_tokens": 1, "stream": True})
            truth = server.truth()
        return [first - received for first, received in zip(truth["first_s"], truth["received_s"], strict=True)]

    drawn = random.Random(7)
    for wait in waits(7):
        assert wait >= 0.02 * drawn.lognormvariate(0, 1.0)


def test_without_pauses_everything_comes_at_once() -> None:
    with PacedServer(ttft=0, itl=0) as server:
        ended = ask(server, "/v1/completions", {"prompt": "a", "max_tokens": 3000, **COUNTING}, count=3)
        assert [answer.output_tokens for _, answer in ended] == [3000] * 3


def test_a_client_that_reads_late_gets_every_byte() -> None:
    with PacedServer(ttft=0, itl=0) as server, httpx.Client(timeout=20) as client:
        body = {"prompt": "a", "max_tokens": 60_000, **COUNTING}
        with client.stream("POST", f"{server.url}/v1/completions", json=body) as answer:
            time.sleep(0.3)
            assert answer.read().count(b'"text":" word"') == 60_000


def test_metrics_have_vllms_names() -> None:
    with PacedServer(ttft=0.02, itl=0.001, capacity=4) as server:
        ask(server, "/v1/completions", {"prompt": "a b", "max_tokens": 10, **COUNTING}, count=3)
        text = httpx.get(f"{server.url}/metrics").text
        truth = server.truth()
    values = {
        line.split("{")[0]: float(line.split()[-1]) for line in text.splitlines() if "le=" not in line and "{" in line
    }
    assert values["vllm:num_requests_running"] == values["vllm:num_requests_waiting"] == 0
    assert values["vllm:kv_cache_usage_perc"] == 0
    assert (values["vllm:generation_tokens_total"], values["vllm:prompt_tokens_total"]) == (30, 6)
    assert values["vllm:time_to_first_token_seconds_count"] == values["vllm:e2e_request_latency_seconds_count"] == 3
    assert values["vllm:inter_token_latency_seconds_count"] == 27
    assert values["vllm:time_to_first_token_seconds_sum"] == pytest.approx(sum(truth["first_s"] - truth["received_s"]))
    buckets = [
        float(line.split()[-1]) for line in text.splitlines() if line.startswith("vllm:time_to_first_token_seconds_b")
    ]
    assert all(lower <= upper for lower, upper in pairwise(buckets))
    assert (buckets[0], buckets[-1]) == (0, 3)


def test_running_and_waiting_are_counted_while_they_last() -> None:
    with PacedServer(ttft=0.01, itl=0.01, capacity=1) as server:
        body = {"prompt": "a", "max_tokens": 500, **COUNTING}
        clients = [httpx.Client(timeout=10) for _ in range(2)]
        streams = [client.stream("POST", f"{server.url}/v1/completions", json=body) for client in clients]
        answers = [stream.__enter__() for stream in streams]
        assert [answer.status_code for answer in answers] == [200, 200]
        text = httpx.get(f"{server.url}/metrics").text
        assert 'vllm:num_requests_running{engine="0",model_name="paced"} 1.0' in text
        assert 'vllm:num_requests_waiting{engine="0",model_name="paced"} 1.0' in text
        for stream, client in zip(reversed(streams), reversed(clients), strict=True):
            stream.__exit__(None, None, None)
            client.close()
        deadline = time.monotonic() + 5
        while 'num_requests_running{engine="0",model_name="paced"} 0.0' not in httpx.get(f"{server.url}/metrics").text:
            assert time.monotonic() < deadline, "clients that leave must free their slots"
            time.sleep(0.02)
        assert server.truth().height == 0


def test_bytes_that_are_no_http_end_the_connection(server: PacedServer) -> None:
    with socket.create_connection(address(server), timeout=5) as sock:
        sock.sendall(b"\x00nonsense\r\n\r\n")
        with suppress(ConnectionResetError):
            assert sock.recv(100) == b""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def test_it_is_stopped_with_the_block_whatever_happens() -> None:
    started: list[PacedServer] = []

    def fail() -> None:
        with PacedServer(ttft=5) as server:
            started.append(server)
            with socket.create_connection(address(server)):
                raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not alive(started[0].pid)


def test_it_ends_when_the_process_that_started_it_is_killed() -> None:
    code = "from vllm_quality.load.play.paced import PacedServer as P; s = P().__enter__(); print(s.pid, flush=True); input()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdin is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    parent.stdin.close()
    assert gone_within(pid, 5)


def test_by_hand_it_prints_its_url_serves_until_a_signal_and_leaves_its_log(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "vllm_quality.load.play.paced",
        "--ttft=0.01",
        "--itl=0",
        f"--log={tmp_path / 'log'}",
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    httpx.post(f"{url}/v1/completions", json={"prompt": "a", "max_tokens": 2}).raise_for_status()
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    process.stdout.close()
    assert json.loads((tmp_path / "log").read_text())["tokens"] == [2]


def test_it_runs_on_plain_asyncio_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with PacedServer(ttft=0.01, itl=0.001) as server:
        ended = ask(server, "/v1/completions", {"prompt": "a", "max_tokens": 20, **COUNTING}, count=5)
        assert {answer.outcome for _, answer in ended} == {"ok"}
        assert server.truth().height == 5


def test_why_it_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(LoadError, match="did not start"), PacedServer():
        pass
