"""Percentiles of values that are read in pieces are those of all values at once."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.load.figures import distribution as module
from vllm_quality.load.figures.distribution import distribution, gap_distribution

FLOATS = st.floats(-1e6, 1e6, width=32)


def told(values: Any) -> Any:
    return pytest.approx(
        [values.count, values.mean, values.p50, values.p90, values.p95, values.p99, values.max], rel=1e-6
    )


def listed(values: Any) -> list[float]:
    return [values.count, values.mean, values.p50, values.p90, values.p95, values.p99, values.max]


def test_of_nothing_there_is_nothing() -> None:
    import numpy as np

    assert listed(distribution(np.empty(0))) == [0, *[None] * 6]
    none = np.zeros(3, bool)
    assert gap_distribution(np.ones(6, np.float32), np.full(3, 2), none).count == 0


def test_percentiles_are_linear_between_neighbours() -> None:
    import numpy as np

    values = distribution(np.arange(1, 101) / 100)
    assert (values.p50, values.p90, values.p95, values.p99, values.max) == pytest.approx(
        (0.505, 0.901, 0.9505, 0.9901, 1)
    )
    assert values.mean == pytest.approx(0.505)


@settings(max_examples=150, deadline=None)
@given(st.lists(FLOATS, min_size=1, max_size=80), st.integers(1, 9))
def test_selection_by_bits_is_exact(values: list[float], piece: int) -> None:
    import numpy as np

    numbers = np.array(values, np.float32)
    pieces = [numbers[at : at + piece] for at in range(0, len(numbers), piece)]
    found = module._of_many(lambda: iter(pieces), len(numbers))
    exact = np.percentile(numbers.astype(np.float64), module.SHARES)
    assert [found.p50, found.p90, found.p95, found.p99] == pytest.approx(exact.tolist(), rel=1e-12, abs=1e-12)
    assert found.max == numbers.max()
    assert found.mean == pytest.approx(float(numbers.mean(dtype=np.float64)), rel=1e-9, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=30))
def test_only_the_gaps_of_the_requests_meant_are_taken(requests: list[tuple[int, bool]]) -> None:
    import numpy as np

    counts, chosen = (np.array([request[at] for request in requests], dtype) for at, dtype in ((0, int), (1, bool)))
    gaps = np.arange(counts.sum(), dtype=np.float32)
    wanted = gaps[np.repeat(chosen, counts)]
    found = gap_distribution(gaps, counts, chosen)
    assert found.count == len(wanted)
    if len(wanted):
        assert listed(found) == told(distribution(wanted))


def test_many_gaps_are_not_copied_at_once() -> None:
    import numpy as np

    gaps = np.random.default_rng(1).gamma(2, 0.01, 3_000_000).astype(np.float32)
    counts, chosen = np.full(30_000, 100), np.arange(30_000) % 3 != 0
    assert listed(gap_distribution(gaps, counts, chosen)) == told(distribution(gaps[np.repeat(chosen, counts)]))
