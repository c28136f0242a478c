import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.load.schedule import Concurrency, Constant


@given(rate=st.floats(0.01, 1000), duration_s=st.floats(0.1, 100))
def test_constant_is_truly_even_and_stays_inside_the_duration(rate: float, duration_s: float) -> None:
    stage = Constant(type="constant", rate=rate, duration_s=duration_s)
    due = stage.due_s()
    assert len(due) == stage.requests == max(1, int(rate * duration_s + 1e-9))
    assert due[0] == 0
    # No drift: each time is told from its index, not from the one before it.
    assert all(time == index / rate for index, time in enumerate(due))
    assert due[-1] < duration_s or len(due) == 1


def test_aion_eks_baseline_is_300_requests_one_second_apart() -> None:
    due = Constant(type="constant", rate=1, duration_s=300).due_s()
    assert due == [float(second) for second in range(300)]


@pytest.mark.parametrize(("rate", "duration_s", "requests"), [(0.7, 10, 7), (0.1, 30, 3), (3, 0.1, 1), (200, 30, 6000)])
def test_a_product_that_floats_put_below_a_whole_number_loses_no_request(
    rate: float, duration_s: float, requests: int
) -> None:
    assert Constant(type="constant", rate=rate, duration_s=duration_s).requests == requests


def test_closed_loop_starts_are_spread_over_one_requests_length() -> None:
    stage = Concurrency(type="concurrency", streams=4, requests=100)
    assert stage.start_s(2.0) == [0.0, 0.5, 1.0, 1.5]


def test_closed_loop_starts_can_be_a_burst_or_over_a_given_time() -> None:
    assert Concurrency(type="concurrency", streams=3, requests=9, spread_s=0).start_s(2.0) == [0, 0, 0]
    assert Concurrency(type="concurrency", streams=2, requests=9, spread_s=1).start_s(2.0) == [0, 0.5]


def test_no_more_streams_than_requests_are_started() -> None:
    assert len(Concurrency(type="concurrency", streams=8, requests=3).start_s(1.0)) == 3


def test_labels_tell_the_load_unless_named() -> None:
    assert Constant(type="constant", rate=2.5, duration_s=1).label == "rate-2.5"
    assert Concurrency(type="concurrency", streams=64, requests=1).label == "concurrency-64"
    assert Constant(type="constant", rate=1, duration_s=1, name="warm").label == "warm"
