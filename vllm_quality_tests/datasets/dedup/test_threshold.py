"""How near is near, in integers."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.datasets.dedup.threshold import USUAL, Threshold
from vllm_quality.datasets.schema import DatasetError

thresholds = st.fractions(Fraction(1, 1000), Fraction(999, 1000)).map(
    lambda one: Threshold(one.numerator, one.denominator)
)


@given(thresholds, st.integers(0, 5000), st.integers(0, 5000))
def test_it_is_the_strict_inequality(threshold: Threshold, edits: int, longer: int) -> None:
    near = longer > 0 and Fraction(edits, longer) < Fraction(threshold.num, threshold.den)
    assert threshold.allows(edits, longer) is near
    assert (edits <= threshold.most_edits(longer)) is near


@given(thresholds, st.integers(1, 5000))
def test_the_longest_near_text_is_near_and_the_next_is_not(threshold: Threshold, length: int) -> None:
    longest = threshold.longest_near(length)
    assert threshold.allows(longest - length, longest)
    assert not threshold.allows(longest + 1 - length, longest + 1)


def test_a_fifth_is_not_below_a_fifth() -> None:
    assert not USUAL.allows(2, 10)
    assert USUAL.allows(2, 11)
    assert not USUAL.allows(0, 0)
    assert USUAL.longest_near(0) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.2", USUAL),
        ("1/5", USUAL),
        (".20", USUAL),
        ("2/10", USUAL),
        (" 0.35 ", Threshold(7, 20)),
        ("0.125", Threshold(1, 8)),
    ],
)
def test_it_is_read_from_a_fraction_or_a_decimal(text: str, expected: Threshold) -> None:
    assert Threshold.parse(text) == expected
    assert Threshold.parse(str(expected)) == expected


@pytest.mark.parametrize("text", ["", "a fifth", "-0.2", "0.2.1", "1e-1", "٠.٢", "20%", "0.2 or so"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(DatasetError, match="is no threshold; write a share"):
        Threshold.parse(text)


@pytest.mark.parametrize("text", ["0", "0.0", "1", "5/5", "3/2", "1/0"])
def test_what_is_not_between_0_and_1_is_refused(text: str) -> None:
    with pytest.raises(DatasetError, match="is not between 0 and 1"):
        Threshold.parse(text)
