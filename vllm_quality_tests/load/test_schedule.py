from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from vllm_quality.load.schedule import Concurrency, Constant, Gamma, Load, Poisson, Ramp, Trace, Users

_ANY: TypeAdapter[Load] = TypeAdapter(Load)

Timed = Constant | Poisson | Gamma | Ramp

RATES = st.floats(0.01, 50)
LENGTHS = st.floats(0.1, 20)
TIMED = st.one_of(
    st.builds(Constant, type=st.just("constant"), rate=RATES, duration_s=LENGTHS),
    st.builds(Poisson, type=st.just("poisson"), rate=RATES, duration_s=LENGTHS),
    st.builds(Gamma, type=st.just("gamma"), rate=RATES, duration_s=LENGTHS, burstiness=st.floats(0.1, 10)),
    st.tuples(RATES, RATES, LENGTHS, st.sampled_from(["linear", "exponential"]))
    .filter(lambda drawn: abs(drawn[0] - drawn[1]) > 1e-6)
    .map(lambda drawn: ramp(*drawn)),
)


def ramp(from_rate: float, to_rate: float, duration_s: float, curve: str = "linear") -> Ramp:
    settings = {"from_rate": from_rate, "to_rate": to_rate, "duration_s": duration_s, "curve": curve}
    return Ramp.model_validate({"type": "ramp", **settings})


def load(**settings: Any) -> Load:
    return _ANY.validate_python(settings)


def gap_spread(due: list[float]) -> float:
    """The gaps' coefficient of variation."""
    gaps = [later - earlier for earlier, later in pairwise(due)]
    return pstdev(gaps) / mean(gaps)


@tried(deadline=None)
@given(stage=TIMED, seed=st.text(max_size=5))
def test_every_open_loop_is_ascending_within_its_duration_and_the_same_for_the_same_seed(
    stage: Timed, seed: str
) -> None:
    due = stage.due_s(seed)
    assert due
    assert due[0] >= 0
    assert all(earlier <= later for earlier, later in pairwise(due))
    assert due[-1] < stage.duration_s or len(due) == 1
    assert due == stage.due_s(seed)
    assert (stage.open_loop, stage.limit_s) == (True, None)


@tried(deadline=None)
@given(rate=RATES, duration_s=LENGTHS)
def test_constant_is_truly_even(rate: float, duration_s: float) -> None:
    stage = Constant(type="constant", rate=rate, duration_s=duration_s)
    due = stage.due_s()
    assert len(due) == stage.requests == max(1, int(rate * duration_s + 1e-9))
    # No drift: each time is told from its index, not from the one before it.
    assert all(time == index / rate for index, time in enumerate(due))


def test_aion_eks_baseline_is_300_requests_one_second_apart() -> None:
    due = Constant(type="constant", rate=1, duration_s=300).due_s()
    assert due == [float(second) for second in range(300)]


@pytest.mark.parametrize(("rate", "duration_s", "requests"), [(0.7, 10, 7), (0.1, 30, 3), (3, 0.1, 1), (200, 30, 6000)])
def test_a_product_that_floats_put_below_a_whole_number_loses_no_request(
    rate: float, duration_s: float, requests: int
) -> None:
    assert Constant(type="constant", rate=rate, duration_s=duration_s).requests == requests


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_poisson_has_its_rate_and_exponential_gaps(seed: str) -> None:
    due = Poisson(type="poisson", rate=50, duration_s=400).due_s(seed)
    assert len(due) == pytest.approx(20_000, abs=5 * 20_000**0.5)
    assert gap_spread(due) == pytest.approx(1, rel=0.05)
    assert sum(later - earlier > 2 / 50 for earlier, later in pairwise(due)) / len(due) == pytest.approx(
        0.1353, rel=0.1
    )


@pytest.mark.parametrize("burstiness", [0.25, 0.5, 1, 4, 25])
def test_gamma_has_its_rate_and_the_gaps_of_its_burstiness(burstiness: float) -> None:
    due = Gamma(type="gamma", rate=50, duration_s=400, burstiness=burstiness).due_s("1")
    assert len(due) / 400 == pytest.approx(50, rel=0.08)
    assert gap_spread(due) == pytest.approx(burstiness**-0.5, rel=0.06)


def test_another_seed_draws_other_times() -> None:
    stage = Poisson(type="poisson", rate=5, duration_s=10)
    assert stage.due_s("1") != stage.due_s("2")


def test_drawn_times_are_pinned() -> None:
    """Another machine or Python must draw them alike: a tape depends on them."""
    due = Poisson(type="poisson", rate=2, duration_s=2).due_s("7/poisson-2")
    assert due == [0.978215711, 1.207315755, 1.717750678]
    assert Gamma(type="gamma", rate=2, duration_s=2, burstiness=0.5).due_s("7/gamma") == [
        0.099986863,
        0.101041801,
        1.042395218,
        1.154124629,
    ]


@tried(deadline=None)
@given(
    from_rate=st.floats(0.01, 500),
    to_rate=st.floats(0.01, 500),
    length=LENGTHS,
    curve=st.sampled_from(["linear", "exponential"]),
)
def test_request_k_of_a_ramp_is_due_when_k_are_over(
    from_rate: float, to_rate: float, length: float, curve: str
) -> None:
    if abs(from_rate - to_rate) < 1e-3:
        return
    stage = ramp(from_rate, to_rate, length, curve)
    due = stage.due_s()
    assert len(due) == max(1, int(stage.expected + 1e-9))
    steps = 2000
    for index, time in list(enumerate(due))[:: max(1, len(due) // 5)]:
        # The integral of the rate up to the time, by the midpoint rule.
        middles = [(step + 0.5) / steps * time / length for step in range(steps)]
        if curve == "linear":
            rates = [from_rate + (to_rate - from_rate) * middle for middle in middles]
        else:
            rates = [from_rate * (to_rate / from_rate) ** middle for middle in middles]
        assert sum(rates) * time / steps == pytest.approx(index, rel=1e-3, abs=1e-3)


def test_a_ramp_may_rise_from_nothing_or_fall_to_it() -> None:
    rising, falling = ramp(0, 10, 10).due_s(), ramp(10, 0, 10).due_s()
    assert len(rising) == len(falling) == 50
    assert rising[:2] == [0, pytest.approx(2**0.5)]
    assert falling[-1] == pytest.approx(10 - 2**0.5)


def test_a_trace_is_due_as_its_file_says_at_its_speed(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n0,10,5\n1.5,20,6\n4,30,7\n", encoding="utf-8")
    stage = Trace(type="trace", path=str(path), speed=2)
    assert stage.due_s() == [0, 0.75, 2]
    assert [(arrival.input_tokens, arrival.output_tokens) for arrival in stage.arrivals()] == [
        (10, 5),
        (20, 6),
        (30, 7),
    ]


def test_closed_loop_starts_are_spread_over_one_requests_length() -> None:
    stage = Concurrency(type="concurrency", streams=4, requests=100)
    assert stage.start_s(2.0) == [0.0, 0.5, 1.0, 1.5]


def test_closed_loop_starts_can_be_a_burst_or_over_a_given_time() -> None:
    assert Concurrency(type="concurrency", streams=3, requests=9, spread_s=0).start_s(2.0) == [0, 0, 0]
    assert Concurrency(type="concurrency", streams=2, requests=9, spread_s=1).start_s(2.0) == [0, 0.5]


def test_no_more_streams_than_requests_are_started() -> None:
    assert len(Concurrency(type="concurrency", streams=8, requests=3).start_s(1.0)) == 3


def test_concurrency_is_ended_by_requests_by_time_or_by_the_first_of_them() -> None:
    by_requests = Concurrency(type="concurrency", streams=2, requests=9)
    by_time = Concurrency(type="concurrency", streams=2, duration_s=9)
    by_both = Concurrency(type="concurrency", streams=2, requests=9, duration_s=5)
    assert [stage.limit_s for stage in (by_requests, by_time, by_both)] == [None, 9, 5]
    assert [stage.in_laps for stage in (by_requests, by_time, by_both)] == [False, True, False]
    assert not by_time.open_loop


def test_what_time_ends_is_played_from_a_pool() -> None:
    assert Concurrency(type="concurrency", streams=2, duration_s=9).pool_size == 256
    assert Concurrency(type="concurrency", streams=64, duration_s=9).pool_size == 512
    assert Users(type="users", users=100, runtime_s=9).pool_size == 800
    assert Users(type="users", users=100, runtime_s=9, pool=5).pool_size == 5


def test_users_come_one_by_one_until_the_runtime_is_over() -> None:
    stage = Users(type="users", users=10, spawn_rate=2, runtime_s=3)
    assert stage.start_s() == [0, 0.5, 1, 1.5, 2, 2.5]
    assert (stage.limit_s, stage.streams, stage.in_laps) == (3, 10, True)


def test_users_without_a_runtime_use_the_data_once() -> None:
    stage = Users(type="users", users=3, spawn_rate=1, runtime_s=0)
    assert stage.start_s() == [0, 1, 2]
    assert (stage.limit_s, stage.in_laps) == (None, False)


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({"type": "constant", "rate": 2.5, "duration_s": 1}, "rate-2.5"),
        ({"type": "constant", "rate": 100_000, "duration_s": 1}, "rate-100000"),
        ({"type": "constant", "rate": 0.00001, "duration_s": 1}, "rate-0.00001"),
        ({"type": "constant", "rate": 10 / 3, "duration_s": 1}, "rate-3.33333"),
        ({"type": "constant", "rate": 1, "duration_s": 1, "name": "warm"}, "warm"),
        ({"type": "poisson", "rate": 15, "duration_s": 1}, "poisson-15"),
        ({"type": "gamma", "rate": 10, "duration_s": 1, "burstiness": 0.5}, "gamma-10-b0.5"),
        ({"type": "ramp", "from_rate": 1, "to_rate": 40, "duration_s": 1}, "ramp-1-40"),
        ({"type": "trace", "path": "x"}, "trace"),
        ({"type": "trace", "path": "x", "speed": 1.5}, "trace-x1.5"),
        ({"type": "concurrency", "streams": 64, "requests": 1}, "concurrency-64"),
        ({"type": "users", "users": 50, "runtime_s": 1}, "users-50"),
    ],
)
def test_labels_tell_the_load_unless_named(settings: dict[str, Any], label: str) -> None:
    assert load(**settings).label == label


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"type": "concurrency", "streams": 1}, "never ends; give it requests, duration_s or both"),
        ({"type": "concurrency", "streams": 1, "requests": 1, "pool": 1}, "and a pool, which is for a load without"),
        ({"type": "ramp", "from_rate": 3, "to_rate": 3, "duration_s": 1}, "use a constant load for that"),
        (
            {"type": "ramp", "from_rate": 0, "to_rate": 3, "duration_s": 1, "curve": "exponential"},
            "which such a curve never does",
        ),
        ({"type": "constant", "rate": 50_000, "duration_s": 3600}, "is 180000000 requests, more than the 10000000"),
    ],
)
def test_a_load_that_cannot_be_played_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        load(**settings)


@pytest.mark.parametrize("draw", [Constant(type="constant", rate=1, duration_s=1).due_s, ramp(1, 2, 1).due_s])
def test_what_is_not_drawn_needs_no_seed(draw: Callable[..., list[float]]) -> None:
    assert draw() == draw("1")
