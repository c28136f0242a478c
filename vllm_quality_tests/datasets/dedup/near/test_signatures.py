"""Signatures are those of datasketch, whose MinHash is given the same grams and the same hash function."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.datasets.dedup.near.grams import count_grams, grams_of, hash_gram, hash_grams
from vllm_quality.datasets.dedup.near.signatures import permutations, signatures, sketch, unlike
from vllm_quality.datasets.dedup.near.texts import rank_texts
from vllm_quality_tests.benchmarks.corpus import make_corpus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def signed(texts: list[str], size: int, count: int, seed: int) -> "NDArray[np.uint32]":
    """Signatures by rank, of all grams."""
    import numpy as np

    ranked = rank_texts(texts)
    return signatures(ranked, np.arange(len(ranked)), None, size, count, seed).found


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=200), min_size=1, max_size=8),
    st.integers(2, 5),
    st.integers(0, 2**32 - 1),
)
def test_a_signature_is_bit_for_bit_that_of_datasketch(texts: list[str], size: int, seed: int) -> None:
    from datasketch import MinHash

    ranked = rank_texts(texts)
    found = signed(texts, size, 32, seed)
    for rank, position in enumerate(ranked.order.tolist()):
        expected = MinHash(num_perm=32, seed=seed, hashfunc=hash_gram)
        expected.update_batch(grams_of(texts[position], size))
        assert expected.scheme == "affine32"
        assert expected.hashvalues.dtype == found.dtype
        assert expected.hashvalues.tolist() == found[:, rank].tolist()


def test_so_it_is_for_a_corpus_of_many_blocks() -> None:
    from datasketch import MinHash

    texts = [*make_corpus(600).texts, "long " * 20_000]
    ranked = rank_texts(texts)
    found = signed(texts, 4, 256, 1)
    bulk = MinHash.bulk([grams_of(text, 4) for text in texts], num_perm=256, seed=1, hashfunc=hash_gram)
    for rank, position in enumerate(ranked.order.tolist()):
        assert (bulk[position].hashvalues == found[:, rank]).all()


def test_permutations_are_those_of_datasketch() -> None:
    from datasketch import MinHash

    assert (MinHash(num_perm=256, seed=7).permutations == permutations(256, 7)).all()


def test_grams_do_not_cross_from_one_text_into_the_next() -> None:
    texts = ["abcdefgh", "한국어로 쓴 글", "xy", "𝒂𝒃𝒄𝒅𝒆"]
    grams = hash_grams(texts, 4)
    counts = [len(text) - 3 if len(text) >= 4 else 1 for text in texts]
    assert grams.starts.tolist() == [sum(counts[:at]) for at in range(len(texts))]
    alone = [hash_grams([text], 4).values.tolist() for text in texts]
    assert grams.values.tolist() == [value for values in alone for value in values]


def test_common_grams_are_left_out_and_the_rarest_stay() -> None:
    boilerplate = "you are a helpful assistant that answers in one word. "
    texts = [boilerplate + str(number) * 9 for number in range(100, 500)]
    table = count_grams(rank_texts(texts), 4)
    whole = hash_grams(texts, 4)
    kept, framed = table.telling(whole, table.stops())
    sizes = [end - start for start, end in zip(kept.starts, [*kept.starts[1:], len(kept.values)], strict=True)]
    assert framed.all()
    assert min(sizes) >= 16
    assert max(sizes) < 60
    numbers = set(hash_grams(["123123123123"], 4).values.tolist())
    position = texts.index(boilerplate + "123" * 9)
    start = kept.starts[position]
    assert numbers <= set(kept.values[start : start + sizes[position]].tolist())


def test_the_table_does_not_depend_on_the_order() -> None:
    texts = make_corpus(200).texts
    one, other = count_grams(rank_texts(texts), 4), count_grams(rank_texts(texts[::-1]), 4)
    assert (one.counts == other.counts).all()
    assert one.counts.sum() == sum(len(text) - 3 for text in texts)


@pytest.mark.parametrize("count", [128, 256, 512])
def test_a_sketch_tells_how_many_values_differ(count: int) -> None:
    import numpy as np

    draw = np.random.default_rng(1)
    found = draw.integers(0, 2**32, (count, 2), dtype=np.uint32)
    found[: count // 2, 1] = found[: count // 2, 0]
    words = sketch(found)
    expected = np.count_nonzero((found[:, 0] & 15) != (found[:, 1] & 15))
    assert sum(int(unlike(part[:1].copy(), part[1:])[0]) for part in words) == expected
    assert sum(int(unlike(part[:1].copy(), part[:1])[0]) for part in words) == 0
