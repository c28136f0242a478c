"""Scenarios that take a moment, the endpoint to aim them at, and requests by hand."""

import asyncio
from time import perf_counter
from typing import Any

from vllm_quality.load.scenario import Scenario, Timeouts
from vllm_quality.load.wire.answer import Answer, read_answer
from vllm_quality.load.wire.client import Client
from vllm_quality.load.wire.exchange import Exchange
from vllm_quality.load.wire.target import Target
from vllm_quality.serving.endpoint import Endpoint

QUICK = Timeouts(connect=2, first_token=5, stall=5, total=10)
BODY = b'{"max_tokens":3,"prompt":"x","stream":true}'


def scenario(**settings: Any) -> Scenario:
    """A scenario of ten requests in a fifth of a second, unless asked otherwise."""
    defaults: dict[str, Any] = {
        "name": "quick",
        "profile": "smoke",
        "title": "Quick",
        "input_tokens": 8,
        "output_tokens": 3,
        "stages": [{"type": "constant", "rate": 50, "duration_s": 0.2}],
        "warmup_requests": 1,
        "timeouts": QUICK,
        # The machine that runs the tests may be busy with others.
        "trust": {"client_lag_p99_s": 10},
    }
    return Scenario.model_validate(defaults | settings)


def endpoint(url: str, *capabilities: str, engine: str = "unknown") -> Endpoint:
    """An endpoint that serves the model "m"."""
    return Endpoint(url, "m", engine, "", ("chat", "completions", *capabilities), 4096)


def target(url: str, api_key: str | None = None) -> Target:
    """Where completions go."""
    return Target(url, "/v1/completions", "m", api_key)


async def ask(client: Client, count: int = 1, *, streaming: bool = True) -> list[tuple[Exchange, Answer]]:
    """Send so many requests one after the other."""
    ended = []
    for index in range(count):
        future: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        now = perf_counter()
        client.send(Exchange(index, now, now, client.target.request(BODY), future.set_result))
        exchange = await asyncio.wait_for(future, 15)
        ended.append((exchange, read_answer(exchange, streaming=streaming, scrub=client.target.scrub)))
    return ended


async def ask_once(
    where: Target, timeouts: Timeouts = QUICK, count: int = 1, *, streaming: bool = True
) -> list[tuple[Exchange, Answer]]:
    """Open a client, ask, close it."""
    client = Client(where, timeouts)
    try:
        assert await client.open() is None
        return await ask(client, count, streaming=streaming)
    finally:
        await client.close()
