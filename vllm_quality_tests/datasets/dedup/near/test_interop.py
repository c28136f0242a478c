"""datasketch takes our signatures, and a bank that asks its index finds what ours finds."""

import random
from collections.abc import Sequence

import pytest

from vllm_quality.datasets.dedup.near.bank import Bank, BankPairs, bank_with, build_bank
from vllm_quality.datasets.dedup.near.grams import hash_gram
from vllm_quality.datasets.dedup.near.indexed import IndexedBank
from vllm_quality.datasets.dedup.near.interop import SharedIndex, lean_minhashes
from vllm_quality.datasets.dedup.near.segments import sign
from vllm_quality_tests.benchmarks.corpus import make_corpus, short_texts

DICT = {"type": "dict"}
KNOWN = 300
FORM = (
    "Dear {0}, your order number {1} of {0} was sent to the address in {2} and will arrive within three working days."
)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Long and short ones, and some of one template; empty ones, too."""
    filled = [FORM.format(f"name{at % 40}", at * 7919, f"street {at * 31}") for at in range(60)]
    mixed = [*make_corpus(300, seed=9).texts, *short_texts(90, seed=12).texts, *filled, "", ""]
    random.Random(3).shuffle(mixed)
    return mixed


@pytest.fixture(scope="module")
def bank(texts: list[str]) -> Bank:
    return build_bank(names(texts[:KNOWN]), texts[:KNOWN])


def names(texts: Sequence[str]) -> list[str]:
    return [f"day/{at}" for at in range(len(texts))]


def index_of(bank: Bank, parts: Sequence[str] = ("day",)) -> SharedIndex:
    index = SharedIndex(bank.plan, "test", DICT)
    for part, segment in zip(parts, bank.segments, strict=True):
        index.add(part, segment.ids, segment.signed)
    return index


def unsigned(bank: Bank, *parts: Sequence[str]) -> Bank:
    """A bank of these texts without signatures."""
    found = bank_with(bank.table)
    for part in parts:
        found.append([f"{len(found.segments)}/{at}" for at in range(len(part))], part, signed=False)
    return found


def same(one: BankPairs, other: BankPairs) -> bool:
    columns = ("query", "banked", "edits", "longer")
    return all(getattr(one, name).tolist() == getattr(other, name).tolist() for name in columns)


def test_a_bank_with_an_index_finds_what_one_with_signatures_finds(bank: Bank, texts: list[str]) -> None:
    near = bank.query(texts[KNOWN:])
    assert len(near) > 20
    without = bank_with(bank.table)
    without.append(bank.ids, texts[:KNOWN], signed=False)
    found = IndexedBank(without, index_of(bank)).query(texts[KNOWN:])
    assert same(found, near)
    assert found.incomplete == near.incomplete
    assert len(without.query(texts[KNOWN:])) < len(near)  # long ones are the index's


def test_a_bank_of_some_days_leaves_out_what_else_is_in_the_index(bank: Bank, texts: list[str]) -> None:
    parts = [texts[:100], texts[100:KNOWN]]
    both, one = unsigned(bank, *parts), unsigned(bank, *parts).of_segments([1])
    index = SharedIndex(bank.plan, "test", DICT)
    for number, part in enumerate(parts):
        index.add(str(number), both.segments[number].ids, sign(part, bank.table, bank.plan))
    assert same(IndexedBank(both, index).query(texts[KNOWN:]), bank.query(texts[KNOWN:]))
    ours = bank_with(bank.table)
    ours.append(names(parts[1]), parts[1])
    assert same(IndexedBank(one, index).query(texts[KNOWN:]), ours.query(texts[KNOWN:]))
    index.forget("1", "1/")
    assert index.parts() == {"0"}
    assert len(IndexedBank(one, index).query(texts[KNOWN:])) == len(one.query(texts[KNOWN:]))


def test_a_part_that_is_added_twice_changes_nothing(bank: Bank, texts: list[str]) -> None:
    without = bank_with(bank.table)
    without.append(bank.ids, texts[:KNOWN], signed=False)
    index = index_of(bank)
    index.add("day", bank.ids, bank.segments[0].signed)
    assert index.parts() == {"day"}
    assert same(IndexedBank(without, index).query(texts[KNOWN:]), bank.query(texts[KNOWN:]))


def test_buckets_are_those_that_datasketch_itself_would_look_into(bank: Bank, texts: list[str]) -> None:
    index = index_of(bank)
    asked = sign(texts[KNOWN:], bank.table, bank.plan)
    found: dict[int, set[bytes]] = {}
    for _, buckets in index.buckets(asked):
        for bucket in buckets:
            for rank in bucket.asked:
                found.setdefault(rank, set()).update(bucket.ids)
    for layer, inner in zip(asked.layers, index._indexes, strict=True):
        for rank, values in lean_minhashes(layer, bank.plan.seed):
            assert set(inner.query(values)) <= found.get(rank, set())


def test_signatures_travel_as_bytes(bank: Bank) -> None:
    from datasketch import LeanMinHash

    for _, values in lean_minhashes(bank.segments[0].signed.layers[0], bank.plan.seed):
        room = bytearray(values.bytesize())
        values.serialize(room)
        again = LeanMinHash.deserialize(room)
        assert again == values
        assert again.scheme == "affine32"


def test_estimates_agree_with_a_minhash_of_datasketch(bank: Bank) -> None:
    from datasketch import MinHash

    _, ours = next(lean_minhashes(bank.segments[0].signed.layers[0], bank.plan.seed))
    empty = MinHash(num_perm=256, seed=bank.plan.seed, hashfunc=hash_gram)
    assert empty.jaccard(ours) == 0.0
    assert ours.jaccard(ours) == 1.0
