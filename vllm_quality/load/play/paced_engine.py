"""When each stream of the known-timing server is served: slots, due times, and what happened when."""

import asyncio
import math
import random
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from time import perf_counter
from typing import Protocol


@dataclass(frozen=True)
class Pace:
    """The server's timing. Times are seconds.

    ttft              from a request's last byte, or from its getting a slot, to the first token
    itl               from one token to the next; 0 sends as fast as it can
    capacity          streams served at a time, the others wait in order; 0: no bound
    jitter            sigma of the lognormal factor (median 1) on each request's ttft
    tokens_per_chunk  tokens that each event brings; events are itl times as many seconds apart
    """

    ttft: float = 0.05
    itl: float = 0.01
    capacity: int = 0
    jitter: float = 0.0
    tokens_per_chunk: int = 1
    seed: int = 0


class Job(Protocol):
    """Something that is done in steps, each at a time of its own. done: tokens brought so far."""

    done: int

    def begin(self, ttft: float) -> None:
        """A slot is free: take the first step `ttft` seconds from now."""

    def step(self, due: float) -> float | None:
        """Take the step that was due; return when the next one is, None when there is none."""


@dataclass
class Histogram:
    """Counts of values at or below each bound, as Prometheus has it."""

    bounds: tuple[float, ...]
    sum: float = 0.0
    counts: list[int] = field(default_factory=list)

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value."""
        self.counts = self.counts or [0] * (len(self.bounds) + 1)
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times


# vLLM's own buckets.
_TTFT_BOUNDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
    640.0, 2560.0,
)  # fmt: skip
_ITL_BOUNDS = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
_REQUEST_BOUNDS = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip


class Truth:
    """What the server did: one row per request that it served to its end, and vLLM's histograms over them."""

    def __init__(self) -> None:
        self.id, self.tokens = array("L"), array("L")
        self.received_s, self.first_s, self.last_s = array("d"), array("d"), array("d")
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.histograms = {
            "time_to_first_token_seconds": Histogram(_TTFT_BOUNDS),
            "inter_token_latency_seconds": Histogram(_ITL_BOUNDS),
            "e2e_request_latency_seconds": Histogram(_REQUEST_BOUNDS),
            "request_queue_time_seconds": Histogram(_REQUEST_BOUNDS),
        }

    def add(
        self, number: int, received: float, queued: float, first: float, last: float, prompt: int, tokens: int
    ) -> None:
        """Keep a request. queued: seconds it waited for a slot."""
        self.id.append(number)
        self.tokens.append(tokens)
        for column, value in ((self.received_s, received), (self.first_s, first), (self.last_s, last)):
            column.append(value)
        self.prompt_tokens += prompt
        self.generation_tokens += tokens
        self.histograms["time_to_first_token_seconds"].observe(first - received)
        self.histograms["e2e_request_latency_seconds"].observe(last - received)
        self.histograms["request_queue_time_seconds"].observe(queued)
        if tokens > 1:
            # The mean of the request's own, as often as there are: stamping each token would cost more than sending it.
            self.histograms["inter_token_latency_seconds"].observe((last - first) / (tokens - 1), tokens - 1)

    def columns(self) -> dict[str, list[float]]:
        """The rows, column by column, in the order of their ends."""
        return {name: list(getattr(self, name)) for name in ("id", "received_s", "first_s", "last_s", "tokens")}


class Engine:
    """Gives jobs their slots, and their steps at their times.

    One timer for all: a step is taken at its due time or up to a timer tick (1 ms) after it, never before, and the next
    one is due on the clock, not after the last one, so that nothing drifts.
    """

    def __init__(self, pace: Pace, loop: asyncio.AbstractEventLoop) -> None:
        self.pace, self.truth = pace, Truth()
        self.running: set[Job] = set()
        self._loop = loop
        self._random = random.Random(pace.seed)  # noqa: S311 - not for secrets
        self._waiting: deque[Job] = deque()
        self._steps: list[tuple[float, int, Callable[[float], float | None]]] = []
        self._number = self._submitted = 0
        self._timer: asyncio.Handle | None = None
        self._timer_due = math.inf

    @property
    def waiting(self) -> int:
        """Jobs without a slot."""
        return len(self._waiting)

    def submit(self, job: Job) -> int:
        """Begin a job, now or when those before it leave a slot; its number, from 0."""
        number, self._submitted = self._submitted, self._submitted + 1
        self._waiting.append(job)
        self._admit()
        return number

    def release(self, job: Job) -> None:
        """A job is over or given up: it waits no longer, and its slot is free."""
        if job in self.running:
            self.running.remove(job)
            self._admit()
        elif job in self._waiting:
            self._waiting.remove(job)

    def generation_tokens(self) -> int:
        """Tokens brought so far, those of unfinished answers too."""
        return self.truth.generation_tokens + sum(job.done for job in self.running)

    def at(self, due: float, step: Callable[[float], float | None]) -> None:
        """Take a step at a time of `perf_counter`, and those that it asks for."""
        self._number += 1
        heappush(self._steps, (due, self._number, step))
        if due < self._timer_due:
            self._arm()

    def _admit(self) -> None:
        capacity = self.pace.capacity
        while self._waiting and not (capacity and len(self.running) >= capacity):
            job = self._waiting.popleft()
            self.running.add(job)
            jitter = self.pace.jitter
            job.begin(self.pace.ttft * (self._random.lognormvariate(0, jitter) if jitter else 1.0))

    def _tick(self) -> None:
        now = perf_counter()
        steps = self._steps
        self._timer_due = -math.inf  # what is added meanwhile is armed for below
        while steps and steps[0][0] <= now:
            due, number, step = heappop(steps)
            following = step(due)
            if following is not None:
                # Without pauses a stream has one step per tick, so that the others, and reads, get their turn.
                heappush(steps, (following if following > due else now + 1e-9, number, step))
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._steps:
            self._timer, self._timer_due = None, math.inf
            return
        self._timer_due = self._steps[0][0]
        wait = self._timer_due - perf_counter()
        # uvloop's timers round to milliseconds: rounded up, no step is taken early.
        self._timer = (
            self._loop.call_soon(self._tick)
            if wait <= 0
            else self._loop.call_later(math.ceil(wait * 1000) / 1000, self._tick)
        )
