"""How long prompts and answers are: one length for all, or drawn from a distribution, the same for the same seed."""

import random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

MAX_TOKENS = 1_000_000


class Spread(BaseModel):
    """Lengths in tokens, normal with this mean and standard deviation, clipped to [min, max], rounded: as inference-perf."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean: float = Field(ge=1, le=MAX_TOKENS)
    std: float = Field(ge=0, le=MAX_TOKENS)
    min: int = Field(ge=1, le=MAX_TOKENS)
    max: int = Field(ge=1, le=MAX_TOKENS)

    @model_validator(mode="after")
    def _in_order(self) -> "Spread":
        if not self.min <= self.mean <= self.max:
            raise ValueError(f"has a mean of {self.mean:g} that is not between min {self.min} and max {self.max}")
        return self


def _kind(value: object) -> str:
    return "spread" if isinstance(value, dict | Spread) else "number"


# Told apart before they are read, so that a mistake in a distribution is not reported as "not a number".
Lengths = Annotated[
    Annotated[int, Field(ge=1, le=MAX_TOKENS), Tag("number")] | Annotated[Spread, Tag("spread")], Discriminator(_kind)
]


def shortest(lengths: Lengths) -> int:
    """No drawn length is below it."""
    return lengths if isinstance(lengths, int) else lengths.min


def longest(lengths: Lengths) -> int:
    """No drawn length is above it."""
    return lengths if isinstance(lengths, int) else lengths.max


def draw_lengths(lengths: Lengths, count: int, seed: str) -> list[int]:
    """`count` lengths in tokens. The one at a position depends on the seed and the position, not on the count."""
    if isinstance(lengths, int):
        return [lengths] * count
    source = random.Random(f"{seed}/lengths")  # noqa: S311
    drawn = (source.gauss(lengths.mean, lengths.std) for _ in range(count))
    return [round(min(max(length, lengths.min), lengths.max)) for length in drawn]
