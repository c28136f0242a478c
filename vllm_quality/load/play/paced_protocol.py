"""One connection to the known-timing server: reads requests, and puts out each answer's chunks when they are due."""

import asyncio
import json
import os
from time import perf_counter
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from vllm_quality.load.play import paced_events as events
from vllm_quality.load.play.paced_engine import Engine
from vllm_quality.load.play.paced_metrics import exposition

_COMPLETIONS = {b"/v1/completions": False, b"/v1/chat/completions": True}


class Connection(asyncio.Protocol):
    """Answers one request at a time; it is the engine's `Job` while it answers a completion."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parser = HttpRequestParser(self)
        self._requests: list[tuple[bytes, bytes, float]] = []
        self._path = b""
        self._body: list[bytes] = []
        self._now = 0.0
        self._busy = False
        self._direct = True
        self._received = self._begun = self._first = 0.0
        self.done = 0

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._fd: int = transport.get_extra_info("socket").fileno()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._engine.release(self)

    def data_received(self, data: bytes) -> None:
        self._now = perf_counter()
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._transport.abort()
        self._next()

    # httptools' side

    def on_message_begin(self) -> None:
        self._path, self._body = b"", []

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._requests.append((self._path, b"".join(self._body), self._now))

    # the answers

    def _next(self) -> None:
        while self._requests and not self._busy and not self._transport.is_closing():
            path, body, received = self._requests.pop(0)
            if path in _COMPLETIONS:
                self._complete(events.asked(body, chat=_COMPLETIONS[path]), received)
            else:
                self._transport.write(_plain(path, body, self._engine))

    def _complete(self, asked: events.Asked, received: float) -> None:
        self._busy, self._asked, self._received, self.done = True, asked, received, 0
        self._direct = not self._transport.get_write_buffer_size()
        if asked.stream:
            self._write(events.STREAM_HEAD)
            self._gap = self._engine.pace.itl * self._engine.pace.tokens_per_chunk
        self._id = self._engine.submit(self)

    def begin(self, ttft: float) -> None:
        """The engine's word that a slot is free."""
        # Counted from the request's last byte, not from when the loop came to it.
        self._begun = perf_counter() if self._engine.pace.capacity else self._received
        due = self._begun + ttft
        if not self._asked.stream:
            due += self._engine.pace.itl * (self._asked.tokens - 1)
        self._engine.at(due, self.step if self._asked.stream else self._whole)

    def step(self, due: float) -> float | None:
        """Put out the next chunk of a stream."""
        if self._transport.is_closing():
            return None
        asked, tokens, done = self._asked, self._engine.pace.tokens_per_chunk, self.done
        if not done:
            self._first = perf_counter()
        if done + tokens < asked.tokens:
            self.done = done = done + tokens
            if asked.counting:
                chunk = events.text_chunk(asked.chat, tokens, asked.prompt, done, False)
            else:
                chunk = events.text_chunk(asked.chat, tokens, 0, 0, False)
            self._write(chunk)
            return due + self._gap
        prompt, counted = (asked.prompt, asked.tokens) if asked.counting else (0, 0)
        chunk = events.text_chunk(asked.chat, asked.tokens - done, prompt, counted, True)
        self._last(self._first if done else None, chunk + events.stream_end(asked))
        return None

    def _whole(self, _due: float) -> None:
        if not self._transport.is_closing():
            self._last(None, events.whole_answer(self._asked))

    def _last(self, first: float | None, data: bytes) -> None:
        asked, now = self._asked, perf_counter()
        self._write(data)
        self.done = 0
        queued = self._begun - self._received
        first = now if first is None else first
        self._engine.truth.add(self._id, self._received, queued, first, now, asked.prompt, asked.tokens)
        self._busy = False
        self._engine.release(self)
        self._next()

    def _write(self, data: bytes) -> None:
        """Hand the bytes to the kernel now: the loop would wait until the other streams' chunks are made."""
        if self._direct:
            try:
                written = os.write(self._fd, data)
            except BlockingIOError:
                written = 0
            except OSError:
                self._transport.abort()
                return
            if written == len(data):
                return
            self._direct, data = False, data[written:]
        self._transport.write(data)


def _plain(path: bytes, body: bytes, engine: Engine) -> bytes:
    match path:
        case b"/v1/models":
            model = {"id": events.MODEL, "object": "model", "owned_by": "paced", "max_model_len": 1_000_000}
            return events.json_answer({"object": "list", "data": [model]})
        case b"/health" | b"/ping":
            return events.json_answer({})
        case b"/version":
            return events.json_answer({"version": "1"})
        case b"/metrics":
            return events.answer(exposition(engine), "text/plain; version=0.0.4")
        case b"/truth":
            return events.json_answer(engine.truth.columns())
        case b"/tokenize":
            return _tokenize(body)
    return events.json_answer({"error": {"message": "no such path"}}, "404 Not Found")


def _tokenize(body: bytes) -> bytes:
    try:
        asked: dict[str, Any] = json.loads(body)
        texts = [message["content"] for message in asked["messages"]] if "messages" in asked else [asked["prompt"]]
        count = sum(map(events.count_tokens, texts))
    except (ValueError, KeyError, TypeError, AttributeError):
        return events.json_answer({"error": {"message": "neither a prompt nor messages"}}, "400 Bad Request")
    return events.json_answer({"count": count, "max_model_len": 1_000_000, "tokens": list(range(count))})
