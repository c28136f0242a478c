"""From effects to verdicts: Holm's correction, power, and what simulated releases are called."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.verdict.statistics.decide import Rule, Trial, decide
from vllm_quality.verdict.statistics.effect import Noise
from vllm_quality.verdict.statistics.family import holm
from vllm_quality.verdict.statistics.paired import paired
from vllm_quality.verdict.statistics.power import detectable, items_needed
from vllm_quality_tests.benchmarks.verdict import FAMILY, Suite, churned, decay, loss, rate, same

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(P_VALUES)
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    """A hypothesis falls when every set of hypotheses that holds it falls by Bonferroni."""
    everyone = range(len(p_values))
    for at, adjusted in enumerate(holm(p_values)):
        sets = (
            chosen
            for size in range(1, len(p_values) + 1)
            for chosen in itertools.combinations(everyone, size)
            if at in chosen
        )
        closed = max(len(chosen) * min(p_values[each] for each in chosen) for chosen in sets)
        assert adjusted == pytest.approx(min(1.0, closed))


def test_no_tests_are_no_family() -> None:
    assert holm([]) == []
    assert decide([]) == []


# facts of arXiv 2605.28873's formula: discordant share, one-sided alpha -> points, at 1,000 items and 95 % power
@pytest.mark.parametrize(
    ("share", "alpha", "points"),
    [(0.02, 0.05, 1.5), (0.05, 0.01, 2.8), (0.10, 0.01, 4.0), (0.10, 0.001, 4.7), (0.20, 0.001, 6.7)],
)
def test_the_smallest_detectable_loss_of_right_or_wrong_items(share: float, alpha: float, points: float) -> None:
    noise = Noise((share / 1000) ** 0.5, 1000, share)
    assert 100 * detectable(noise, alpha) == pytest.approx(points, abs=0.06)


def test_a_detectable_loss_is_detected_nineteen_times_of_twenty() -> None:
    generator, n, flips = random.Random(2), 1500, 0.03
    noise = Noise((2 * flips / n) ** 0.5, n, 2 * flips)
    mde, found = detectable(noise, 0.01), 0
    for _ in range(400):
        before = [float(generator.random() < 0.5) for _ in range(n)]
        down, up = flips + mde / 2, flips - mde / 2  # of all items, so twice that of the right and of the wrong ones
        after = [1 - score if generator.random() < 2 * (down if score else up) else score for score in before]
        effect = paired(before, after)
        assert effect is not None
        found += effect.p_lower <= 0.01
    assert 0.90 <= found / 400 <= 0.985


def test_the_items_that_are_asked_for_make_the_loss_detectable() -> None:
    noise = Noise((0.05 / 200) ** 0.5, 200, 0.05)
    needed = items_needed(noise, 0.01, 0.02)
    assert needed == pytest.approx(1965, abs=5)
    assert detectable(Noise((0.05 / needed) ** 0.5, needed, 0.05), 0.01) <= 0.02 + 1e-9
    spread = Noise(0.02, 100)
    needed = items_needed(spread, 0.01, 0.01)
    assert detectable(Noise(0.02 * (100 / needed) ** 0.5, needed), 0.01) <= 0.01


def test_equal_releases_and_losses_are_told_apart() -> None:
    alarms, rule = rate(FAMILY, same, 150)
    assert alarms <= 0.03
    assert rule > 0.2
    assert rate((Suite(),), loss(0.03), 150)[0] >= 0.95
    assert rate((Suite(),), loss(0.03), 150)[1] == 0


def test_runs_that_shift_together_and_changed_arithmetic_are_no_alarm() -> None:
    assert rate(FAMILY, same, 100, shift=0.05)[0] <= 0.04
    assert rate(FAMILY, churned(0.02), 100)[0] <= 0.04


def test_a_slow_loss_is_seen_by_the_tenth_release() -> None:
    flagged, found = decay(20)
    assert found == len(flagged)


def test_a_lower_latency_is_better() -> None:
    effect = paired([1.0 + at / 100 for at in range(100)], [0.9 + at / 100 + at % 7 / 1000 for at in range(100)])
    assert effect is not None
    (lower,) = decide([Trial("load/a/b/ttft_p50_s", effect, higher_is_better=False)])
    (higher,) = decide([Trial("score", effect, higher_is_better=True)])
    assert (lower.verdict, higher.verdict) == ("better", "worse")


@pytest.mark.parametrize("wrong", [{"alpha": 0}, {"alpha": 0.5}, {"matters": 0}, {"budget": 0.02}, {"budget": -1}])
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="alpha must lie"):
        Rule(**wrong)
