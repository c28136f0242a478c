"""Plays a stage of a tape against a client: sends what is due, and keeps what came back."""

import asyncio
import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from vllm_quality.load.figures.records import Records
from vllm_quality.load.play.parts import Part, Unit
from vllm_quality.load.schedule import ClosedLoop
from vllm_quality.load.tape import Entry
from vllm_quality.load.wire.answer import Answer, read_answer
from vllm_quality.load.wire.client import Client
from vllm_quality.load.wire.exchange import Exchange

_LONGEST_NAP_S = 0.1  # how late a stop is noticed
_STOPPED_WAIT_S = 2.0  # for requests in flight when the run is stopped
# Answers kept unread while the clock runs; beyond this the oldest are read as new ones end.
_UNREAD_BYTES = 128 * 2**20
# What reading for the live figures may hold up the clock, each time they are asked for.
_PEEK_S = 0.0005

# (end, ttft, tpot, output tokens) of a request
Sample = tuple[float, float | None, float | None, int]


@dataclass
class Control:
    """A run's state over all its stages, readable while it goes on.

    stop        why the run is to end early; None while it is not
    abandoned   requests that were still in flight when the run was stopped; they are in no figure
    ended       this stage's requests by what is known of their outcome before they are read
    """

    stop: str | None = None
    abandoned: int = 0
    sent: int = 0
    in_flight: int = 0
    ended: Counter[str] = field(default_factory=Counter)


class Player:
    """One part of a stage being played."""

    def __init__(
        self, client: Client, part: Part, records: Records, control: Control, *, streaming: bool, patience: int
    ) -> None:
        """patience: connect errors in a row after which the endpoint is taken for gone."""
        self._client, self._part, self._records, self._control = client, part, records, control
        self._streaming, self._patience = streaming, patience
        self._units = iter(part)
        self._flying: dict[int, tuple[Unit, int, Entry]] = {}
        self._refused = 0
        self._landed = asyncio.Event()
        self._unread: deque[tuple[Entry, Exchange]] = deque()
        self._unread_bytes = 0
        self._until = math.inf
        self._thinking = 0

    async def play(self, start: float, spread_s: float) -> None:
        """Send the part's requests, wait for the answers, read them. Ends early, with what there is, on `stop`.

        start: `perf_counter` seconds; spread_s: over how long a closed loop's first requests are spread unless it says.
        """
        load, control = self._part.load, self._control
        limit_s = load.limit_s
        control.sent = control.in_flight = 0
        control.ended.clear()
        self._start = start
        if limit_s is not None:
            self._until = start + limit_s
        if not isinstance(load, ClosedLoop):
            await self._open_loop()
        else:
            await self._closed_loop(load.start_s(spread_s)[self._part.lane :: self._part.lanes])
        await self._land()
        while self._unread:
            self._read(*self._unread.popleft())

    def peek(self) -> list[Sample]:
        """Read a few of the newest answers early, for the live figures; for half a millisecond at most."""
        until, samples = perf_counter() + _PEEK_S, []
        while self._unread and perf_counter() < until:
            if (sample := self._read(*self._unread.pop())) is not None:
                samples.append(sample)
        return samples

    async def _open_loop(self) -> None:
        for unit in self._units:
            due = self._start + (unit.due_s or 0.0)
            if not await self._sleep_until(due):
                return
            self._send(unit, 0, due)

    async def _closed_loop(self, starts: Sequence[float]) -> None:
        for start in starts:
            if self._start + start > self._until or not await self._sleep_until(self._start + start):
                return
            self._send_next()

    def _send_next(self) -> None:
        if self._control.stop is None and perf_counter() < self._until:
            unit = next(self._units, None)
            if unit is not None:
                self._send(unit, 0, None)

    def _send(self, unit: Unit, turn: int, due: float | None) -> None:
        now = perf_counter()
        entry, index = self._part.entries[unit.first + turn], unit.index + turn
        request = self._client.target.request(entry.body, unit.lap)
        self._flying[index] = unit, turn, entry
        self._control.sent += 1
        self._control.in_flight += 1
        exchange = Exchange(index, now if due is None else due, now, request, self._ended, lap=unit.lap)
        self._client.send(exchange)

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
        control = self._control
        unit, turn, entry = self._flying.pop(exchange.index)
        control.in_flight -= 1
        well = exchange.failure is None and exchange.status == 200
        control.ended["ok" if well else exchange.failure[0] if exchange.failure else "http_error"] += 1
        self._notice(exchange)
        exchange.request = b""
        self._unread.append((entry, exchange))
        self._unread_bytes += exchange.size()
        while self._unread_bytes > _UNREAD_BYTES:
            self._read(*self._unread.popleft())
        self._follow(unit, turn, well=well)
        self._landed.set()

    def _follow(self, unit: Unit, turn: int, *, well: bool) -> None:
        """Send what an ended request makes possible: its session's next turn, or a closed loop's next session.

        A session whose turn failed is over: its user would not go on either.
        """
        load = self._part.load
        again = turn + 1 < unit.count and well
        if not isinstance(load, ClosedLoop):
            if again:
                self._go_on(unit, turn, again)
        elif load.think_s:
            self._thinking += 1
            asyncio.get_running_loop().call_later(load.think_s, self._thought, unit, turn, again)
        else:
            self._go_on(unit, turn, again)

    def _thought(self, unit: Unit, turn: int, again: bool) -> None:
        self._thinking -= 1
        self._go_on(unit, turn, again)
        self._landed.set()

    def _go_on(self, unit: Unit, turn: int, again: bool) -> None:
        if not again:
            self._send_next()
        elif self._control.stop is None and perf_counter() < self._until:
            self._send(unit, turn + 1, None)

    def _notice(self, exchange: Exchange) -> None:
        """End the run when the endpoint is gone."""
        failure = exchange.failure
        if failure is None or not (exchange.sent is None or failure[0] == "connect_error"):
            self._refused = 0
            return
        self._refused += 1
        if self._refused >= self._patience and self._control.stop is None:
            self._control.stop = f"{self._refused} requests in a row found no connection: {failure[1]}"

    def _read(self, entry: Entry, exchange: Exchange) -> Sample | None:
        """Parse an answer and keep it; what it says of the moment, when it ended ok."""
        self._unread_bytes -= exchange.size()
        answer = read_answer(exchange, streaming=self._streaming, scrub=self._client.target.scrub)
        self._records.add(entry, exchange, answer)
        if answer.outcome != "ok" or exchange.end is None:
            return None
        return (exchange.end, *_latencies(exchange, answer))

    async def _land(self) -> None:
        """Wait for what is in flight: to its end, which the timeouts bound, or shortly once the run is stopped."""
        stopped: float | None = None
        control = self._control
        while control.in_flight or self._thinking:
            if control.stop is not None:
                stopped = stopped or perf_counter()
                if not control.in_flight or perf_counter() - stopped > _STOPPED_WAIT_S:
                    control.abandoned += control.in_flight
                    return
            self._landed.clear()
            try:
                async with asyncio.timeout(_LONGEST_NAP_S):
                    await self._landed.wait()
            except TimeoutError:
                continue


def _latencies(exchange: Exchange, answer: Answer) -> tuple[float | None, float | None, int]:
    """(ttft, tpot, output tokens) from when the request was due."""
    times, tokens = answer.token_times, answer.output_tokens or 0
    ttft = times[0] - exchange.due if len(times) else None
    tpot = (times[-1] - times[0]) / (tokens - 1) if len(times) > 1 and tokens > 1 else None
    return ttft, tpot, tokens
