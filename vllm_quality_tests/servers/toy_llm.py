"""A model that knows the packaged data sets by heart: a whole OpenAI-compatible endpoint for end-to-end tests.

`forgets` is the share of questions it answers wrongly, `itl_s` the pause before each token: a release is degraded by
raising them. By hand: `python -m vllm_quality_tests.servers.toy_llm --port 8000 --forgets 0.5`.
"""

import argparse
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

Body = dict[str, Any]


def known_answers() -> dict[str, str]:
    """Question -> answer of every row in the packaged data sets."""
    raw = files("vllm_quality") / "datasets" / "raw"
    rows = [json.loads(line) for folder in raw.iterdir() for line in _lines(folder)]
    return {row["input"]: row["reference"] for row in rows}


def _lines(folder: Any) -> list[str]:
    items = folder / "items.jsonl"
    return list(items.read_text(encoding="utf-8").splitlines()) if items.is_file() else []


@dataclass
class ToyModel:
    """What the model does; may be changed while it is served.

    down        every request is answered with this status; 0 serves
    forgets_at  path of a release (".../release-3/v1/…") -> the share that it forgets, for those that are not as `forgets` says
    """

    name: str = "toy"
    forgets: float = 0.0
    itl_s: float = 0.001
    down: int = 0
    key: str | None = None
    answers: Mapping[str, str] = field(default_factory=known_answers)
    requests: int = 0
    forgets_at: Mapping[str, float] = field(default_factory=dict)

    def answer(self, question: str, path: str = "/") -> str:
        """The right answer, or for the share it forgets, none."""
        right = next((answer for known, answer in self.answers.items() if known in question), "I do not know that.")
        draw = int.from_bytes(hashlib.sha256(question.encode()).digest()[:4], "big") / 2**32
        return "I forgot." if draw < self.forgets_at.get(path.split("/")[1], self.forgets) else right


@contextmanager
def serve_toy(model: ToyModel, port: int = 0) -> Iterator[str]:
    """Serve the model on loopback while the block runs; yields the base URL."""
    server = _Server(("127.0.0.1", port), _handler(model))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A client that hung up, which kill -9 tests do on purpose, is not worth a traceback."""


def _handler(model: ToyModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            """Nothing: pytest shows what failed."""

        def do_GET(self) -> None:
            self._serve({})

        def do_POST(self) -> None:
            self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _serve(self, body: Body) -> None:
            model.requests += 1
            if model.down:
                return self._send(model.down, {"error": {"message": "down"}})
            if model.key is not None and self.headers.get("Authorization") != f"Bearer {model.key}":
                return self._send(401, {"error": {"message": "Unauthorized"}})
            # Behind a gateway each release has a path of its own in front of these.
            match re.sub(r".*/v1/|.*/(?=[^/]+$)", "", self.path, count=1):
                case "models":
                    entry = {"id": model.name, "object": "model", "owned_by": "toy", "max_model_len": 4096}
                    return self._send(200, {"object": "list", "data": [entry]})
                case "version":
                    return self._send(200, {"version": "1.0"})
                case "chat/completions":
                    return self._complete(
                        body, model.answer(str(body["messages"][-1]["content"]), self.path), chat=True
                    )
                case "completions":
                    return self._complete(body, "tok " * int(body.get("max_tokens", 16)), chat=False)
            return self._send(404, {"error": {"message": "Not Found"}})

        def _complete(self, body: Body, text: str, *, chat: bool) -> None:
            tokens = [word + " " for word in text.split()] or [""]
            usage = {"prompt_tokens": 8, "completion_tokens": len(tokens), "total_tokens": 8 + len(tokens)}
            if not body.get("stream"):
                time.sleep(model.itl_s * len(tokens))
                content: Body = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
                choice = {"index": 0, "finish_reason": "stop", **content}
                return self._send(200, {"id": "toy", "choices": [choice], "usage": usage})
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for token in tokens:
                time.sleep(model.itl_s)
                piece: Body = {"delta": {"content": token}} if chat else {"text": token}
                self._event({"id": "toy", "choices": [{"index": 0, **piece}]})
            self._event({"id": "toy", "choices": [], "usage": usage})
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
            return None

        def _event(self, value: Body) -> None:
            self._chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        def _send(self, status: int, value: Body) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--forgets", type=float, default=0.0)
    parser.add_argument("--itl", type=float, default=0.001)
    given = parser.parse_args()
    with serve_toy(ToyModel(forgets=given.forgets, itl_s=given.itl), given.port) as address:
        print(address, flush=True)
        threading.Event().wait()
