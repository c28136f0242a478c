"""Exact duplicates: what counts as equal, and which of them stays."""

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.datasets.exact import remove_exact_duplicates
from vllm_quality.datasets.schema import Item
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


def test_the_set_with_the_higher_priority_keeps_the_item() -> None:
    items = [question("q", dataset=name) for name in ("a", "b", "c")]
    for priority, kept in (({}, "a"), ({"b": 1}, "b"), ({"a": -1, "b": 2, "c": 2}, "b")):
        found = remove_exact_duplicates(items, priority)
        assert [item.dataset for item in found.kept] == [kept]
        assert found.across == {(name, kept): 1 for name in "abc" if name != kept}
        assert found.within == {}


def test_duplicates_are_counted_where_they_are() -> None:
    items = [question("q", line=1), question("q", line=2), question("q", dataset="b"), question("r", dataset="b")]
    found = remove_exact_duplicates(items, {})
    assert [(item.dataset, item.source_line) for item in found.kept] == [("a", 1), ("b", 1)]
    assert (found.within, found.across) == ({"a": 1}, {("b", "a"): 1})
    assert (found.removed_from("a"), found.removed_from("b"), found.removed_from("c")) == (1, 1, 0)


def test_another_expected_answer_is_another_item() -> None:
    assert len(remove_exact_duplicates([question("q"), question("q", reference="a")], {}).kept) == 2


items_lists = st.lists(
    st.builds(
        question,
        st.sampled_from(["q", "q ", "r", "가", unicodedata.normalize("NFD", "가")]),
        dataset=st.sampled_from("abc"),
        reference=st.sampled_from([None, "x"]),
        line=st.integers(1, 3),
        metadata=st.sampled_from(["{}", '{"k": 1}']),
    ),
    max_size=30,
)


@given(items=items_lists, seed=st.integers(0, 2**16), best=st.sampled_from("abc"))
def test_order_changes_nothing_and_twice_is_once(items: list[Item], seed: int, best: str) -> None:
    first = remove_exact_duplicates(items, {best: 1})
    shuffled = random.Random(seed).sample(items, len(items))
    again = remove_exact_duplicates(shuffled, {best: 1})
    assert (again.kept, again.within, again.across) == (first.kept, first.within, first.across)
    twice = remove_exact_duplicates(first.kept, {best: 1})
    assert twice.kept == first.kept
    assert (twice.within, twice.across) == ({}, {})
    assert len(first.kept) == len({item.content_hash for item in items})
