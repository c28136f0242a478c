"""What is found is near, what is near is found, and the order of the texts changes nothing."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.datasets.dedup.near.search import Kind, find_near_pairs
from vllm_quality.datasets.dedup.near.texts import TextFile
from vllm_quality.datasets.dedup.threshold import USUAL, Threshold
from vllm_quality.datasets.schema import DatasetError
from vllm_quality_tests.benchmarks.corpus import make_corpus, short_texts
from vllm_quality_tests.datasets.dedup.near.brute import as_set, near_by_force

KINDS: Sequence[Kind] = ("auto", "exact", "lsh")


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    """Long and short texts, twins, and texts that have no gram."""
    texts = [*make_corpus(700, seed=5).texts, *short_texts(300, seed=6).texts, "", "", "a", "a", "가", "ab", "abc"]
    texts += texts[:20]
    random.Random(1).shuffle(texts)
    return texts


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_the_near_pairs_are_found(corpus: list[str], kind: Kind) -> None:
    found = find_near_pairs(corpus, kind=kind)
    truth = near_by_force(corpus)
    assert len(truth) > 150
    assert as_set(found) == truth
    assert found.incomplete is None
    assert found.method["exact"] is (kind != "lsh")
    assert found.first.dtype == found.second.dtype == found.edits.dtype == found.longer.dtype == "int64"
    rows = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert rows == sorted(set(rows))
    assert all(first < second for first, second in rows)
    assert found.longer.tolist() == [max(len(corpus[first]), len(corpus[second])) for first, second in rows]


# Few letters, so that near pairs are frequent; lengths around the borders of 5, 64 and 79.
words = st.text("ab가", min_size=1, max_size=5)
texts_of_words = st.lists(words, min_size=0, max_size=24).map("".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(texts_of_words, max_size=25), st.sampled_from(["1/5", "0.05", "0.25", "0.3", "0.35"]))
def test_small_corpora_are_compared_in_full(texts: list[str], limit: str) -> None:
    threshold = Threshold.parse(limit)
    assert as_set(find_near_pairs(texts, threshold)) == near_by_force(texts, threshold)


@settings(max_examples=40, deadline=None)
@given(st.lists(texts_of_words, max_size=25))
def test_lsh_finds_nothing_that_is_not_near(texts: list[str]) -> None:
    assert as_set(find_near_pairs(texts, kind="lsh")) <= near_by_force(texts)


@pytest.mark.parametrize("kind", KINDS)
def test_shuffling_changes_nothing(corpus: list[str], kind: Kind) -> None:
    place = random.Random(2).sample(range(len(corpus)), len(corpus))
    shuffled = [corpus[at] for at in place]
    again = {
        (min(place[first], place[second]), max(place[first], place[second]), edits)
        for first, second, edits in as_set(find_near_pairs(shuffled, kind=kind))
    }
    assert again == as_set(find_near_pairs(corpus, kind=kind))


@pytest.mark.parametrize("kind", KINDS)
def test_texts_on_disk_give_the_same(corpus: list[str], kind: Kind, tmp_path: Path) -> None:
    with TextFile(tmp_path / "texts") as file:
        file.extend(corpus)
    assert as_set(find_near_pairs(TextFile(tmp_path / "texts"), kind=kind)) == as_set(
        find_near_pairs(corpus, kind=kind)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [10, 60, 80, 400])
@pytest.mark.parametrize("letters", ["abcdefghijklmnopqrstuvwxyz ", "가나다라마바사아자차카타파하 "])
def test_the_border_is_strict(kind: Kind, size: int, letters: str) -> None:
    draw = random.Random(size)
    text = "".join(draw.choices(letters, k=size))
    at_border = "_" * (size // 5) + text[size // 5 :]
    assert len(find_near_pairs([text, at_border], kind=kind)) == 0
    below = "_" * (size // 5 - 1) + text[size // 5 - 1 :]
    found = find_near_pairs([text, below], kind=kind)
    assert (found.edits.tolist(), found.longer.tolist()) == ([size // 5 - 1], [size])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["one text"], ["x" * 100]])
def test_nothing_to_compare_is_no_pair(kind: Kind, texts: list[str]) -> None:
    found = find_near_pairs(texts, kind=kind)
    assert len(found) == 0
    assert found.incomplete is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["a", "가" * 64, "𝒂" * 65, "\ud800" * 300, "\0" * 70])
def test_equal_texts_are_near(kind: Kind, text: str) -> None:
    assert as_set(find_near_pairs([text, "", text, text], kind=kind)) == {(0, 2, 0), (0, 3, 0), (2, 3, 0)}


@pytest.mark.parametrize("limit", ["0.25", "0.3", "0.35"])
def test_larger_thresholds_have_their_own_parameters(limit: str) -> None:
    threshold = Threshold.parse(limit)
    texts = make_corpus(900, seed=3).texts
    truth = as_set(find_near_pairs(texts, threshold, kind="exact"))
    found = find_near_pairs(texts, threshold, kind="lsh")
    assert as_set(found) <= truth
    assert len(as_set(found)) >= 0.99 * len(truth)
    assert found.method["gram"] == 3


def test_a_threshold_that_grams_cannot_see_is_refused() -> None:
    with pytest.raises(
        DatasetError, match=r"A threshold of 0.4 is too far apart to be searched for; the largest is 0.35."
    ):
        find_near_pairs(["one"], Threshold.parse("0.4"))


def test_progress_is_told(corpus: list[str]) -> None:
    said: list[tuple[str, int, int]] = []
    find_near_pairs(corpus, kind="lsh", progress=lambda *one: said.append(one))
    assert {stage for stage, _, _ in said} == {"compare", "grams", "sign", "match", "verify"}
    assert all(0 <= done <= of for _, done, of in said)


def test_the_same_seed_gives_the_same_and_the_method_says_how(corpus: list[str]) -> None:
    one, other = (find_near_pairs(corpus, USUAL, seed=3, kind="lsh") for _ in range(2))
    assert as_set(one) == as_set(other)
    assert one.method == other.method
    expected = {
        "gram": 4,
        "permutations": 256,
        "bands": 128,
        "rows": 2,
        "seed": 3,
        "scheme": "affine32",
        "threshold": "1/5",
    }
    assert expected.items() <= one.method.items()
