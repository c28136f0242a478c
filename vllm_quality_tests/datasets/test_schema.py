"""What makes two items the same one."""

import unicodedata

import pytest

from vllm_quality.datasets.schema import hash_of_forms, hash_of_items, items_frame, items_of
from vllm_quality_tests.datasets.sets import question

KOREAN = "서울의 날씨는?"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (KOREAN, unicodedata.normalize("NFD", KOREAN), True),
        ("two\nlines", "two  \r\nlines\n", True),
        ("x²", "x2", False),
        ("Polish the table", "polish the table", False),
        ("a b", "a  b", False),
    ],
)
def test_what_counts_as_equal(one: str, other: str, equal: bool) -> None:
    assert (question(one).content_hash == question(other).content_hash) is equal
    assert (question("q", reference=one).content_hash == question("q", reference=other).content_hash) is equal


def test_the_hash_of_items_does_not_depend_on_their_order_and_can_be_made_one_by_one() -> None:
    items = [question(text, line=line) for line, text in enumerate("abcde", start=1)]
    assert hash_of_items(items) == hash_of_items(items[::-1]) == hash_of_items(items_of(items_frame(items)))
    assert hash_of_forms(sorted(item.exact_form.encode() for item in items)) == hash_of_items(items)
