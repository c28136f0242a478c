"""A server that plays back bytes: any answer, cut into any pieces, with pauses, and with any end.

A script is a sequence of steps: bytes are written, a number is a pause in seconds, an `End` ends the connection. After a
script without one the connection is kept alive for the next request.
"""

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Self

LAST_CHUNK = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"


class End(Enum):
    """How a connection ends: in order (FIN), or torn down (RST)."""

    CLOSE = "close"
    RESET = "reset"


Step = bytes | float | End
Script = Sequence[Step]


@dataclass(frozen=True)
class Seen:
    """A request as it arrived. connection: its connection's number, from 0; received: `perf_counter` of its last byte."""

    connection: int
    path: str
    headers: dict[str, str]
    body: bytes
    received: float

    @property
    def asked(self) -> dict[str, Any]:
        """The body as JSON."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


def head(status: str = "200 OK", kind: str = "text/event-stream", *, length: int | None = None) -> bytes:
    """An answer's head: chunked, or with a length."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(status: str, value: object) -> bytes:
    """A JSON answer with a length."""
    body = json.dumps(value).encode()
    return head(status, "application/json", length=len(body)) + body


def event(value: object) -> bytes:
    """One event holding JSON."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def text_event(text: str, count: int | None = None, **choice: object) -> bytes:
    """A completion's chunk; count: its `usage.completion_tokens`."""
    value: dict[str, object] = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
    value["choices"] = [{"index": 0, "text": text, "logprobs": None, "finish_reason": None, **choice}]
    if count is not None:
        value["usage"] = {"prompt_tokens": 5, "total_tokens": 5 + count, "completion_tokens": count}
    return event(value)


def delta_event(**delta: object) -> bytes:
    """A chat completion's chunk."""
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]
    return event({"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices})


def usage_event(prompt: int, output: int) -> bytes:
    """The usage chunk at a stream's end."""
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    return event(
        {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [], "usage": usage}
    )


def good(tokens: int = 3) -> Script:
    """A completion of so many tokens, one per chunk, with usage."""
    texts = [chunk(text_event(f" t{number}")) for number in range(tokens)]
    return [head(), *texts, chunk(usage_event(5, tokens)), chunk(DONE), LAST_CHUNK]


class SseServer:
    """Serves a script on a loopback port; what it is, may depend on the request. Use as a context manager."""

    def __init__(self, script: Script | Callable[[Seen], Script], tls: ssl.SSLContext | None = None) -> None:
        self._script, self._tls = script, tls
        self.seen: list[Seen] = []
        self.connections = 0
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def kill(self) -> None:
        """Stop listening and tear every connection down, as a killed process does."""
        self._loop.call_soon_threadsafe(self._tear_down)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, backlog=1024)

    def _tear_down(self) -> None:
        self._server.close()
        for writer in tuple(self._writers):
            _reset(writer)

    async def _stop(self) -> None:
        self._tear_down()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, self.connections = self.connections, self.connections + 1
        self._writers.add(writer)
        try:
            while await self._answer(connection, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path = request.split()[:2]
        if method == "GET":
            # Scripts are for completions; /metrics and the like are not here.
            writer.write(whole("404 Not Found", {"error": "not found"}))
            await writer.drain()
            return True
        seen = Seen(connection, path, headers, body, time.perf_counter())
        self.seen.append(seen)
        for step in self._script(seen) if callable(self._script) else self._script:
            match step:
                case bytes():
                    writer.write(step)
                    await writer.drain()
                case End.CLOSE:
                    return False
                case End.RESET:
                    _reset(writer)
                    return False
                case _:
                    await asyncio.sleep(step)
        return True


def _reset(writer: asyncio.StreamWriter) -> None:
    # With a linger time of 0 the kernel sends RST in place of FIN.
    sock = writer.get_extra_info("socket")
    with suppress(OSError):  # the client may have closed it a moment ago
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
