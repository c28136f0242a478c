"""Every way in which an answer can come, or fail to: each ends in exactly one outcome, and nothing hangs."""

import asyncio
import datetime
import ipaddress
import os
import resource
import socket
import ssl
import time
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from vllm_quality.load.scenario import Timeouts
from vllm_quality.load.wire.client import Client
from vllm_quality.load.wire.exchange import OUTCOMES
from vllm_quality.results import rows
from vllm_quality_tests.load.asking import QUICK, ask, ask_once, target
from vllm_quality_tests.load.conftest import LoopFactory
from vllm_quality_tests.servers.sse import (
    DONE,
    LAST_CHUNK,
    End,
    Script,
    Seen,
    SseServer,
    Step,
    chunk,
    delta_event,
    event,
    good,
    head,
    text_event,
    usage_event,
    whole,
)

A = text_event("a")
STREAM = text_event("a") + text_event("b") + usage_event(5, 2) + DONE


def split(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def repeated(*steps: Step) -> Script:
    return steps * 40


def body(*parts: bytes) -> Script:
    """A chunked stream of these chunks."""
    return [head(), *map(chunk, parts), LAST_CHUNK]


def spaced(data: bytes) -> list[Step]:
    """Byte by byte, each in a read of its own."""
    return [step for start in range(len(data)) for step in (data[start : start + 1], 0.005)]


def looks_like_the_end() -> list[Step]:
    """A chunk cut in two behind bytes that would be the stream's end if they were not inside the chunk."""
    whole = chunk(b": \n\n\r\n0\r\n\r\n: and on\n\n")
    cut = whole.index(b": and on")
    return [0.02, whole[:cut], 0.05, whole[cut:]]


BARE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
SIMILAR_ERRORS = {"detail": [{"msg": "no"}]}

ANSWERS: dict[str, tuple[Script, str, str]] = {
    # the answer, its outcome, part of its error
    "one event per chunk": (good(), "ok", ""),
    "one event over many reads": ([head(), *split(chunk(STREAM), 7), LAST_CHUNK], "ok", ""),
    "every byte a chunk": (body(*split(STREAM, 1)), "ok", ""),
    "everything in one read": ([head() + chunk(STREAM) + LAST_CHUNK], "ok", ""),
    "the head in pieces": ([*split(head(), 5), chunk(STREAM), LAST_CHUNK], "ok", ""),
    "the chunk framing in pieces": ([head(), *split(chunk(STREAM) + LAST_CHUNK, 300)], "ok", ""),
    "CRLF": (body(STREAM.replace(b"\n", b"\r\n")), "ok", ""),
    "pings": (body(b": ping\n\n", A, b": ping\n\n", STREAM), "ok", ""),
    "event names": (body(b"event: message\n" + A, STREAM), "ok", ""),
    "role first": (body(delta_event(role="assistant", content=""), STREAM), "ok", ""),
    "a length in place of chunks": ([head(length=len(STREAM)), STREAM], "ok", ""),
    "ended by the connection": ([BARE_HEAD, STREAM, End.CLOSE], "ok", ""),
    "[DONE], then no last chunk": ([head(), chunk(STREAM), End.CLOSE], "ok", ""),
    "[DONE], then torn down": ([head(), chunk(STREAM), 0.05, End.RESET], "ok", ""),
    "the last chunk apart": ([head(), chunk(STREAM), 0.02, LAST_CHUNK], "ok", ""),
    "the last chunk in two halves": ([head(), chunk(STREAM) + b"0\r", 0.02, b"\n\r\n"], "ok", ""),
    "the last chunk byte by byte": ([head(), chunk(STREAM), *spaced(LAST_CHUNK)], "ok", ""),
    "the chunk with [DONE] byte by byte": ([head(), chunk(A), *spaced(chunk(DONE)), LAST_CHUNK], "ok", ""),
    "trailers": ([head(), chunk(STREAM), 0.02, b"0\r\nX-Trailer: 1\r\n\r\n"], "ok", ""),
    "an extension on the last chunk": ([head(), chunk(STREAM), 0.02, b"0;x=1\r\n\r\n"], "ok", ""),
    "a last chunk of many zeros": ([head(), chunk(STREAM), 0.02, b"0000\r\n\r\n"], "ok", ""),
    "data that looks like the end": (body(A, b": \r\n0\r\n\r\n", A, STREAM), "ok", ""),
    "data that looks like the end at a read's end": ([head(), *looks_like_the_end(), 0.05, *good()[1:]], "ok", ""),
    "[DONE], then more in its chunk": (body(A, DONE + b": bye\n\n"), "ok", ""),
    "CRLF, and the last chunk apart": ([head(), chunk(STREAM.replace(b"\n", b"\r\n")), 0.02, LAST_CHUNK], "ok", ""),
    "an interim answer first": ([b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", *good()], "ok", ""),
    "no content type": ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *good()[1:]], "ok", ""),
    "500": ([whole("500 Internal Server Error", {"error": {"message": "boom"}})], "http_error", "500: boom"),
    "429": ([whole("429 Too Many Requests", {"detail": "slow down"})], "http_error", "429: slow down"),
    "422 of another shape": ([whole("422 Unprocessable", SIMILAR_ERRORS)], "http_error", '422: [{"msg": "no"}]'),
    "503 in plain text": ([head("503 x", "text/plain", length=4), b"busy"], "http_error", "503: busy"),
    "500, then torn down": ([head("500 x", length=9), b"part", End.RESET], "http_error", "500: part"),
    "a redirect": ([b"HTTP/1.1 307 x\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"], "http_error", "307"),
    "204": ([b"HTTP/1.1 204 No Content\r\n\r\n"], "http_error", "204"),
    "closed before an answer": ([End.CLOSE], "connect_error", "closed before an answer"),
    "torn down before an answer": ([End.RESET], "connect_error", "closed before an answer"),
    "closed in the head": ([b"HTTP/1.1 200 OK\r\nConte", End.CLOSE], "truncated", "closed in the middle"),
    "closed in the middle": ([head(), chunk(A), End.CLOSE], "truncated", "closed in the middle"),
    "torn down in the middle": ([head(), chunk(A), 0.05, End.RESET], "truncated", "closed in the middle"),
    "closed in an event": ([head(), chunk(A), chunk(A[:30]), End.CLOSE], "truncated", "closed in the middle"),
    "shorter than its length": ([head(length=9999), A, End.CLOSE], "truncated", "closed in the middle"),
    "complete but without [DONE]": (body(A, A), "truncated", "before [DONE]"),
    "ended by the connection without [DONE]": ([BARE_HEAD, A, End.CLOSE], "truncated", "before [DONE]"),
    "an error inside": (body(A, event({"error": {"message": "oom"}}), DONE), "stream_error", "oom"),
    "an error inside, then cut": ([head(), chunk(event({"error": "oom"})), End.CLOSE], "stream_error", "oom"),
    "no JSON": (body(A, b"data: nonsense\n\n", DONE), "invalid", "nonsense"),
    "no token": (body(text_event(""), DONE), "invalid", "no token"),
    "no event": (body(DONE), "invalid", "no token"),
    "JSON in place of a stream": ([whole("200 OK", {"choices": []})], "invalid", "application/json"),
    "a web page": ([head(kind="text/html", length=6), b"<html>"], "invalid", "text/html"),
    "no HTTP": ([b"SSH-2.0-OpenSSH_9.2\r\n", End.CLOSE], "invalid", "not HTTP/1.1"),
    "broken chunk framing later": ([head(), 0.02, chunk(A), 0.02, b"zz\r\n", End.CLOSE], "invalid", "not HTTP/1.1"),
    "a chunk longer than it says": ([head(), 0.02, chunk(A)[:-2] + b"!!", 0.02, End.CLOSE], "invalid", "not HTTP/1.1"),
    "broken framing, then the usual end": (
        [head(), 0.02, chunk(A), b"!!\r\n" + chunk(b"\n" + DONE) + LAST_CHUNK],
        "invalid",
        "not HTTP/1.1",
    ),
    "broken chunk framing": ([head(), b"zz\r\n", End.CLOSE], "invalid", "not HTTP/1.1"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_ends_in_its_outcome(name: str, loop_factory: LoopFactory) -> None:
    script, outcome, error = ANSWERS[name]
    with SseServer(script) as server, asyncio.Runner(loop_factory=loop_factory) as runner:
        ((exchange, answer),) = runner.run(ask_once(target(server.url)))
    assert (answer.outcome, error in answer.error) == (outcome, True), answer.error
    assert exchange.end is not None
    assert (outcome == "ok") == (answer.error == "")
    if outcome == "ok":
        assert exchange.sent is not None
        assert exchange.headers is not None
        assert exchange.sent <= exchange.headers <= answer.token_times[0] <= answer.token_times[-1] <= exchange.end


def test_the_outcomes_are_those_of_the_requests_table() -> None:
    assert OUTCOMES == rows.OUTCOMES


SLOW: dict[str, tuple[Script, str, str]] = {
    "no answer": ([10.0], "timeout", "first token: none within 0.2 s"),
    "a head and no token": ([head(), 10.0], "timeout", "first token"),
    "a role delta and no token": ([head(), chunk(delta_event(role="assistant")), 10.0], "timeout", "first token"),
    "pings and no token": ([head(), *repeated(chunk(b": ping\n\n"), 0.05)], "timeout", "first token"),
    "silence after a token": ([head(), chunk(A), 10.0], "stalled", "silence for 0.3 s"),
    "a token now and then, for ever": ([head(), *repeated(chunk(A), 0.1)], "timeout", "total: no end within 0.8 s"),
}


@pytest.mark.parametrize("name", SLOW)
def test_what_is_too_slow_is_given_up(name: str) -> None:
    script, outcome, error = SLOW[name]
    limits = Timeouts(connect=2, first_token=0.2, stall=0.3, total=0.8)
    start = time.monotonic()
    with SseServer(script) as server:
        ((exchange, answer),) = asyncio.run(ask_once(target(server.url), limits))
    assert (answer.outcome, error in answer.error) == (outcome, True), answer.error
    assert time.monotonic() - start < 5
    assert exchange.end is not None


def test_tokens_of_a_failed_request_are_kept() -> None:
    with SseServer([head(), chunk(text_event("a", 1)), chunk(text_event("b c", 3)), End.CLOSE]) as server:
        ((_, answer),) = asyncio.run(ask_once(target(server.url)))
    assert answer.outcome == "truncated"
    assert (answer.output_tokens, answer.chunk_tokens, answer.text) == (3, [1, 2], "ab c")


def test_a_connection_is_kept_alive_over_requests(loop_factory: LoopFactory) -> None:
    with SseServer(good()) as server, asyncio.Runner(loop_factory=loop_factory) as runner:
        ended = runner.run(ask_once(target(server.url), count=5))
    assert [answer.outcome for _, answer in ended] == ["ok"] * 5
    assert {seen.connection for seen in server.seen} == {0}


def test_a_connection_that_says_close_is_not_used_again() -> None:
    closing = [head().replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), *good()[1:]]
    with SseServer(closing) as server:
        ended = asyncio.run(ask_once(target(server.url), count=3))
    assert [answer.outcome for _, answer in ended] == ["ok"] * 3
    assert [seen.connection for seen in server.seen] == [0, 1, 2]


def test_a_kept_alive_connection_that_the_server_closes_is_replaced(loop_factory: LoopFactory) -> None:
    """As a server does whose keep-alive time is over just as the next request arrives."""

    def script(seen: Seen) -> Script:
        first_use = sum(other.connection == seen.connection for other in server.seen) == 1
        return good() if first_use else [End.RESET]

    with SseServer(script) as server, asyncio.Runner(loop_factory=loop_factory) as runner:
        ended = runner.run(ask_once(target(server.url), count=3))
    assert [answer.outcome for _, answer in ended] == ["ok"] * 3
    assert [exchange.retried for exchange, _ in ended] == [False, True, True]


def test_bytes_behind_an_answer_do_not_reach_the_next() -> None:
    stray = whole("200 OK", {"stray": True})
    with SseServer([*good()[:-1], LAST_CHUNK + stray]) as server:
        ended = asyncio.run(ask_once(target(server.url), count=3))
    assert [answer.outcome for _, answer in ended] == ["ok"] * 3
    assert len({seen.connection for seen in server.seen}) == 3


@pytest.mark.parametrize("pause", [0, 0.05])
def test_bytes_behind_the_last_chunk_do_not_delay_the_end_for_ever(pause: float) -> None:
    """In the same read they hide it: it is found in the silence that follows."""
    stray = whole("200 OK", {"stray": True})
    script: Script = [head(), 0.05, chunk(A), 0.02, chunk(DONE) + LAST_CHUNK + stray, pause, stray]
    with SseServer(script) as server:
        ended = asyncio.run(ask_once(target(server.url), count=2))
    assert [(answer.outcome, answer.text) for _, answer in ended] == [("ok", "a")] * 2
    assert {seen.connection for seen in server.seen} == {0, 1}
    # Its end is when it came, not when it was found.
    assert all((exchange.end or 0) - (exchange.headers or 0) < 0.5 for exchange, _ in ended)


def test_an_answer_like_the_one_before_is_read_on_the_same_connection(loop_factory: LoopFactory) -> None:
    """Answers whose ends are known by their form, and by parsing, take turns."""

    def script(seen: Seen) -> Script:
        turn = len(server.seen) % 3
        if turn == 0:
            return whole_then_nothing
        return [head(), 0.01, *map(chunk, (A, A, DONE)), LAST_CHUNK if turn == 1 else b"0\r\nX: 1\r\n\r\n"]

    whole_then_nothing: Script = [whole("503 busy", {"detail": "busy"})]
    with SseServer(script) as server, asyncio.Runner(loop_factory=loop_factory) as runner:
        ended = runner.run(ask_once(target(server.url), count=9))
    assert [answer.outcome for _, answer in ended] == ["ok", "ok", "http_error"] * 3
    assert [len(answer.token_times) for _, answer in ended] == [2, 2, 0] * 3
    assert server.connections == 1


def test_each_token_is_stamped_with_its_own_read() -> None:
    script: Script = [head(), *(step for _ in range(5) for step in (0.03, chunk(A))), 0.03, chunk(DONE), LAST_CHUNK]
    with SseServer(script) as server:
        ((exchange, answer),) = asyncio.run(ask_once(target(server.url)))
    assert exchange.framed
    assert len(answer.token_times) == 5
    assert all(later - earlier > 0.015 for earlier, later in pairwise(answer.token_times))
    assert exchange.end is not None
    assert exchange.end - answer.token_times[-1] > 0.015


def test_running_out_of_file_descriptors_is_told_with_what_to_do() -> None:
    async def main(url: str) -> list[tuple[str, str]]:
        client = Client(target(url), Timeouts(connect=2, first_token=0.2))
        assert await client.open() is None
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.open("/dev/null", os.O_RDONLY)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
        try:
            answers = await asyncio.gather(*(ask(client) for _ in range(30)))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await client.close()
        return [(answer.outcome, answer.error) for ((_, answer),) in answers]

    with SseServer([10.0]) as server:
        ended = asyncio.run(main(server.url))
    refused = [error for outcome, error in ended if outcome == "connect_error"]
    assert refused
    assert all("the file descriptor limit" in error and "ulimit -n" in error for error in refused)


def test_an_answer_that_is_not_streamed() -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "length"}
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    with SseServer([whole("200 OK", {"choices": [choice], "usage": usage})]) as server:
        ((_, answer),) = asyncio.run(ask_once(target(server.url), streaming=False))
    assert (answer.outcome, answer.text, answer.output_tokens, answer.finish_reason) == ("ok", "hi", 2, "length")
    assert list(answer.token_times) == []


@pytest.mark.parametrize("reply", [[1], {"choices": []}, {"choices": [{"text": ""}]}])
def test_an_unstreamed_answer_without_output_is_invalid(reply: object) -> None:
    with SseServer([whole("200 OK", reply)]) as server:
        ((_, answer),) = asyncio.run(ask_once(target(server.url), streaming=False))
    assert answer.outcome == "invalid"


def test_many_at_once_each_get_their_own_answer(loop_factory: LoopFactory) -> None:
    def script(seen: Seen) -> Script:
        return body(text_event(seen.headers["content-length"]), DONE)

    async def main(url: str) -> list[str]:
        client = Client(target(url), QUICK)
        assert await client.open() is None
        await client.warm(20)
        answers = await asyncio.gather(*(ask(client) for _ in range(50)))
        await client.close()
        return [answer.outcome for ((_, answer),) in answers]

    with SseServer(script) as server, asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main(server.url)) == ["ok"] * 50
        assert server.connections == 50


def closed_port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


def test_why_nothing_answers_is_told() -> None:
    async def why(url: str, timeouts: Timeouts = QUICK) -> str | None:
        client = Client(target(url), timeouts)
        reason = await client.open()
        await client.close()
        return reason

    assert asyncio.run(why(closed_port())) == "connection refused"
    assert "looked up" in (asyncio.run(why("http://nowhere.invalid:80")) or "")
    assert "looked up" in (asyncio.run(why(f"http://{'a' * 70}.example")) or "")


def test_a_connection_that_is_not_taken_up_times_out() -> None:
    """A full backlog drops the handshake, as a firewall does."""

    async def main(port: int) -> list[tuple[str, str]]:
        client = Client(target(f"http://127.0.0.1:{port}"), Timeouts(connect=0.3))
        refusal = await client.open()
        ended = await ask(client)
        await client.close()
        return [("open", refusal or ""), *((answer.outcome, answer.error) for _, answer in ended)]

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        told = asyncio.run(main(listening.getsockname()[1]))
        for filler in fillers:
            filler.close()
    assert told == [(kind, "connect: no connection within 0.3 s") for kind in ("open", "timeout")]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_tls_is_verified(certificate: Path, monkeypatch: pytest.MonkeyPatch, loop_factory: LoopFactory) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def refused(url: str) -> str | None:
        client = Client(target(url), QUICK)
        reason = await client.open()
        await client.close()
        return reason

    with SseServer(good(), tls=context) as server, asyncio.Runner(loop_factory=loop_factory) as runner:
        assert "certificate is not trusted: self-signed" in (runner.run(refused(server.url)) or "")
        assert server.seen == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        ended = runner.run(ask_once(target(server.url), count=2))
        assert [answer.outcome for _, answer in ended] == ["ok", "ok"]
        wrong_name = server.url.replace("127.0.0.1", "localhost")
        assert "certificate is not trusted" in (runner.run(refused(wrong_name)) or "")
