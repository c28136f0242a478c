"""Standard errors: the closed forms, the bootstrap against them, and clusters."""

import math
import random
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.eval.standard_errors import bootstrap_stderr, mean_stderr, weighted_stderr

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=60)


@given(SCORES)
def test_the_error_of_a_mean_is_the_ordinary_one_where_every_item_stands_alone(values: list[float]) -> None:
    wanted = stdev(values) / math.sqrt(len(values))
    assert mean_stderr(values, range(len(values))) == pytest.approx(wanted, abs=1e-9)


def test_items_that_share_a_passage_count_together() -> None:
    values, passages = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0], ["a", "a", "b", "b", "c", "c"]
    # Deviations from .5 sum to 1, -1 and 0 by passage: sqrt(3 / 2 * 2) / 6.
    assert mean_stderr(values, passages) == pytest.approx(math.sqrt(3) / 6)
    alone = mean_stderr(values, range(6))
    assert alone is not None
    assert mean_stderr(values * 2, [*range(6), *range(6)]) > mean_stderr(values * 2, range(12))  # type: ignore[operator]


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 0.0]])
def test_fewer_than_two_clusters_have_no_error(values: list[float]) -> None:
    clusters = ["same"] * len(values)
    assert mean_stderr(values, clusters) is None
    assert bootstrap_stderr(fmean, values, clusters) is None


def test_the_bootstrap_finds_what_the_closed_form_says_and_the_same_each_time() -> None:
    draw = random.Random(7)
    values = [draw.random() for _ in range(300)]
    clusters = [number // 3 for number in range(300)]
    for groups in (range(300), clusters):
        found = bootstrap_stderr(fmean, values, groups)
        assert found == pytest.approx(mean_stderr(values, groups), rel=0.15)
        assert found == bootstrap_stderr(fmean, values, groups)


def test_samples_without_a_value_are_passed_over_unless_they_are_most() -> None:
    assert bootstrap_stderr(lambda sample: 1 / (sum(sample) - 3), [1, 0, 1, 0, 1], range(5)) is not None
    assert bootstrap_stderr(lambda sample: math.nan, [1, 0, 1], range(3)) is None


def test_a_weighted_mean_has_the_errors_of_its_parts_by_their_weights() -> None:
    assert weighted_stderr([3, 1], [0.1, 0.2]) == pytest.approx(math.hypot(0.75 * 0.1, 0.25 * 0.2))
