"""The same tape played to two releases: is the later one slower, beyond what two runs of one release differ by?

Everything is on the logarithm's scale: a percentile's error grows with it, and limits are relative. Within a run the error of
a percentile comes from resampling blocks of neighbouring requests, which queue behind each other; the same blocks of every
run, since request i is the same request in all of them. Between runs a machine has good and bad days, which move all of a
release's figures: how much is learnt from the runs of the window, and shared among the figures.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from vllm_quality.verdict.statistics.dispersion import Dispersion
from vllm_quality.verdict.statistics.effect import CONFIDENCE, Effect, Noise

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_DAY = 0.03  # before any repetition was seen, runs of one release are taken to differ by 3 % from day to day
_PRIOR = 5.0  # degrees of freedom that this is worth
_RESAMPLES = 400
_MOST_VALUES = 4_000_000  # of one resampled matrix
_LEAST = 0.005  # no latency is known better than to half a percent
_NOMINAL = 0.03  # the scatter of a figure that has no requests behind it, such as a throughput
_FEWEST = 20  # requests


@dataclass(frozen=True)
class Runs:
    """One figure of a window of runs and of the release, ready to be compared.

    window, current  its values, of runs (the newest last) and of the release
    within           variance of log(current / mean of the window) that requests explain where the release is as the window is
    spread           the same as this release's own requests have it, for the interval; a stall makes its percentiles unsure, and
                     that must not hide it
    scatter          that of one run about the window's mean
    n                requests behind it, or runs
    """

    window: tuple[float, ...]
    current: float
    within: float
    spread: float
    scatter: float
    n: int

    @property
    def freedom(self) -> int:
        """Degrees of freedom of what the window's runs show of their own scatter."""
        return len(self.window) - 1

    @property
    def seen(self) -> float:
        """The variance of one run that the window shows; 0 where it has only one."""
        import numpy as np

        return float(np.log(self.window).var(ddof=1)) if self.freedom else 0.0


def of_requests(window: "Sequence[Floats]", current: "Floats", share: float | None, seed: int = 1) -> Runs | None:
    """A percentile (share 0.99) or the mean (None) of one clock, over requests of one tape; None where too few have it.

    window, current  for each request of the tape, in its order, the clock's value; NaN where it has none
    """
    import numpy as np

    runs = np.vstack([*window, current])
    least = _FEWEST if share is None else max(_FEWEST, math.ceil(1 / max(1 - share, 1e-6)))
    if (np.isfinite(runs).sum(axis=1) < least).any():
        return None
    values = _statistic(runs, share)
    if (values <= 0).any():
        return None
    drawn = runs[:, _blocks(runs.shape[1], len(runs), seed)]
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(_statistic(drawn, share))
    logs = logs[:, np.isfinite(logs).all(axis=0)]
    spread = logs[-1] - logs[:-1].mean(axis=0)
    own = logs[:-1] - logs[:-1].mean(axis=0)
    count = len(window)
    alone = float(own.var(axis=1, ddof=1).mean()) * count / (count - 1) if count > 1 else float(spread.var(ddof=1)) / 2
    alone = max(alone, _LEAST**2)
    return Runs(
        tuple(values[:-1].tolist()),
        float(values[-1]),
        alone * (1 + 1 / count),
        max(float(spread.var(ddof=1)), _LEAST**2 * (1 + 1 / count)),
        alone,
        int(np.isfinite(current).sum()),
    )


def of_figures(window: Sequence[float], current: float) -> Runs | None:
    """A figure without requests of its own, such as a throughput or a capacity; None where one of them is not positive."""
    if not window or min(*window, current, math.inf) <= 0:
        return None
    within = _NOMINAL**2 * (1 + 1 / len(window))
    return Runs(tuple(window), current, within, within, _NOMINAL**2, len(window) + 1)


def dispersions(figures: Mapping[str, Runs]) -> dict[str, Dispersion]:
    """How much more runs scatter than their requests explain (phi), for each figure of a release.

    A day moves all figures of a run alike, so what they show of it together is worth no more than one of them.
    """
    freedom = max((runs.freedom for runs in figures.values()), default=0)
    days = [max(0.0, runs.seen - runs.scatter) for runs in figures.values() if runs.freedom]
    day = (_PRIOR * _DAY**2 + freedom * (median(days) if days else 0.0)) / (_PRIOR + freedom)
    found = {}
    for name, runs in figures.items():
        total = (_PRIOR * (runs.scatter + day) + runs.freedom * runs.seen) / (_PRIOR + runs.freedom)
        found[name] = Dispersion(max(1.0, total / runs.scatter), _PRIOR + runs.freedom)
    return found


def compare_runs(runs: Runs, dispersion: Dispersion) -> Effect:
    """The relative change of a figure from the geometric mean of the window's runs; `dispersion` as `dispersions` has it."""
    import numpy as np
    from scipy.special import stdtr, stdtrit

    before = float(np.exp(np.log(runs.window).mean()))
    change = math.log(runs.current / before)
    stderr = math.sqrt(runs.within * dispersion.phi)
    half = float(stdtrit(dispersion.freedom, 0.5 + CONFIDENCE / 2)) * math.sqrt(runs.spread * dispersion.phi)
    return Effect(
        n=runs.n,
        baseline=before,
        current=runs.current,
        difference=math.expm1(change),
        stderr=stderr,
        low=math.expm1(change - half),
        high=math.expm1(change + half),
        p_lower=float(stdtr(dispersion.freedom, change / stderr)),
        p_higher=float(stdtr(dispersion.freedom, -change / stderr)),
        noise=Noise(stderr * float(stdtrit(dispersion.freedom, 0.99)) / 2.3263, runs.n),
        method=f"same tape, {len(runs.window)} run{'s' if len(runs.window) > 1 else ''} before, phi {dispersion.phi:.2g}",
    )


def _statistic(values: "Floats", share: float | None) -> "Floats":
    """Along the last axis, without the NaN."""
    import numpy as np

    count = np.isfinite(values).sum(axis=-1)
    if share is None:
        return np.asarray(np.nansum(values, axis=-1) / count, dtype=float)
    ordered = np.sort(values, axis=-1)  # NaN goes to the end
    place = share * (count - 1)
    below = np.floor(place).astype(int)
    low = np.take_along_axis(ordered, below[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(ordered, np.minimum(below + 1, count - 1)[..., None], axis=-1)[..., 0]
    return np.asarray(low + (place - below) * (high - low), dtype=float)


def _blocks(requests: int, runs: int, seed: int) -> "NDArray[np.int64]":
    """Request indices, one row per resample: blocks of about the square root of the requests, always the same."""
    import numpy as np

    generator = np.random.default_rng(seed)
    length = max(1, math.isqrt(requests))
    count = math.ceil(requests / length)
    resamples = max(50, min(_RESAMPLES, _MOST_VALUES // max(1, requests * runs)))
    starts = generator.integers(0, requests, size=(resamples, count))
    return ((starts[:, :, None] + np.arange(length)).reshape(resamples, -1)[:, :requests] % requests).astype(np.int64)
