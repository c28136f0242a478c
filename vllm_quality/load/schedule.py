"""When each request of a stage is due: decided before the clock starts, the same every time.

Open loop: requests leave at times of their own, however slow the server is, so that its queue shows. Closed loop: each of
a number of streams sends its next request when its last one has ended.

Random times come from `random.Random` seeded by a string, and are rounded to nanoseconds: the same on every machine.
Where a scenario plays sessions, what is due is a session; its further turns follow each other.
"""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from decimal import Decimal
from itertools import accumulate, count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from vllm_quality.load.data.traces import Arrival

StageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Rate = Annotated[float, Field(gt=0, le=100_000)]  # requests/s
Seconds = Annotated[float, Field(gt=0, le=86_400)]

MAX_REQUESTS = 10_000_000
_SMALLEST_POOL = 256
_POOL_PER_STREAM = 8


class _Load(BaseModel, ABC):
    """What every load tells. `label`: the stage's name in metric paths."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    name: StageName | None = Field(None, description="part of the metric paths; told from the load when left out")

    @property
    def label(self) -> str:
        """The stage's name in metric paths."""
        return self.name or self._told()

    @abstractmethod
    def _told(self) -> str:
        """The label of a load without a name."""


class _OpenLoop(_Load):
    @property
    def open_loop(self) -> bool:
        """Whether requests leave at times of their own."""
        return True

    @property
    def limit_s(self) -> float | None:
        """No limit: what is due is sent, however late."""
        return None

    @abstractmethod
    def due_s(self, seed: str, /) -> list[float]:
        """Seconds after the stage's start at which each request is due, ascending; at least one."""


class _Timed(_OpenLoop):
    """An open loop of a given length, which is the end of the last request's time, not of its answer."""

    duration_s: Seconds

    @property
    @abstractmethod
    def expected(self) -> float:
        """Requests due within the duration, on average."""

    def _wrong(self) -> str | None:
        """Why the values do not go together, if so."""
        return None

    @model_validator(mode="after")
    def _can_be_taped(self) -> Self:
        if (sentence := self._wrong()) is not None:
            raise ValueError(sentence)
        if self.expected > MAX_REQUESTS:
            raise ValueError(f"is {self.expected:.0f} requests, more than the {MAX_REQUESTS} that a tape may hold")
        return self


class Constant(_Timed):
    """Truly even: request i is due i / rate seconds after the start."""

    type: Literal["constant"]
    rate: Rate

    def _told(self) -> str:
        return f"rate-{_number(self.rate)}"

    @property
    def expected(self) -> float:
        """Requests due within the duration."""
        return self.rate * self.duration_s

    @property
    def requests(self) -> int:
        """How many requests are due within the duration; at least one."""
        return _whole(self.expected)

    def due_s(self, _seed: str = "", /) -> list[float]:
        """Seconds after the stage's start at which each request is due, ascending; nothing is drawn."""
        return [index / self.rate for index in range(self.requests)]


class Poisson(_Timed):
    """Exponential gaps, as from many people who know nothing of each other. The number of requests is random too."""

    type: Literal["poisson"]
    rate: Rate

    def _told(self) -> str:
        return f"poisson-{_number(self.rate)}"

    @property
    def expected(self) -> float:
        """Requests due within the duration, on average."""
        return self.rate * self.duration_s

    def due_s(self, seed: str, /) -> list[float]:
        """Seconds after the stage's start at which each request is due, ascending; at least one."""
        source = random.Random(f"{seed}/due")  # noqa: S311
        return _renewals((source.expovariate(self.rate) for _ in count()), self.duration_s)


class Gamma(_Timed):
    """Gamma gaps as `vllm bench serve --burstiness`: below 1 in bursts, 1 as Poisson, above it more even.

    The gaps' coefficient of variation is 1 / sqrt(burstiness).
    """

    type: Literal["gamma"]
    rate: Rate
    burstiness: float = Field(gt=0.01, le=10_000)

    def _told(self) -> str:
        return f"gamma-{_number(self.rate)}-b{_number(self.burstiness)}"

    @property
    def expected(self) -> float:
        """Requests due within the duration, on average."""
        return self.rate * self.duration_s

    def due_s(self, seed: str, /) -> list[float]:
        """Seconds after the stage's start at which each request is due, ascending; at least one."""
        source = random.Random(f"{seed}/due")  # noqa: S311
        scale = 1 / (self.rate * self.burstiness)
        return _renewals((source.gammavariate(self.burstiness, scale) for _ in count()), self.duration_s)


class Ramp(_Timed):
    """A rate that rises or falls from one value to another: even in cumulated rate, so request k is due when k are over.

    curve: the rate itself is linear in time, or exponential (then it starts above 0).
    """

    type: Literal["ramp"]
    from_rate: float = Field(ge=0, le=100_000)
    to_rate: float = Field(ge=0, le=100_000)
    curve: Literal["linear", "exponential"] = "linear"

    def _wrong(self) -> str | None:
        if self.from_rate == self.to_rate:
            return "has the same from_rate and to_rate; use a constant load for that"
        if self.curve == "exponential" and not min(self.from_rate, self.to_rate):
            return "is exponential and touches rate 0, which such a curve never does; use a small rate"
        return None

    def _told(self) -> str:
        return f"ramp-{_number(self.from_rate)}-{_number(self.to_rate)}"

    @property
    def expected(self) -> float:
        """Requests due within the duration: the rate's integral over it."""
        if self.curve == "linear":
            return (self.from_rate + self.to_rate) / 2 * self.duration_s
        return (self.to_rate - self.from_rate) * self.duration_s / math.log(self.to_rate / self.from_rate)

    def due_s(self, _seed: str = "", /) -> list[float]:
        """Seconds after the stage's start at which each request is due, ascending; nothing is drawn."""
        start, length = self.from_rate, self.duration_s
        if self.curve == "linear":
            slope = (self.to_rate - start) / length
            # The root of start * t + slope * t² / 2 = k, in the form that does not cancel for a small slope.
            times = (
                2 * k / (start + math.sqrt(max(0.0, start * start + 2 * slope * k))) if k else 0.0
                for k in range(_whole(self.expected))
            )
        else:
            growth = math.log(self.to_rate / start) / length
            times = (math.log1p(k * growth / start) / growth for k in range(_whole(self.expected)))
        return [round(time, 9) for time in times]


class Trace(_OpenLoop):
    """Requests at the times of a file, `speed` times as fast. The file's own token counts win over the scenario's.

    path: absolute, or relative to the scenarios file. See `data.traces` for what can be read.
    """

    type: Literal["trace"]
    path: str = Field(min_length=1)
    speed: float = Field(1.0, gt=0, le=10_000)

    def _told(self) -> str:
        return "trace" if self.speed == 1 else f"trace-x{_number(self.speed)}"

    def arrivals(self) -> "list[Arrival]":
        """The file's rows. Raises `LoadError` when it cannot be read as a trace."""
        from vllm_quality.load.data.traces import read_trace

        return read_trace(Path(self.path))

    def due_s(self, _seed: str = "", /) -> list[float]:
        """Seconds after the stage's start at which each request is due, ascending. Raises `LoadError`."""
        return self.due_of(self.arrivals())

    def due_of(self, arrivals: "list[Arrival]") -> list[float]:
        """`due_s` of a trace that has been read."""
        return [round(arrival.offset_s / self.speed, 9) for arrival in arrivals]


class Concurrency(_Load):
    """Closed loop: `streams` requests in flight until `requests` were sent or `duration_s` is over, whichever comes first.

    spread_s: the streams' first requests are spread evenly over so many seconds, since a burst of connections measures
    itself; None takes the length of one warm-up request, 0 starts all at once.
    pool: where time alone ends it, so many sessions are on the tape and are played in laps; None takes 8 per stream.
    """

    type: Literal["concurrency"]
    streams: int = Field(ge=1, le=65_536)
    requests: int | None = Field(None, ge=1, le=MAX_REQUESTS)
    duration_s: Seconds | None = None
    spread_s: float | None = Field(None, ge=0, le=3600)
    pool: int | None = Field(None, ge=1, le=MAX_REQUESTS)

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.requests is None and self.duration_s is None:
            raise ValueError("never ends; give it requests, duration_s or both")
        if self.requests is not None and self.pool is not None:
            raise ValueError("has requests, each of which is on the tape, and a pool, which is for a load without")
        return self

    def _told(self) -> str:
        return f"concurrency-{self.streams}"

    @property
    def open_loop(self) -> bool:
        """Whether requests leave at times of their own."""
        return False

    @property
    def limit_s(self) -> float | None:
        """Seconds after the stage's start from which no request is begun; None without such a limit."""
        return self.duration_s

    @property
    def in_laps(self) -> bool:
        """Whether the tape's entries start over when they are used up."""
        return self.requests is None

    @property
    def pool_size(self) -> int:
        """Sessions on the tape of a load that is played in laps."""
        return self.pool or max(_SMALLEST_POOL, _POOL_PER_STREAM * self.streams)

    @property
    def think_s(self) -> float:
        """Seconds between an answer's end and the stream's next request."""
        return 0.0

    def start_s(self, warmup_length_s: float, /) -> list[float]:
        """Seconds after the stage's start at which each stream sends its first request, ascending."""
        streams = self.streams if self.requests is None else min(self.streams, self.requests)
        spread = warmup_length_s if self.spread_s is None else self.spread_s
        return [stream * spread / streams for stream in range(streams)]


class Users(_Load):
    """Closed loop as in locust: users come one by one, `spawn_rate` a second, and each asks on until the runtime is over.

    runtime_s   counts from the first user's start; 0: until the data were used once (needs `data`)
    think_s     seconds between an answer's end and the user's next request
    pool        sessions on the tape, played in laps; None takes 8 per user
    """

    type: Literal["users"]
    users: int = Field(ge=1, le=65_536)
    spawn_rate: float = Field(1.0, gt=0, le=65_536)
    runtime_s: float = Field(ge=0, le=7 * 86_400)
    think_s: float = Field(0.0, ge=0, le=86_400)
    pool: int | None = Field(None, ge=1, le=MAX_REQUESTS)

    def _told(self) -> str:
        return f"users-{self.users}"

    @property
    def open_loop(self) -> bool:
        """Whether requests leave at times of their own."""
        return False

    @property
    def streams(self) -> int:
        """Most requests in flight."""
        return self.users

    @property
    def limit_s(self) -> float | None:
        """Seconds after the stage's start from which no request is begun; None without such a limit."""
        return self.runtime_s or None

    @property
    def in_laps(self) -> bool:
        """Whether the tape's entries start over when they are used up."""
        return self.runtime_s > 0

    @property
    def pool_size(self) -> int:
        """Sessions on the tape of a load that is played in laps."""
        return self.pool or max(_SMALLEST_POOL, _POOL_PER_STREAM * self.users)

    def start_s(self, _warmup_length_s: float = 0.0, /) -> list[float]:
        """Seconds after the stage's start at which each user comes, ascending; those who come in time."""
        times = (user / self.spawn_rate for user in range(self.users))
        return [time for time in times if self.limit_s is None or time < self.limit_s]


OpenLoop = Constant | Poisson | Gamma | Ramp | Trace
ClosedLoop = Concurrency | Users
Load = Annotated[OpenLoop | ClosedLoop, Field(discriminator="type")]


def _whole(expected: float) -> int:
    # rate x duration in floats may fall a hair below the whole number it stands for (0.7 x 10).
    return max(1, math.floor(expected + 1e-9))


def _renewals(gaps: Iterator[float], duration_s: float) -> list[float]:
    due = [round(time, 9) for time in takewhile(lambda time: time < duration_s, accumulate(gaps))]
    return due or [0.0]


def _number(value: float) -> str:
    """Six digits at most, and never an exponent, whose plus sign has no place in a metric's path."""
    return format(Decimal(f"{value:.6g}"), "f")
