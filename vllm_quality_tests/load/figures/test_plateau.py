"""Plateaus of simulated servers, whose capacity is known: so many slots of one second each."""

import random

import polars as pl
import pytest

from vllm_quality.load.figures.plateau import LoadPoint, Over, find_plateau, load_point, stop_here
from vllm_quality_tests.load.figures.queueing import (
    TOKENS,
    Service,
    closed_loop,
    constant,
    even,
    exponential,
    noisy,
    open_loop,
    poisson,
)

STREAMS = [2**power for power in range(9)]
SERVICES = [even(), noisy(spread=0.1), noisy(spread=0.3)]


def of_streams(slots: int | None, service: Service, seed: int, streams: list[int] = STREAMS) -> list[LoadPoint]:
    """A ladder over concurrency, four rounds of requests each."""
    source = random.Random(f"{slots}/{seed}")
    stages = ((count, closed_loop(count, slots, service, source, requests=max(32, 4 * count))) for count in streams)
    return [load_point(count, rows, open_loop=False) for count, rows in stages]


def of_rates(slots: int | None, rates: list[float], service: Service, seed: int, *, even_gaps: bool) -> list[LoadPoint]:
    """A ladder over rates, 20 s each."""
    source = random.Random(f"{slots}/{seed}")
    points = []
    for rate in rates:
        arrivals = constant(rate, 20) if even_gaps else poisson(rate, 20, source)
        points.append(load_point(rate, open_loop(arrivals, slots, service, source), open_loop=True))
    return points


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("slots", [7, 16, 27, 32, 45, 64, 90])
def test_over_concurrency_it_is_found_within_ten_per_cent(slots: int, service: Service) -> None:
    plateau = find_plateau(of_streams(slots, service, 0), "concurrency")
    assert plateau.reached
    assert plateau.requests_per_s == pytest.approx(slots, rel=0.1)
    assert plateau.output_tokens_per_s == pytest.approx(slots * TOKENS, rel=0.1)
    assert plateau.knee == pytest.approx(slots, rel=0.1)
    assert plateau.highest_load == 256
    assert plateau.sentence.startswith("Saturated from about")


@pytest.mark.parametrize("seed", range(4))
def test_very_uneven_answers_still_give_its_height(seed: int) -> None:
    plateau = find_plateau(of_streams(32, exponential(), seed), "concurrency")
    assert plateau.reached
    assert plateau.requests_per_s == pytest.approx(32, rel=0.1)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("slots", [None, 256, 400])
def test_a_server_that_keeps_up_is_not_saturated(slots: int | None, service: Service) -> None:
    for seed in range(2):
        plateau = find_plateau(of_streams(slots, service, seed), "concurrency")
        assert (plateau.reached, plateau.knee) == (False, None)
        assert plateau.requests_per_s == pytest.approx(256, rel=0.1)
        assert plateau.sentence.startswith("Saturation was not reached by 256 streams")


def test_a_ladder_that_ends_at_the_bend_has_not_shown_it() -> None:
    assert not find_plateau(of_streams(32, even(), 0, [1, 2, 4, 8, 16, 32]), "concurrency").reached
    assert not find_plateau(of_streams(45, even(), 0, [1, 2, 4, 8, 16, 32, 64]), "concurrency").reached


@pytest.mark.parametrize("even_gaps", [True, False])
@pytest.mark.parametrize("slots", [8, 32, 100])
def test_over_rates_it_is_what_is_served_however_much_is_offered(slots: int, even_gaps: bool) -> None:
    shares = (0.1, 0.3, 0.6, 0.8, 1.25, 1.6, 2.0)
    points = of_rates(slots, [slots * share for share in shares], noisy(), 0, even_gaps=even_gaps)
    plateau = find_plateau(points, "rate")
    assert plateau.reached
    assert plateau.requests_per_s == pytest.approx(slots, rel=0.1)
    assert plateau.knee == pytest.approx(slots, rel=0.1)
    below = find_plateau(points[:4], "rate")
    assert not below.reached
    assert below.sentence.startswith(f"Saturation was not reached by {0.8 * slots:.3g} requests/s")


def test_rates_without_a_limit_are_not_saturated() -> None:
    for seed in range(3):
        points = of_rates(None, [1.0, 4, 16, 64, 200], noisy(), seed, even_gaps=False)
        assert not find_plateau(points, "rate").reached


def test_a_batch_that_slows_down_as_it_grows_has_its_plateau_where_it_stops_rising() -> None:
    """Throughput n / (0.4 + 0.6 n / 48) up to 48 at once: streams hinder each other long before they wait."""
    served = [(n, min(n, 48) / (0.4 + 0.6 * min(n, 48) / 48)) for n in (1, 2, 4, 8, 16, 32, 64, 128, 256)]
    plateau = find_plateau([LoadPoint(n, rate, rate, rate * 20, n, 60) for n, rate in served], "concurrency")
    assert plateau.reached
    assert plateau.requests_per_s == pytest.approx(48, rel=0.1)
    assert plateau.knee is not None
    assert 32 < plateau.knee < 64


def test_a_server_that_gets_slower_beyond_saturation_has_the_level_it_held() -> None:
    served = [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (32, 32), (64, 32), (128, 31), (256, 20)]
    plateau = find_plateau([LoadPoint(n, rate, rate, rate * 20, n, 60) for n, rate in served], "concurrency")
    assert plateau.requests_per_s == pytest.approx(32, rel=0.05)
    assert "It falls to 20 requests/s at 256 streams." in plateau.sentence


@pytest.mark.parametrize("over", ["concurrency", "rate"])
def test_one_stage_shows_no_plateau(over: Over) -> None:
    assert not find_plateau([LoadPoint(4, 4, 4, 80, 4, 10)], over).reached
    assert not find_plateau([LoadPoint(4, 0, 0, 0, 0, 0)], over).reached
    with pytest.raises(ValueError, match="at least one stage"):
        find_plateau([], over)


def test_the_ladder_ends_once_the_plateau_is_plain() -> None:
    points = of_streams(20, even(), 0)
    stops = [stop_here(points[:count], "concurrency") for count in range(len(points) + 1)]
    assert not any(stops[:6])  # 1 … 16 show nothing
    assert stops[7]  # 32 and 64 do


def test_a_stage_in_which_nothing_succeeded_is_no_throughput() -> None:
    rows = closed_loop(4, None, even(), random.Random(0), requests=20).with_columns(outcome=pl.lit("stalled"))
    assert load_point(4, rows, open_loop=False).requests_per_s == 0
    empty = load_point(4, rows.clear(), open_loop=False)
    assert (empty.requests_per_s, empty.length_s) == (0, 0)
