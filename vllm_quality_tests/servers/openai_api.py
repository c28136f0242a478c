"""A small OpenAI-compatible server on loopback, shaped like vLLM, whose every answer can be computed beforehand.

Its tokenizer merges some neighbouring bytes, so that a token can straddle the border of two texts and Hangul syllables are
split. A token's logprob is a pure function of the two tokens before it and of itself.
"""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

BOS = 70_000
Body = dict[str, Any]


def tokenize(text: str, *, bos: bool = True) -> list[int]:
    """Bytes, some pairs of them merged from the left."""
    data, ids = text.encode(), [BOS] if bos else []
    at = 0
    while at < len(data):
        if at + 1 < len(data) and (data[at] * 7 + data[at + 1]) % 3 == 0:
            ids.append(256 + data[at] * 256 + data[at + 1])
            at += 2
        else:
            ids.append(data[at])
            at += 1
    return ids


def logprob(before: Sequence[int], token: int) -> float:
    """The logprob of a token after others."""
    last = list(before[-2:])
    return -0.05 - ((sum(last) * 31 + token * 17) % 997) / 250


def echoed(ids: Sequence[int]) -> dict[str, Any]:
    """vLLM's `logprobs` object for an echoed prompt and one new token."""
    everything = [*ids, 33]
    own = [None, *(logprob(everything[:at], everything[at]) for at in range(1, len(everything)))]
    best = [value if value is None or everything[at] % 2 else value + 0.5 for at, value in enumerate(own)]
    return {
        "tokens": [f"token_id:{token}" for token in everything],
        "token_logprobs": own,
        "top_logprobs": [
            None if value is None else {f"token_id:{token}": value, "token_id:1": top}
            for token, value, top in zip(everything, own, best, strict=True)
        ],
    }


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request: a status, a raw body, or a pause before the connection is closed."""

    status: int = 200
    raw: bytes | None = None
    hang_s: float = 0.0
    retry_after: str | None = None


@dataclass
class OpenAIServer:
    """Use as a context manager; `base_url` is set while it runs.

    answer   text for a chat or completions request; None is a null content
    logprobs `logprobs` of a chat request's choice; None is a server without
    fault    asked before each request, with its number and body; None lets it through
    finish   the finish_reason of generated texts
    key      the only bearer token that is let in
    """

    answer: Callable[[Body], str | None] = lambda body: "The answer is 42."
    logprobs: Callable[[Body], Body | None] = lambda body: None
    fault: Callable[[int, str, Body], Fault | None] = lambda number, path, body: None
    finish: str = "stop"
    bos: bool = True
    model: str = "fake"
    key: str | None = None
    base_url: str = ""
    requests: list[tuple[str, Body]] = field(default_factory=list)
    most_at_once: int = 0

    def __enter__(self) -> Self:
        self._lock, self._now = threading.Lock(), 0
        self._released = threading.Event()
        self._server = _Listener(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def now(self) -> int:
        """Requests that are being answered."""
        return self._now

    def sent_to(self, path: str) -> list[Body]:
        """Bodies of the requests under a path, in the order of their arrival."""
        return [body for where, body in self.requests if where == path]

    def _enter(self, path: str, body: Body) -> int:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.requests.append((path, body))
            return len(self.requests) - 1

    def _leave(self) -> None:
        with self._lock:
            self._now -= 1

    def respond(self, path: str, body: Body) -> tuple[int, Body]:
        """Status and JSON of a request that nothing befalls."""
        if body.get("model") != self.model:
            return 404, {"error": {"message": f"The model `{body.get('model')}` does not exist."}}
        match path:
            case "/tokenize":
                ids = tokenize(body["prompt"], bos=self.bos)
                return 200, {"tokens": ids, "count": len(ids), "max_model_len": 4096}
            case "/v1/chat/completions":
                text = self.answer(body)
                message = {"role": "assistant", "content": text}
                return 200, self._with_usage([self._choice(0, {"message": message, "logprobs": self.logprobs(body)})])
            case "/v1/completions" if body.get("echo"):
                prompts = body["prompt"] if isinstance(body["prompt"][0], list) else [body["prompt"]]
                return 200, self._with_usage(
                    [self._choice(at, {"text": "", "logprobs": echoed(ids)}) for at, ids in enumerate(prompts)]
                )
            case "/v1/completions":
                return 200, self._with_usage([self._choice(0, {"text": self.answer(body)})])
            case "/v1/embeddings":
                vectors = [[float(text.count(letter)) for letter in "abcdefghij"] + [1.0] for text in body["input"]]
                found = [{"index": at, "embedding": vector} for at, vector in enumerate(vectors)]
                return 200, {"data": found[::-1], "model": self.model}
        return 404, {"error": {"message": "Not Found"}}

    def _choice(self, index: int, content: Body) -> Body:
        return {"index": index, "finish_reason": self.finish, **content}

    def _with_usage(self, choices: list[Body]) -> Body:
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        return {"id": "fake-1", "model": self.model, "choices": choices, "usage": usage}

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the server's end."""
        self._released.wait(seconds)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        pass  # a client that hung up is what the tests are about


def _handler(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:  # http.server's name
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number = server._enter(self.path, body)
            try:
                self._answer(body, server.fault(number, self.path, body))
            finally:
                server._leave()

        def _answer(self, body: Body, fault: Fault | None) -> None:
            if server.key is not None and self.headers.get("Authorization") != f"Bearer {server.key}":
                said = f"Incorrect API key provided: {self.headers.get('Authorization', '').removeprefix('Bearer ')}"
                self._send(401, json.dumps({"error": {"message": said}}).encode())
                return
            if fault is None:
                status, answer = server.respond(self.path, body)
                self._send(status, json.dumps(answer).encode())
                return
            if fault.hang_s:
                server.pause(fault.hang_s)
                self.close_connection = True
                return
            raw = fault.raw if fault.raw is not None else json.dumps({"error": {"message": "made to fail"}}).encode()
            self._send(fault.status, raw, fault.retry_after)

        def _send(self, status: int, raw: bytes, retry_after: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            if retry_after is not None:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(raw)

    return Handler
