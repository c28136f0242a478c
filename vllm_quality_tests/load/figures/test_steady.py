"""The steady window: neither coming up nor draining, and only where the load was carried."""

import random

import polars as pl
import pytest

from vllm_quality.load.figures.steady import busy_window, queue_growth, steady_window
from vllm_quality_tests.load.figures.queueing import closed_loop, constant, even, frame, noisy, open_loop, poisson


def source(seed: int = 0) -> random.Random:
    return random.Random(seed)


def test_a_closed_loop_is_steady_while_its_streams_are_busy() -> None:
    # 20 streams come over a second; each request takes 1 s, and 200 of them make ten rounds.
    window, reason = steady_window(closed_loop(20, None, even(), source(), requests=200), open_loop=False)
    assert reason is None
    assert window == pytest.approx((0.9, 10.05), abs=0.1)


def test_one_stream_is_busy_all_along() -> None:
    window, _ = steady_window(closed_loop(1, None, even(), source(), requests=20), open_loop=False)
    assert window == pytest.approx((0, 20), abs=0.1)


def test_a_straggler_is_not_part_of_it() -> None:
    rows = [(step / 10, step / 10, step / 10 + 1) for step in range(100)]
    window, _ = steady_window(frame([*rows, (5.0, 5.0, 60.0)], due=False), open_loop=False)
    assert window is not None
    assert window[1] < 11


def test_an_open_loop_is_steady_from_when_the_first_have_ended_to_the_last_due_time() -> None:
    window, reason = steady_window(open_loop(constant(10, 20), 32, even(), source()), open_loop=True)
    assert reason is None
    assert window == pytest.approx((1.7, 19.9), abs=0.3)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_random_arrivals_that_are_served_are_steady(seed: int, load: float) -> None:
    arrivals = poisson(32 * load, 30, source(seed))
    window, reason = steady_window(open_loop(arrivals, 32, noisy(), source(seed)), open_loop=True)
    assert (reason, window is None) == (None, False)


@pytest.mark.parametrize("seed", range(5))
def test_a_growing_queue_is_not_steady(seed: int) -> None:
    rows = open_loop(poisson(32 * 1.3, 30, source(seed)), 32, noisy(), source(seed))
    window, reason = steady_window(rows, open_loop=True)
    assert window is None
    assert reason is not None
    assert reason.startswith("the queue grew, from about")
    growth = queue_growth(rows)
    assert growth is not None
    # A third of 32 requests/s piles up for half a minute.
    assert growth.rose == pytest.approx(0.3 * 32 * 28, rel=0.4)
    # Its busy window is known all the same.
    assert busy_window(rows, open_loop=True) is not None


def test_a_load_that_rises_is_not_steady() -> None:
    arrivals = [(step / 200) ** 0.5 * 20 for step in range(200)]
    window, reason = steady_window(open_loop(arrivals, None, even(0.5), source()), open_loop=True)
    assert window is None
    assert reason is not None
    assert reason.startswith("the load itself rose")


def test_ttft_that_rises_is_not_steady() -> None:
    rows = open_loop(constant(10, 20), None, even(0.8), source())
    slower = rows.with_columns(first_token_s=pl.col("first_token_s") + pl.col("due_s") / 50)
    window, reason = steady_window(slower, open_loop=True)
    assert window is None
    assert reason is not None
    assert reason.startswith("TTFT rose")


@pytest.mark.parametrize(
    ("rows", "is_open", "said"),
    [
        (frame([], due=True), True, "over before its load was on in full"),
        (frame([], due=False), False, "over before its load was on in full"),
        (frame([(0, 0, 1), (1, 1, 2)], due=True), True, "over before its load was on in full"),
        (open_loop(constant(1, 12), None, even(), source()), True, "requests began while the load was on in full"),
        (closed_loop(50, None, even(), source(), requests=60), False, "less than twice the 1 s that a request took"),
    ],
)
def test_what_was_too_short_says_so(rows: pl.DataFrame, is_open: bool, said: str) -> None:
    window, reason = steady_window(rows, open_loop=is_open)
    assert window is None
    assert reason is not None
    assert said in reason
