"""A proxy in front of an endpoint that makes it worse in one way: other requests, or slower answers."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web

_KEPT = 60  # characters that "cut" leaves of a text
_PREFIX = "<|im_end|>"


@dataclass(frozen=True)
class Flaw:
    """What is wrong.

    rewrite        "temperature": every generated answer is drawn at temperature 1; "cut": texts lose their beginning;
                   "prefix": a special token stands before every text that is no chat
    template       a chat template in place of the model's own
    slower_s       each event of an answer comes so much later than the one before than it would
    stall_every_s, stall_s   so often nothing goes through for so long
    at_once        requests that are let through at a time
    """

    rewrite: str | None = None
    template: str | None = None
    slower_s: float = 0.0
    stall_every_s: float = 0.0
    stall_s: float = 0.0
    at_once: int | None = None


@contextmanager
def flawed(upstream: str, flaw: Flaw) -> Iterator[str]:
    """Serve the endpoint with the flaw for as long as the block lasts; yields the base URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()
    proxy = _Proxy(upstream, flaw)
    try:
        yield f"http://127.0.0.1:{asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(30)}"
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class _Proxy:
    def __init__(self, upstream: str, flaw: Flaw) -> None:
        self._upstream, self._flaw = upstream, flaw

    async def start(self) -> int:
        from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

        self._session = ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None))
        self._gate = asyncio.Semaphore(self._flaw.at_once or 1_000_000)
        self._started = asyncio.get_running_loop().time()
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _handle(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        url, body = self._upstream + request.path_qs, rewritten(await request.read(), self._flaw)
        headers = {name: request.headers[name] for name in ("Content-Type", "Authorization") if name in request.headers}
        async with self._gate, self._session.request(request.method, url, data=body or None, headers=headers) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            with suppress(ConnectionResetError):  # the client hung up
                await response.prepare(request)
                async for chunk in self._paced(answer.content.iter_any()):
                    await response.write(chunk)
                await response.write_eof()
            return response

    async def _paced(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The answer's events, each at the time that the flaw gives it."""
        clock, late = asyncio.get_running_loop().time, 0.0
        queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()

        async def read() -> None:
            try:
                async for chunk in chunks:
                    queue.put_nowait((clock(), chunk))
            finally:
                queue.put_nowait(None)

        reader = asyncio.create_task(read())
        while (entry := await queue.get()) is not None:
            arrived, chunk = entry
            late += self._flaw.slower_s * chunk.count(b"data: ")
            await asyncio.sleep(max(0.0, arrived + late - clock()))
            await self._stall(clock())
            yield chunk
        await reader

    async def _stall(self, now: float) -> None:
        every = self._flaw.stall_every_s
        if every:
            await asyncio.sleep(max(0.0, self._flaw.stall_s - (now - self._started) % every))


def rewritten(body: bytes, flaw: Flaw) -> bytes:
    """A request's body as the endpoint gets it."""
    if not body or (flaw.rewrite is None and flaw.template is None):
        return body
    told: dict[str, Any] = json.loads(body)
    if flaw.rewrite == "temperature" and "echo" not in told and "temperature" in told:
        told["temperature"] = 1.0
    if flaw.rewrite == "cut" and isinstance(told.get("prompt"), str):
        told["prompt"] = told["prompt"][-_KEPT:]
    if flaw.rewrite == "prefix" and isinstance(
        told.get("prompt"), str
    ):  # to /tokenize as well, whose ids are sent then
        told["prompt"] = _PREFIX + told["prompt"]
    if flaw.template is not None and "messages" in told:
        told["chat_template"] = flaw.template
    return json.dumps(told).encode()
