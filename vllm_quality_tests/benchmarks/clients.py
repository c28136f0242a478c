"""Two bare clients to hold the engine against: its own wire client without the rest, and aiohttp with JSON.

Each plays a closed loop of streamed completions and leaves summary.json in the folder it is given, in the engine's form.
By hand: `python -m vllm_quality_tests.benchmarks.clients wire http://127.0.0.1:8000 64 1600 256 OUT`
"""

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from vllm_quality.load.figures.distribution import distribution
from vllm_quality.load.scenario import Timeouts
from vllm_quality.load.wire.answer import read_answer
from vllm_quality.load.wire.client import Client
from vllm_quality.load.wire.exchange import Exchange
from vllm_quality.load.wire.target import Target

_SPREAD_S = 0.5  # over which the streams begin: a burst measures itself


@dataclass(frozen=True)
class Load:
    """What to play."""

    url: str
    streams: int
    requests: int
    tokens: int

    @property
    def body(self) -> dict[str, object]:
        """One request's."""
        usage = {"include_usage": True, "continuous_usage_stats": True}
        return {"prompt": "word " * 100, "max_tokens": self.tokens, "stream": True, "stream_options": usage}


async def wire(load: Load) -> list[float]:
    """Seconds to the first token of each request."""
    client = Client(Target(load.url, "/v1/completions", "paced"), Timeouts())
    if (refusal := await client.open()) is not None:
        sys.exit(refusal)
    await client.warm(load.streams)
    request = client.target.request(json.dumps(load.body).encode())
    ended: list[Exchange] = []
    done, left = asyncio.Event(), load.requests

    def send() -> None:
        nonlocal left
        if left > 0:
            left -= 1
            now = perf_counter()
            client.send(Exchange(load.requests - left, now, now, request, end))

    def end(exchange: Exchange) -> None:
        ended.append(exchange)
        send()
        if len(ended) == load.requests:
            done.set()

    for _ in range(load.streams):
        send()
        await asyncio.sleep(_SPREAD_S / load.streams)
    await done.wait()
    ttft = []
    for exchange in ended:
        answer = read_answer(exchange, streaming=True)
        if answer.outcome != "ok" or len(answer.token_times) != load.tokens:
            sys.exit(f"{answer.outcome}: {answer.error}")
        ttft.append(answer.token_times[0] - (exchange.sent or 0))
    await client.close()
    return ttft


async def aiohttp(load: Load) -> list[float]:
    """Seconds to the first token of each request; as `vllm bench serve` (Python) reads streams."""
    import aiohttp

    ttft: list[float] = []
    left = load.requests

    async def stream(session: aiohttp.ClientSession, wait: float) -> None:
        nonlocal left
        await asyncio.sleep(wait)
        while left > 0:
            left -= 1
            start, times, rest = perf_counter(), list[float](), b""
            async with session.post(f"{load.url}/v1/completions", json=load.body) as answer:
                async for data in answer.content.iter_any():
                    now, rest = perf_counter(), rest + data
                    while b"\n\n" in rest:
                        event, rest = rest.split(b"\n\n", 1)
                        text = event.removeprefix(b"data: ")
                        if text != b"[DONE]" and (choices := json.loads(text)["choices"]) and choices[0]["text"]:
                            times.append(now)
            if len(times) != load.tokens:
                sys.exit(f"{len(times)} of {load.tokens} tokens came")
            ttft.append(times[0] - start)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        gap = _SPREAD_S / load.streams
        await asyncio.gather(*(stream(session, number * gap) for number in range(load.streams)))
    return ttft


def main(kind: str, url: str, streams: str, requests: str, tokens: str, output: str) -> None:
    """Play, and leave summary.json."""
    client: Callable[[Load], Coroutine[None, None, list[float]]] = {"wire": wire, "aiohttp": aiohttp}[kind]
    loop_factory = None
    if kind == "wire":
        import uvloop

        loop_factory = uvloop.new_event_loop
        gc.freeze()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        ttft = runner.run(client(Load(url, int(streams), int(requests), int(tokens))))
    import numpy as np

    found = distribution(np.array(ttft))
    summary = {"stages": [{"ttft_s": {"mean": found.mean, "p99": found.p99}}]}
    Path(output, "summary.json").write_text(json.dumps(summary), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
