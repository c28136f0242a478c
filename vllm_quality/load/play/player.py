"""Plays a stage of a tape against a client: sends what is due, and keeps what came back."""

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

from vllm_quality.load.figures.records import Records
from vllm_quality.load.schedule import Concurrency, Constant
from vllm_quality.load.tape import Entry, TapeStage
from vllm_quality.load.wire.answer import read_answer
from vllm_quality.load.wire.client import Client
from vllm_quality.load.wire.exchange import Exchange

_LEAD_IN_S = 0.02
_LONGEST_NAP_S = 0.1  # how late a stop is noticed
_STOPPED_WAIT_S = 2.0  # for requests in flight when the run is stopped
# Answers kept unread while the clock runs; beyond this the oldest are read as new ones end.
_UNREAD_BYTES = 128 * 2**20


@dataclass
class Control:
    """A run's state over all its stages, readable from any thread while it goes on.

    stop        why the run is to end early; None while it is not
    done        requests ended so far
    abandoned   requests that were still in flight when the run was stopped; they are in no figure
    """

    stop: str | None = None
    done: int = 0
    abandoned: int = 0


class Player:
    """One stage being played."""

    def __init__(
        self, client: Client, stage: TapeStage, scenario: str, control: Control, *, streaming: bool, patience: int
    ) -> None:
        """patience: connect errors in a row after which the endpoint is taken for gone."""
        self._client, self._stage, self._control = client, stage, control
        self._scenario, self._streaming, self._patience = scenario, streaming, patience
        self._waiting: Iterator[tuple[int, Entry]] = iter(enumerate(stage.entries))
        self._in_flight = 0
        self._refused = 0
        self._landed = asyncio.Event()
        self._unread: deque[Exchange] = deque()
        self._unread_bytes = 0

    async def play(self, warmup_length_s: float) -> Records:
        """Send every request of the stage, wait for the answers, read them. Ends early, with what there is, on `stop`."""
        load = self._stage.load
        if isinstance(load, Concurrency):
            await self._client.warm(min(load.streams, load.requests))
        self._start = perf_counter() + _LEAD_IN_S
        self._records = Records(self._scenario, load.label, self._start)
        match load:
            case Constant():
                await self._open_loop()
            case Concurrency():
                await self._closed_loop(load.start_s(warmup_length_s))
        await self._land()
        while self._unread:
            self._read_oldest()
        return self._records

    async def _open_loop(self) -> None:
        for index, entry in self._waiting:
            due = self._start + (entry.due_s or 0.0)
            if not await self._sleep_until(due):
                return
            self._send(index, entry, due)

    async def _closed_loop(self, starts: list[float]) -> None:
        for start in starts:
            if not await self._sleep_until(self._start + start):
                return
            self._send_next()

    def _send_next(self) -> None:
        following = next(self._waiting, None)
        if following is not None and self._control.stop is None:
            self._send(*following, due=None)

    def _send(self, index: int, entry: Entry, due: float | None) -> None:
        now = perf_counter()
        request = self._client.target.request(entry.body)
        self._in_flight += 1
        self._client.send(Exchange(index, now if due is None else due, now, request, self._ended))

    async def _sleep_until(self, when: float) -> bool:
        """True at the time, never before it; False when the run is to stop.

        The last millisecond is waited for in turns of the loop: its timers are no finer, and reads go on meanwhile.
        """
        while self._control.stop is None:
            await asyncio.sleep(max(0.0, min(math.floor((when - perf_counter()) * 1000) / 1000, _LONGEST_NAP_S)))
            if perf_counter() >= when:
                return True
        return False

    def _ended(self, exchange: Exchange) -> None:
        self._in_flight -= 1
        self._control.done += 1
        self._notice(exchange)
        exchange.request = b""
        self._unread.append(exchange)
        self._unread_bytes += exchange.size()
        while self._unread_bytes > _UNREAD_BYTES:
            self._read_oldest()
        if isinstance(self._stage.load, Concurrency):
            self._send_next()
        self._landed.set()

    def _notice(self, exchange: Exchange) -> None:
        """End the run when the endpoint is gone."""
        failure = exchange.failure
        if failure is None or not (exchange.sent is None or failure[0] == "connect_error"):
            self._refused = 0
            return
        self._refused += 1
        if self._refused >= self._patience and self._control.stop is None:
            self._control.stop = f"{self._refused} requests in a row found no connection: {failure[1]}"

    def _read_oldest(self) -> None:
        exchange = self._unread.popleft()
        self._unread_bytes -= exchange.size()
        answer = read_answer(exchange, streaming=self._streaming, scrub=self._client.target.scrub)
        self._records.add(self._stage.entries[exchange.index], exchange, answer)

    async def _land(self) -> None:
        """Wait for what is in flight: to its end, which the timeouts bound, or shortly once the run is stopped."""
        stopped: float | None = None
        while self._in_flight:
            if self._control.stop is not None:
                stopped = stopped or perf_counter()
                if perf_counter() - stopped > _STOPPED_WAIT_S:
                    self._control.abandoned += self._in_flight
                    return
            self._landed.clear()
            try:
                async with asyncio.timeout(_LONGEST_NAP_S):
                    await self._landed.wait()
            except TimeoutError:
                continue
