"""Where a suite's time went."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds by part, on the monotonic clock. A part within a part counts for itself alone."""

    def __init__(self) -> None:
        self._parts: dict[str, float] = {}
        self._within: list[float] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block's time to the part; what a part inside of it takes is taken off."""
        started = time.monotonic()
        self._within.append(0.0)
        try:
            yield
        finally:
            whole = time.monotonic() - started
            self._parts[name] = self._parts.get(name, 0.0) + whole - self._within.pop()
            if self._within:
                self._within[-1] += whole

    def seconds(self) -> dict[str, float]:
        """Each part's seconds, to the millisecond."""
        return {name: round(seconds, 3) for name, seconds in self._parts.items()}

    def slowest(self) -> str:
        """The part that took longest; "" before there is one."""
        return max(self._parts, key=self._parts.__getitem__, default="")

    def total(self) -> float:
        """Seconds of all parts."""
        return sum(self._parts.values())
