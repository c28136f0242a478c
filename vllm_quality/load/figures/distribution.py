"""Mean and percentiles of values that may be hundreds of millions on disk: exact, in memory that does not grow with them.

Percentiles interpolate linearly between the two nearest values (numpy's default). Of many values they are selected, not
sorted: a float32's bits, read as a number, have the values' order, so that one pass counts the upper halves of the bits
and a second one the lower halves of those that a percentile falls into. Shares of workers are never averaged.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from vllm_quality.load.result import Distribution

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Values = np.ndarray[Any, Any]

SHARES = (50, 90, 95, 99)
_IN_MEMORY = 2**21  # values that may be copied and partitioned in one go
_CHUNK = 2**18
_HALF = 2**16
_NONE = Distribution(0, None, None, None, None, None, None)


def distribution(values: "pl.Series | Values") -> Distribution:
    """The distribution of values in memory, without nulls or NaN."""
    import numpy as np

    numbers = np.asarray(values, np.float64)
    if not numbers.size:
        return _NONE
    p50, p90, p95, p99 = (float(point) for point in np.percentile(numbers, SHARES))
    return Distribution(numbers.size, float(numbers.mean()), p50, p90, p95, p99, float(numbers.max()))


def gap_distribution(gaps: "Values", counts: "Values", selected: "Values") -> Distribution:
    """The distribution of the gaps of some requests.

    gaps       float32, those of each request in a row; a memory map is read in pieces, twice
    counts     how many of them each request has
    selected   for each request whether it is one of them
    """
    import numpy as np

    def chunks() -> Iterator["Values"]:
        return _selected(gaps, counts.astype(np.int64), selected)

    total = int(counts[selected].sum(dtype=np.int64))
    if total <= _IN_MEMORY:
        found = list(chunks())
        return distribution(np.concatenate(found)) if found else _NONE
    return _of_many(chunks, total)


def _selected(gaps: "Values", counts: "Values", selected: "Values") -> Iterator["Values"]:
    """The gaps of the selected requests, some hundred thousand at a time."""
    import numpy as np

    ends = np.cumsum(counts)
    # Requests that follow each other and are all selected, or all not, are one run of values.
    edges = np.flatnonzero(np.diff(selected.astype(np.int8), prepend=0, append=0))
    held: list[Values] = []
    room = _CHUNK
    for first, behind in zip(edges[::2], edges[1::2], strict=True):
        at, end = int(ends[first] - counts[first]), int(ends[behind - 1])
        while at < end:
            held.append(gaps[at : min(at + room, end)])
            at += len(held[-1])
            room -= len(held[-1])
            if not room:
                yield np.concatenate(held)
                held, room = [], _CHUNK
    if held:
        yield np.concatenate(held)


def _of_many(chunks: Callable[[], Iterator["Values"]], total: int) -> Distribution:
    import numpy as np

    upper, mean, most = np.zeros(_HALF, np.int64), 0.0, -np.inf
    for chunk in chunks():
        upper += np.bincount(_ordered(chunk) >> 16, minlength=_HALF)
        mean += float(chunk.sum(dtype=np.float64)) / total
        most = max(most, float(chunk.max()))
    places = [share / 100 * (total - 1) for share in SHARES]
    found = _at(
        chunks, upper, sorted({rank for place in places for rank in (int(place), min(int(place) + 1, total - 1))})
    )
    p50, p90, p95, p99 = (
        found[int(place)] + (found[min(int(place) + 1, total - 1)] - found[int(place)]) * (place % 1)
        for place in places
    )
    return Distribution(total, mean, p50, p90, p95, p99, most)


def _at(chunks: Callable[[], Iterator["Values"]], upper: "Values", ranks: list[int]) -> dict[int, float]:
    """The values at these ranks (0 is the smallest). upper: how many values have each upper half of the bits."""
    import numpy as np

    below = np.cumsum(upper)
    halves = np.searchsorted(below, ranks, side="right")
    wanted, slots = np.unique(halves, return_inverse=True)
    slot_of = np.full(_HALF, len(wanted), np.int64)
    slot_of[wanted] = np.arange(len(wanted))
    lower = np.zeros((len(wanted), _HALF), np.int64)
    for chunk in chunks():
        bits = _ordered(chunk)
        slot = slot_of[bits >> 16]
        inside = slot < len(wanted)
        keys = slot[inside] * _HALF + (bits[inside] & (_HALF - 1))
        lower += np.bincount(keys, minlength=lower.size).reshape(lower.shape)
    found = {}
    for rank, half, slot in zip(ranks, halves, slots, strict=True):
        rest = np.searchsorted(np.cumsum(lower[slot]), rank - (below[half] - upper[half]), side="right")
        found[rank] = float(_value(np.array([(int(half) << 16) | int(rest)], np.uint32))[0])
    return found


def _ordered(values: "Values") -> "Values":
    """The bits of float32 values as numbers in the values' order."""
    import numpy as np

    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    negative = bits >> 31 != 0
    return np.where(negative, ~bits, bits | np.uint32(2**31))


def _value(bits: "Values") -> "Values":
    """The inverse of `_ordered`."""
    import numpy as np

    negative = bits >> 31 == 0
    return np.where(negative, ~bits, bits & np.uint32(2**31 - 1)).astype(np.uint32).view(np.float32)
