"""Texts on disk are a sequence like any other, and rank like one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.datasets.dedup.near.texts import TextFile, code_points, rank_texts, reach
from vllm_quality.datasets.dedup.threshold import USUAL
from vllm_quality.datasets.schema import DatasetError

TEXTS = ["one", "", "두 번째 글", "a𝒂\0b", "\ud800 half a pair", "x" * 5000]


def test_a_file_holds_what_was_appended(tmp_path: Path) -> None:
    with TextFile(tmp_path / "texts") as file:
        file.extend(TEXTS[:3])
        assert list(file) == TEXTS[:3]  # while it is written
        file.extend(TEXTS[3:])
        assert file[3:] == TEXTS[3:]
    again = TextFile(tmp_path / "texts")
    assert list(again) == TEXTS
    assert again[-1] == TEXTS[-1]
    assert list(again.lengths()) == [len(text) for text in TEXTS]
    with again:
        again.append("later")
    assert list(TextFile(tmp_path / "texts")) == [*TEXTS, "later"]
    with pytest.raises(IndexError):
        again[len(TEXTS) + 1]


def test_an_empty_file_is_an_empty_sequence(tmp_path: Path) -> None:
    with TextFile(tmp_path / "texts") as file:
        assert list(file) == []
        file.append("")
    assert list(TextFile(tmp_path / "texts")) == [""]
    assert len(rank_texts(TextFile(tmp_path / "texts"))) == 0


def test_a_file_that_was_not_closed_is_refused(tmp_path: Path) -> None:
    with TextFile(tmp_path / "texts") as file:
        file.append("one")
    (tmp_path / "texts").write_text("one and more")
    with pytest.raises(DatasetError, match="was not closed when it was written"):
        TextFile(tmp_path / "texts")


def test_texts_on_disk_rank_as_a_list_does(tmp_path: Path) -> None:
    with TextFile(tmp_path / "texts") as file:
        file.extend(TEXTS)
        one, other = rank_texts(TEXTS), rank_texts(file)
    assert one.order.tolist() == other.order.tolist()
    assert one.lengths.tolist() == other.lengths.tolist() == sorted(len(text) for text in TEXTS if text)
    assert one.places.tolist() == other.places.tolist()


@given(st.lists(st.text(max_size=20), max_size=40, unique=True), st.randoms())
def test_ranks_do_not_depend_on_the_order(texts: list[str], draw: object) -> None:
    import random

    shuffled = random.Random(str(draw)).sample(texts, len(texts))
    one, other = rank_texts(texts), rank_texts(shuffled)
    assert one.part(0, len(one)) == other.part(0, len(other))
    assert one.places.tolist() == other.places.tolist()


@given(st.lists(st.integers(0, 60), max_size=40))
def test_what_can_be_near_is_in_reach(lengths: list[int]) -> None:
    ranked = rank_texts(["x" * length for length in lengths])
    first, last = reach(ranked.lengths, ranked.lengths, USUAL)
    for rank, length in enumerate(ranked.lengths.tolist()):
        near = [
            other
            for other, size in enumerate(ranked.lengths.tolist())
            if USUAL.allows(abs(size - length), max(size, length))
        ]
        assert near == list(range(first[rank], last[rank]))


def test_a_number_per_text_says_who_is_preferred() -> None:
    ranked = rank_texts(["aaa", "bb", "", "c"], [2, 1, 0, 3])
    assert [ranked.texts[at] for at in ranked.order.tolist()] == ["c", "bb", "aaa"]
    assert ranked.places.tolist() == [2, 0, 1]


def test_chunks_cover_everything_once() -> None:
    ranked = rank_texts(["x" * 200_000 for _ in range(7)] + ["y" * 10])
    chunks = list(ranked.chunks(1, len(ranked)))
    assert len(chunks) > 1
    assert [rank for start, end in chunks for rank in range(start, end)] == list(range(1, len(ranked)))
    assert list(ranked.chunks(3, 3)) == []


def test_code_points_are_those_of_all_texts() -> None:
    assert code_points(TEXTS).tolist() == [ord(letter) for text in TEXTS for letter in text]
