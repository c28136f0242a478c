"""When each request of a stage is due: decided before the clock starts, the same every time.

Open loop: requests leave at times of their own, however slow the server is, so that its queue shows. Closed loop: each of
a number of streams sends its next request when its last one has ended.
"""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

StageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]


class _Load(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: StageName | None = Field(None, description="part of the metric paths; told from the load when left out")


class Constant(_Load):
    """Open loop, truly even: request i is due i / rate seconds after the start. rate in requests/s."""

    type: Literal["constant"]
    rate: float = Field(gt=0, le=100_000)
    duration_s: float = Field(gt=0, le=86_400)

    @property
    def label(self) -> str:
        """The stage's name in metric paths."""
        return self.name or f"rate-{self.rate:g}"

    @property
    def requests(self) -> int:
        """How many requests are due within the duration; at least one."""
        # rate x duration in floats may fall a hair below the whole number it stands for (0.7 x 10).
        return max(1, math.floor(self.rate * self.duration_s + 1e-9))

    def due_s(self) -> list[float]:
        """Seconds after the stage's start at which each request is due, ascending."""
        return [index / self.rate for index in range(self.requests)]


class Concurrency(_Load):
    """Closed loop: `streams` requests in flight until `requests` were sent.

    spread_s: the streams' first requests are spread evenly over so many seconds, since a burst of connections measures
    itself; None takes the length of one warm-up request, 0 starts all at once.
    """

    type: Literal["concurrency"]
    streams: int = Field(ge=1, le=65_536)
    requests: int = Field(ge=1, le=10_000_000)
    spread_s: float | None = Field(None, ge=0, le=3600)

    @property
    def label(self) -> str:
        """The stage's name in metric paths."""
        return self.name or f"concurrency-{self.streams}"

    def start_s(self, warmup_length_s: float) -> list[float]:
        """Seconds after the stage's start at which each stream sends its first request, ascending."""
        streams = min(self.streams, self.requests)
        spread = warmup_length_s if self.spread_s is None else self.spread_s
        return [stream * spread / streams for stream in range(streams)]


Load = Annotated[Constant | Concurrency, Field(discriminator="type")]
