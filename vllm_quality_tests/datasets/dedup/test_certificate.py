"""The recall certificate: what it counts is the truth, and its interval covers it."""

import random

import pytest

from vllm_quality.datasets.dedup.certificate import CONFIDENCE, certify, recall_interval
from vllm_quality.datasets.dedup.force import Everything
from vllm_quality.datasets.dedup.near.search import NearPairs, find_near_pairs
from vllm_quality.datasets.dedup.threshold import Threshold
from vllm_quality_tests.datasets.dedup.rows import families, is_near


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return sorted({*families(350, 7, (1, 9)), *families(250, 9, (20, 60))}, key=str.casefold)


@pytest.fixture(scope="module")
def pairs(texts: list[str]) -> NearPairs:
    return find_near_pairs(texts, kind="exact")


@pytest.mark.parametrize("threshold", [Threshold(), Threshold(1, 3), Threshold(1, 20)])
def test_force_finds_what_brute_force_finds(texts: list[str], threshold: Threshold) -> None:
    everything = Everything(texts, threshold)
    for at in range(0, len(texts), 7):
        truth = [
            other
            for other in range(len(texts))
            if other != at and texts[at] != texts[other] and is_near(texts[at], texts[other], threshold)
        ]
        assert sorted(everything.near(at).tolist()) == truth


def test_a_small_corpus_is_compared_as_a_whole(texts: list[str], pairs: NearPairs) -> None:
    found = certify(texts, pairs.first, pairs.second)
    assert found.sampled == found.texts == len(texts)
    assert found.true_pairs == found.found == len(pairs)
    assert (found.recall, found.low, found.high, found.verdict) == (1.0, 1.0, 1.0, "pass")


def test_missed_pairs_are_counted(texts: list[str], pairs: NearPairs) -> None:
    found = certify(texts, pairs.first[::2], pairs.second[::2])
    assert found.found == len(pairs.first[::2])
    assert found.low == found.high == found.recall
    assert found.verdict == "fail"
    assert "0.99 is missed" in found.sentence


def test_a_sample_decides_when_it_can(texts: list[str], pairs: NearPairs) -> None:
    half = certify(texts, pairs.first[::2], pairs.second[::2], most_comparisons=20_000)
    assert half.sampled < len(texts)
    assert half.verdict == "fail"
    assert half.low < 0.5 < half.high
    whole = certify(texts, pairs.first, pairs.second, most_comparisons=20_000)
    assert whole.verdict == "undecided"
    assert whole.low < 0.99 <= whole.high == 1.0
    assert "neither shown nor ruled out" in whole.sentence


def test_the_sample_depends_on_texts_and_seed_only(texts: list[str], pairs: NearPairs) -> None:
    order = random.Random(1).sample(range(len(texts)), len(texts))
    place = {at: new for new, at in enumerate(order)}
    import numpy as np

    first, second = (np.array([place[at] for at in side.tolist()]) for side in (pairs.first, pairs.second))
    shuffled = [texts[at] for at in order]
    one = certify(texts, pairs.first, pairs.second, most_comparisons=20_000)
    assert certify(shuffled, first, second, most_comparisons=20_000) == one
    assert certify(texts, pairs.first, pairs.second, seed=2, most_comparisons=20_000) != one


def test_texts_without_near_pairs_are_nothing_to_miss() -> None:
    import numpy as np

    none = np.empty(0, dtype=np.int64)
    found = certify(["one", "something else", ""], none, none)
    assert (found.sampled, found.recall, found.verdict) == (2, None, "pass")
    assert "no near pair" in found.sentence
    many = [f"{number:08b}" * 3 for number in range(0, 5_000, 17)]
    assert certify(many, none, none, most_comparisons=1).verdict in ("fail", "undecided")


def test_a_bounded_search_is_not_blamed_for_what_it_left_out_on_purpose() -> None:
    texts = [f"template of a question, number {number:04}, and its end" for number in range(60)]
    pairs = find_near_pairs(texts)
    centre = (pairs.first < 10) | (pairs.second < 10)
    first, second = pairs.first[centre], pairs.second[centre]
    assert certify(texts, first, second).verdict == "fail"
    assert certify(texts, first, second, bounded=True).verdict == "pass"


@pytest.mark.parametrize(
    ("true", "found", "low", "high"),
    [
        ([1] * 400, [1] * 400, 0.99, 1.0),
        ([1] * 100, [1] * 100, 0.96, 1.0),
        ([0, 0], [0, 0], 0.0, 1.0),
        ([1] * 1000, [1] * 950 + [0] * 50, 0.93, 0.97),
        ([500, *[1] * 500], [0, *[1] * 500], 0.0, 1.0),  # half of all pairs are those of one text: little is known
    ],
)
def test_the_interval_of_the_recall(true: list[int], found: list[int], low: float, high: float) -> None:
    bounds = recall_interval(true, found, 1 - CONFIDENCE)
    assert bounds[0] >= low - 0.001
    assert bounds[1] <= high + 0.001
    assert bounds[0] <= (sum(found) / sum(true) if sum(true) else 1.0) <= bounds[1]


@pytest.mark.parametrize("together", [False, True])
def test_the_interval_covers_the_recall_as_often_as_it_says(together: bool) -> None:
    """Texts with 1 to 8 pairs, of which a tenth is missed; one by one, or all pairs of a text at once."""
    import numpy as np

    draw = np.random.default_rng(5)
    sizes = draw.geometric(0.5, 20_000).clip(max=8)
    missed = draw.random(20_000) < 0.1
    found = np.where(missed, 0, sizes) if together else draw.binomial(sizes, 0.9)
    recall = found.sum() / sizes.sum()
    covered = 0
    for _ in range(400):
        sample = draw.choice(20_000, 150, replace=False)
        low, high = recall_interval(sizes[sample].tolist(), found[sample].tolist(), 1 - CONFIDENCE)
        covered += low <= recall <= high
    assert covered >= 0.94 * 400
