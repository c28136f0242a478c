"""The first requests: they find out what the endpoint takes, warm it, and are in no figure."""

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from vllm_quality.load.errors import LoadError
from vllm_quality.load.tape import Entry, Tape
from vllm_quality.load.wire.answer import Answer, read_answer
from vllm_quality.load.wire.client import Client
from vllm_quality.load.wire.exchange import Exchange

_NOT_TAKEN = (400, 422)  # how vLLM and others answer a request with a key they do not know


@dataclass(frozen=True)
class Warmth:
    """How the last good warm-up request went: seconds in all, to its first token and between tokens; its tokens."""

    length_s: float
    ttft_s: float
    tpot_s: float
    output_tokens: int


async def warm_up(client: Client, tape: Tape, offers: list[dict[str, Any]]) -> Warmth:
    """Send the tape's warm-up requests one after the other.

    The first is sent with each of the offered extras in turn until the endpoint does not refuse them; the client's target
    keeps those. Raises `LoadError` when the endpoint is not reached, will refuse every request, or answers none of these.
    """
    first, *others = tape.warmup
    bare = client.target
    for extras in offers:
        client.target = bare.with_extras(extras)
        exchange, answer = await _ask(client, first, streaming=tape.streaming)
        if exchange.status not in _NOT_TAKEN:
            break
    _check(client, exchange, answer)
    taken = [_warmth(exchange, answer)]
    for entry in others:
        exchange, answer = await _ask(client, entry, streaming=tape.streaming)
        _check(client, exchange, answer)
        taken.append(_warmth(exchange, answer))
    good = [warmth for warmth in taken if warmth is not None]
    if not good:
        raise LoadError(
            f"{_url(client)} answered none of {len(taken)} warm-up requests ({answer.outcome}: {answer.error}); check "
            "the server's log."
        )
    return good[-1]


def _url(client: Client) -> str:
    return f"{client.target.base_url}{client.target.path}"


def _warmth(exchange: Exchange, answer: Answer) -> Warmth | None:
    if answer.outcome != "ok" or exchange.end is None or exchange.sent is None:
        return None
    times, tokens = answer.token_times, answer.output_tokens or 1
    length = exchange.end - exchange.sent
    ttft = times[0] - exchange.sent if len(times) else length
    tpot = (times[-1] - times[0]) / (tokens - 1) if len(times) > 1 and tokens > 1 else 0.0
    return Warmth(length, ttft, tpot, tokens)


async def _ask(client: Client, entry: Entry, *, streaming: bool) -> tuple[Exchange, Answer]:
    ended: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
    now = perf_counter()
    client.send(Exchange(0, now, now, client.target.request(entry.body), ended.set_result))
    exchange = await ended
    return exchange, read_answer(exchange, streaming=streaming, scrub=client.target.scrub)


def _check(client: Client, exchange: Exchange, answer: Answer) -> None:
    """A failure that will not pass ends the run here. One that may pass (503, a timeout) does not."""
    url = _url(client)
    if answer.outcome == "connect_error":
        raise LoadError(f"{url} cannot be reached ({answer.error}); check the address and that the server is up.")
    if exchange.status in (401, 403):
        raise LoadError(f"{url} refused the API key ({answer.error}); set VLLM_QUALITY_API_KEY to one it accepts.")
    if exchange.status is not None and 300 <= exchange.status < 500 and exchange.status not in (408, 429):
        raise LoadError(
            f"{url} refuses the scenario's requests ({answer.error}); check the address, model and lengths."
        )
