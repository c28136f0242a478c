"""The curve of requests in flight, against counting them one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.load.figures.in_flight import in_flight
from vllm_quality_tests.load.figures.queueing import frame

REQUESTS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), min_size=1, max_size=30)


@given(REQUESTS)
def test_it_is_the_number_begun_and_not_ended(requests: list[tuple[int, int]]) -> None:
    curve = in_flight(frame([(begun, begun, begun + length) for begun, length in requests], due=False))
    for time in range(60):
        assert curve.at(time) == sum(begun <= time < begun + length for begun, length in requests)


@given(REQUESTS)
def test_its_mean_is_the_time_spent_in_flight(requests: list[tuple[int, int]]) -> None:
    import numpy as np

    curve = in_flight(frame([(begun, begun, begun + length) for begun, length in requests], due=False))
    assert curve.means(np.array([0.0, 60.0]))[0] * 60 == pytest.approx(sum(length for _, length in requests))


def test_busy_is_from_the_first_to_the_last_time_that_it_was_high() -> None:
    curve = in_flight(frame([(0, 0, 9), (1, 1, 5), (2, 2, 6), (6, 6, 8)], due=False))
    assert curve.busy(0.95) == (2, 5)  # all three at once
    assert curve.busy(0.6) == (1, 8)
    assert in_flight(frame([], due=False)).busy(0.95) is None
