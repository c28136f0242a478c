"""How many requests were in flight, told from when each was sent and ended."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import numpy as np

    Values = np.ndarray[Any, Any]


@dataclass(frozen=True)
class InFlight:
    """begun, ended: seconds from the stage's start, each sorted: the curve steps up at one and down at the other."""

    begun: "Values"
    ended: "Values"

    def at(self, times_s: "Values | float") -> "Values":
        """Requests in flight at each time, those that begin just then included."""
        import numpy as np

        begun, ended = (np.searchsorted(steps, times_s, side="right") for steps in (self.begun, self.ended))
        return np.asarray(begun - ended)

    def means(self, edges_s: "Values") -> "Values":
        """The mean over time between each edge and the next one."""
        import numpy as np

        area = _area(self.begun, edges_s) - _area(self.ended, edges_s)
        return np.maximum(0.0, np.diff(area) / np.diff(edges_s))

    def busy(self, share: float) -> tuple[float, float] | None:
        """First and last moment with at least this share of the most that were ever in flight; None without requests."""
        import numpy as np

        if not self.begun.size:
            return None
        times = np.unique(np.concatenate([self.begun, self.ended]))
        levels = self.at(times)
        high = np.flatnonzero(levels >= share * levels.max())
        # A level holds until the next step.
        return float(times[high[0]]), float(times[min(high[-1] + 1, len(times) - 1)])


def in_flight(frame: pl.DataFrame) -> InFlight:
    """The curve of a stage's requests, failed ones included; of those that were never sent, from when they were taken up."""
    begun = frame.select(pl.coalesce("sent_s", "dispatched_s")).to_series()
    return InFlight(begun.sort().to_numpy(), frame["end_s"].sort().to_numpy())


def _area(steps: "Values", until_s: "Values") -> "Values":
    """What one step up at each of the (sorted) times adds to the area under a curve until each of the others."""
    import numpy as np

    before = np.searchsorted(steps, until_s)
    return np.asarray(before * until_s - np.concatenate([[0.0], np.cumsum(steps)])[before])
