from statistics import mean, pstdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from vllm_quality.load.data.lengths import Lengths, Spread, draw_lengths, longest, shortest

_ANY: TypeAdapter[int | Spread] = TypeAdapter(Lengths)
WIDE = Spread(mean=1024, std=512, min=128, max=4096)


def test_one_length_is_for_all() -> None:
    assert draw_lengths(512, 3, "1") == [512] * 3
    assert (shortest(512), longest(512)) == (512, 512)


@settings(deadline=None)
@given(
    low=st.integers(1, 500),
    above=st.integers(0, 500),
    beyond=st.integers(0, 500),
    std=st.floats(0, 1000),
    seed=st.text(),
)
def test_drawn_lengths_stay_within_their_limits(low: int, above: int, beyond: int, std: float, seed: str) -> None:
    spread = Spread(mean=low + above, std=std, min=low, max=low + above + beyond)
    drawn = draw_lengths(spread, 50, seed)
    assert all(shortest(spread) <= length <= longest(spread) for length in drawn)
    assert drawn == draw_lengths(spread, 50, seed)
    assert drawn[:7] == draw_lengths(spread, 7, seed)


def test_the_distribution_is_normal_and_clipped() -> None:
    drawn = draw_lengths(Spread(mean=512, std=32, min=1, max=4096), 20_000, "1")
    assert mean(drawn) == pytest.approx(512, abs=1)
    assert pstdev(drawn) == pytest.approx(32, abs=1)
    # Clipped, not drawn again: the limit itself is met often.
    wide = draw_lengths(WIDE, 20_000, "1")
    assert wide.count(128) / len(wide) == pytest.approx(0.04, abs=0.005)
    assert len(set(draw_lengths(Spread(mean=9, std=0, min=1, max=20), 5, "1"))) == 1


def test_drawn_lengths_are_pinned() -> None:
    """Another machine or Python must draw them alike: a tape depends on them."""
    assert draw_lengths(WIDE, 5, "1") == [1193, 128, 322, 956, 1059]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("many", "should be a valid integer"),
        (0, "greater than or equal to 1"),
        ({"mean": 5, "std": 1, "min": 6, "max": 9}, "a mean of 5 that is not between min 6 and max 9"),
        ({"mean": 5, "std": 1, "min": 1}, "max\n  Field required"),
    ],
)
def test_what_is_no_length_is_refused(value: Any, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        _ANY.validate_python(value)
