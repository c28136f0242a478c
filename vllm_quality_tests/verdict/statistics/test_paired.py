"""Paired tests against independent implementations, and the properties that any of them must have."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # noqa: TID253 - the independent implementation

from vllm_quality.verdict.statistics.paired import paired

BITS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=200)
SCORES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=100)


@given(BITS)
def test_mcnemar_is_the_binomial_test_over_the_changed_items(pairs: list[tuple[int, int]]) -> None:
    found = paired([float(a) for a, _ in pairs], [float(b) for _, b in pairs])
    assert found is not None
    lost, gained = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    if lost + gained:
        assert found.p_lower == pytest.approx(
            stats.binomtest(lost, lost + gained, alternative="greater").pvalue, abs=1e-9
        )
        assert found.p_higher == pytest.approx(
            stats.binomtest(lost, lost + gained, alternative="less").pvalue, abs=1e-9
        )
    else:
        assert found.p_lower == found.p_higher == 1
    assert found.difference == pytest.approx((gained - lost) / len(pairs), abs=1e-12)
    assert found.low <= found.difference <= found.high
    assert found.low < found.high


@given(SCORES)
def test_other_scores_are_held_to_students_t(pairs: list[tuple[float, float]]) -> None:
    before, after = [a for a, _ in pairs], [b + 0.5 for _, b in pairs]  # never all of them 0 or 1
    found = paired(before, after)
    assert found is not None
    if found.stderr < 1e-6:  # scipy warns of its own rounding there
        return
    low = stats.ttest_rel(after, before, alternative="less").pvalue
    high = stats.ttest_rel(after, before, alternative="greater").pvalue
    assert found.p_lower == pytest.approx(max(low, 0.5 ** len(pairs)), abs=1e-9)
    assert found.p_higher == pytest.approx(max(high, 0.5 ** len(pairs)), abs=1e-9)
    interval = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_items_of_one_passage_are_not_counted_as_independent() -> None:
    generator = random.Random(5)
    before, after, passages = [], [], []
    for passage in range(40):
        lost = generator.random() < 0.3  # a passage is lost as a whole
        for _ in range(5):
            before.append(1.0)
            after.append(0.0 if lost else 1.0)
            passages.append(passage)
    alone, together = paired(before, after), paired(before, after, passages)
    assert alone is not None
    assert together is not None
    assert alone.difference == together.difference
    assert together.stderr / alone.stderr == pytest.approx(math.sqrt(5), rel=0.02)
    # One mean per passage is the same test.
    means = [after[5 * at] - 1.0 for at in range(40)]
    assert together.p_lower == pytest.approx(stats.ttest_1samp(means, 0, alternative="less").pvalue, abs=1e-9)


@given(BITS, st.randoms())
def test_the_order_of_the_items_changes_nothing(pairs: list[tuple[int, int]], generator: random.Random) -> None:
    shuffled = list(pairs)
    generator.shuffle(shuffled)
    found = paired([float(a) for a, _ in pairs], [float(b) for _, b in pairs])
    again = paired([float(a) for a, _ in shuffled], [float(b) for _, b in shuffled])
    assert found == again


def test_releases_that_never_differ_leave_room_for_what_was_not_asked() -> None:
    found = paired([0.5] * 100, [0.5] * 100)
    assert found is not None
    assert found.p_lower == found.p_higher == 1
    assert found.low == pytest.approx(-found.high)
    assert 0 < found.high < 0.05


def test_nothing_is_said_of_one_item_or_of_one_passage() -> None:
    assert paired([1.0], [0.0]) is None
    assert paired([1.0, 0.5], [0.0, 1.0], ["a", "a"]) is None


def test_scores_of_different_items_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        paired([1.0, 0.0], [1.0])


def test_a_few_equal_differences_are_no_certainty() -> None:
    found = paired([0.5, 0.6, 0.7], [0.0, 0.1, 0.2])
    assert found is not None
    assert found.p_lower == pytest.approx(0.125)
    same = paired([0.5] * 3, [0.5] * 3)
    assert same is not None
    assert same.noise.stderr > 0
