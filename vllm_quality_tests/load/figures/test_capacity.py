"""The capacity search against servers whose capacity is known."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.load.figures.capacity import CapacitySearch, ProbeOutcome, ProbeSpec, probe_outcome, wilson
from vllm_quality.load.result import Capacity
from vllm_quality.load.scenario import CapacitySettings, Slo
from vllm_quality_tests.load.figures.queueing import Service, constant, even, frame, noisy, open_loop, poisson

SLO = Slo(ttft=0.3, target=0.95)


def search(spec: CapacitySettings, play: Callable[[ProbeSpec], ProbeOutcome]) -> Capacity:
    searching = CapacitySearch(spec, SLO)
    for _ in range(200):
        probe = searching.next()
        if probe is None:
            return searching.result()
        assert spec.lowest <= probe.rate <= spec.highest
        assert spec.probe_s <= probe.duration_s <= spec.longest_probe_s
        searching.take(play(probe))
    raise AssertionError("the search does not end")


def simulated(
    slots: int | None, service: Service, *, even_gaps: bool, seed: int = 0
) -> Callable[[ProbeSpec], ProbeOutcome]:
    source = random.Random(f"{slots}/{seed}")

    def play(probe: ProbeSpec) -> ProbeOutcome:
        due = constant(probe.rate, probe.duration_s) if even_gaps else poisson(probe.rate, probe.duration_s, source)
        return probe_outcome(open_loop(due, slots, service, source), SLO)

    return play


def sharp(limit: float) -> Callable[[ProbeSpec], ProbeOutcome]:
    """All good up to the limit, all bad above."""

    def play(probe: ProbeSpec) -> ProbeOutcome:
        total = math.ceil(probe.rate * probe.duration_s)
        return ProbeOutcome(total if probe.rate <= limit else 0, total, queue_grew=probe.rate > limit)

    return play


def settings(**changes: float) -> CapacitySettings:
    return CapacitySettings.model_validate({"lowest": 1, "highest": 500} | changes)


@pytest.mark.parametrize("seconds", [0.2, 1.0])
@pytest.mark.parametrize("slots", [8, 32, 64])
def test_even_arrivals_at_even_answers_are_served_up_to_all_slots(slots: int, seconds: float) -> None:
    found = search(settings(), simulated(slots, even(seconds), even_gaps=True))
    assert found.rate == pytest.approx(slots / seconds, rel=0.1)
    assert found.refused_rate is not None
    assert found.refused_rate == pytest.approx(slots / seconds, rel=0.1)


# Where 95 % wait less than a quarter of a second, from 60 000 simulated requests each.
@pytest.mark.parametrize(
    ("slots", "seconds", "truth"), [(16, 0.2, 74.9), (32, 0.2, 155.9), (32, 1.0, 27.6), (64, 1.0, 59.5)]
)
def test_random_arrivals_at_uneven_answers_are_served_up_to_where_they_wait(
    slots: int, seconds: float, truth: float
) -> None:
    for seed in range(2):
        found = search(settings(), simulated(slots, noisy(seconds), even_gaps=False, seed=seed))
        assert found.rate == pytest.approx(truth, rel=0.1)


def test_the_grid_is_as_fine_as_asked_for() -> None:
    found = search(settings(step=1.02), sharp(77))
    assert found.rate is not None
    assert found.refused_rate is not None
    assert found.rate <= 77 < found.refused_rate
    assert found.refused_rate / found.rate == pytest.approx(1.02, abs=0.003)
    assert (
        found.sentence
        == f"{found.rate:.4g} requests/s keep 0.95 of the requests within the SLO; {found.refused_rate:.4g} do not."
    )


def test_a_server_without_a_limit_is_not_reached() -> None:
    found = search(settings(highest=50), simulated(None, noisy(), even_gaps=False))
    assert (found.rate, found.refused_rate) == (50, None)
    assert found.sentence.startswith("The capacity was not reached by 50 requests/s")


def test_a_server_that_is_too_slow_for_the_lowest_rate_says_so() -> None:
    found = search(settings(lowest=10), sharp(3))
    assert (found.rate, found.refused_rate) == (None, 10)
    assert found.sentence == "Not even the lowest rate, 10 requests/s, keeps 0.95 of the requests within the SLO."
    assert len(found.probes) == 1


def test_a_queue_that_grows_refuses_though_every_request_was_good() -> None:
    def play(probe: ProbeSpec) -> ProbeOutcome:
        total = math.ceil(probe.rate * probe.duration_s)
        return ProbeOutcome(total, total, queue_grew=probe.rate > 20)

    found = search(settings(), play)
    assert found.rate is not None
    assert found.rate <= 20 < (found.refused_rate or 0)
    refused = [probe for probe in found.probes if probe.holds is False]
    assert all(probe.queue_grew and probe.goodput == 1 for probe in refused)
    # Once may be chance: each rate was tried again, longer, before it was refused.
    assert all(sum(probe.rate == other.rate for other in found.probes) == 2 for probe in refused)


def test_what_cannot_be_decided_is_tried_longer_and_then_goes_by_its_estimate() -> None:
    tried: list[ProbeSpec] = []

    def play(probe: ProbeSpec) -> ProbeOutcome:
        tried.append(probe)
        total = math.ceil(probe.rate * probe.duration_s)
        share = 0.96 if probe.rate < 6 else 0.94
        return ProbeOutcome(round(share * total), total, queue_grew=False)

    found = search(settings(lowest=4, highest=8, step=1.5), play)
    assert [probe.duration_s for probe in tried[:2]] == [10, 60]
    assert found.rate is not None
    assert found.rate < 6 < (found.refused_rate or 0)
    assert any(probe.holds is None for probe in found.probes)
    assert "within the error of the longest probe" in found.sentence


def test_the_rate_that_is_reported_was_tried_for_the_longest_time() -> None:
    lucky = {"left": 1}

    def play(probe: ProbeSpec) -> ProbeOutcome:
        total = math.ceil(probe.rate * probe.duration_s)
        if 40 < probe.rate < 60 and lucky["left"]:
            lucky["left"] -= 1
            return ProbeOutcome(total, total, queue_grew=False)
        return sharp(40)(probe)

    found = search(settings(), play)
    assert found.rate == pytest.approx(40, rel=0.06)


def test_a_search_that_was_cut_short_tells_what_it_knew() -> None:
    searching = CapacitySearch(settings(), SLO)
    assert searching.result().sentence == "No rate was decided."
    first = searching.next()
    assert first is not None
    searching.take(sharp(77)(first))
    searching.take(sharp(77)(first))
    assert searching.result().refused_rate is None


def test_requests_that_are_bad_together_say_less() -> None:
    apart = [step % 20 != 0 for step in range(400)]
    crowded = [not 200 <= step < 220 for step in range(400)]
    intervals = []
    for kept in (apart, crowded):
        ends = [(step / 10, step / 10 + (0.0 if kept[step] else 1.0), step / 10 + 1.2) for step in range(400)]
        outcome = probe_outcome(frame(ends, due=True), SLO)
        assert outcome.total == pytest.approx(400, abs=40)
        probe = CapacitySearch(settings(), SLO).take(outcome)
        intervals.append(probe.high - probe.low)
    assert intervals[1] > 2 * intervals[0]


@given(st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_holds_the_share(counts: tuple[int, int]) -> None:
    good, total = counts
    low, high = wilson(good / total, total, 0.95)
    assert 0 <= low <= good / total + 1e-12
    assert good / total - 1e-12 <= high <= 1


def test_the_interval_is_the_textbooks() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    assert wilson(81 / 263, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0.0, 20, 0.95) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(0.0, 0, 0.95) == (0, 1)


@given(st.floats(1, 600), st.floats(1.02, 3))
def test_a_sharp_limit_is_always_bracketed(limit: float, step: float) -> None:
    found = search(settings(step=step), sharp(limit))
    if limit >= 500:
        assert (found.rate, found.refused_rate) == (500, None)
    else:
        assert found.rate is not None
        assert found.refused_rate is not None
        assert found.rate <= limit * 1.00001
        assert limit < found.refused_rate
        assert found.refused_rate / found.rate <= step * 1.00001
