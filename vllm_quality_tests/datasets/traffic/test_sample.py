"""A sample depends on the rows and the seed, and on nothing else."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.datasets.traffic.sample import KEPT_OF_SMALL, MOST_STRATA, Drawn, Sampler, allocate
from vllm_quality.datasets.traffic.seen import SeenHashes
from vllm_quality.datasets.traffic.source import TrafficError

counts = st.dictionaries(st.text(max_size=3), st.integers(1, 5000), max_size=12)


def draw(rows: list[tuple[int, str]], size: int, seed: int = 1) -> Drawn[int]:
    sampler: Sampler[int] = Sampler(size, seed)
    for number, stratum in rows:
        sampler.add(str(number).encode(), stratum, lambda number=number: number)  # type: ignore[misc]
    return sampler.drawn()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.just("")), max_size=300), st.integers(1, 50), st.randoms())
def test_any_order_and_any_repetition_gives_the_same_sample(
    rows: list[tuple[int, str]], size: int, shuffler: random.Random
) -> None:
    other = rows + rows[: len(rows) // 2]
    shuffler.shuffle(other)
    assert draw(rows, size) == draw(other, size)
    assert len(draw(rows, size).rows) == min(size, len(set(rows)))


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 500), st.sampled_from("abc"), max_size=300), st.integers(1, 60), st.randoms())
def test_so_does_a_stratified_one(strata: dict[int, str], size: int, shuffler: random.Random) -> None:
    rows = list(strata.items())
    drawn = draw(rows, size)
    shuffler.shuffle(rows)
    assert draw(rows, size) == drawn
    assert dict(Counter(strata[number] for number in drawn.rows)) == {k: v for k, v in drawn.sampled.items() if v}
    assert drawn.matched == dict(Counter(strata.values()))


def test_every_row_is_as_likely_as_any_other() -> None:
    drawn = Counter(number for seed in range(400) for number in draw([(n, "") for n in range(20)], 5, seed).rows)
    assert set(drawn) == set(range(20))
    assert max(abs(times - 100) for times in drawn.values()) < 45  # five standard deviations


def test_another_seed_draws_others() -> None:
    rows = [(number, "") for number in range(1000)]
    assert set(draw(rows, 100, 1).rows) != set(draw(rows, 100, 2).rows)


@settings(deadline=None)
@given(counts, st.integers(1, 1500))
def test_shares_add_up_and_small_strata_are_kept(found: dict[str, int], size: int) -> None:
    shares, room = allocate(found, size), min(size, sum(found.values()))
    assert sum(shares.values()) == room
    assert all(0 <= shares[name] <= count for name, count in found.items())
    if found and room >= len(found) * KEPT_OF_SMALL:
        assert all(shares[name] >= min(KEPT_OF_SMALL, count) for name, count in found.items())


def test_shares_are_proportional() -> None:
    assert allocate({"ko": 9000, "en": 900, "ja": 3}, 1000) == {"ko": 906, "en": 91, "ja": 3}
    assert allocate({"ko": 60, "en": 30, "ja": 10}, 50) == {"ko": 30, "en": 15, "ja": 5}
    assert allocate({"a": 5, "b": 9, "c": 7}, 2) == {"a": 0, "b": 1, "c": 1}


def test_a_key_with_a_value_for_every_user_is_refused() -> None:
    with pytest.raises(TrafficError, match=f"VLLM_QUALITY_QUERIES_STRATIFY names metadata of more than {MOST_STRATA}"):
        draw([(number, str(number)) for number in range(MOST_STRATA + 1)], 10)


def test_a_row_outside_of_the_sample_is_never_made() -> None:
    made = []
    sampler: Sampler[int] = Sampler(10, 1)
    for number in range(2000):
        sampler.add(str(number).encode(), "", lambda number=number: made.append(number) or number)  # type: ignore[misc,func-returns-value]
    assert len(made) < 150  # 10 · (1 + ln(2000 / 10)) are expected


def test_hashes_are_known_again_beyond_the_first_merge() -> None:
    seen, numbers = SeenHashes(), [(number * 0x9E3779B97F4A7C15) % 2**64 for number in range(140_000)]
    assert all(seen.add(number) for number in numbers)
    assert not any(seen.add(number) for number in numbers[::7])
    assert seen.add(2**64 - 1)
