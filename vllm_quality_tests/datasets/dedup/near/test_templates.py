"""Thousands of texts that are all near one another: memory and time stay bounded, and a star finds what lies around it."""

import random

import pytest

from vllm_quality.datasets.dedup.near.collected import Bounds, Collected
from vllm_quality.datasets.dedup.near.search import Kind, NearPairs, find_near_pairs
from vllm_quality.datasets.dedup.near.texts import rank_texts
from vllm_quality_tests.benchmarks.corpus import KINDS as KINDS_OF_EDIT
from vllm_quality_tests.benchmarks.corpus import Kind as Edit
from vllm_quality_tests.benchmarks.corpus import edited, english, make_corpus, templates

SIZE = 400
BOUNDS = Bounds(crowd=100, bucket=30)


def texts_for(kind: Kind) -> list[str]:
    """Templates that this kind of search looks at: short ones are always compared with all."""
    if kind == "exact":
        return [f"what is {number} and then times {number % 89 + 10}?" for number in range(1000, 1000 + SIZE)]
    return templates(SIZE)


KINDS: tuple[Kind, ...] = ("exact", "lsh")


def neighbours(found: NearPairs, of: int) -> set[int]:
    return set(found.second[found.first == of].tolist()) | set(found.first[found.second == of].tolist())


@pytest.mark.parametrize("kind", KINDS)
def test_a_crowd_is_compared_with_a_few_of_it_and_this_is_said(kind: Kind) -> None:
    texts = texts_for(kind)
    found = find_near_pairs(texts, kind=kind, bounds=BOUNDS)
    assert found.incomplete is not None
    assert "resemble more than 100 others" in found.incomplete
    assert len(texts) <= len(found) <= 100 * len(texts)
    assert all(5 * found.edits < found.longer)


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_is_preferred_has_all_its_pairs(kind: Kind) -> None:
    texts = texts_for(kind)
    preference = [abs(at - 123) for at in range(len(texts))]
    found = find_near_pairs(texts, preference=preference, kind=kind, bounds=BOUNDS)
    assert neighbours(found, 123) == set(range(len(texts))) - {123}


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_does_not_decide_which_pairs_are_kept(kind: Kind) -> None:
    import numpy as np

    texts = texts_for(kind)
    place = random.Random(1).sample(range(len(texts)), len(texts))
    one, other = (
        find_near_pairs(texts, kind=kind, bounds=BOUNDS),
        find_near_pairs([texts[at] for at in place], kind=kind, bounds=BOUNDS),
    )
    moved = np.array(place)
    a, b = moved[other.first], moved[other.second]
    again = np.sort(np.minimum(a, b) * len(texts) + np.maximum(a, b))
    assert (again == one.first * len(texts) + one.second).all()


def test_below_a_crowd_all_pairs_are_listed() -> None:
    found = find_near_pairs(texts_for("exact"))
    assert found.incomplete is None
    assert len(found) == SIZE * (SIZE - 1) // 2


def test_what_is_collected_does_not_depend_on_when_it_comes() -> None:
    import numpy as np

    ranked = rank_texts([f"{number:03d}" for number in range(60)])
    pairs = np.array([(a, b, (a * b) % 7) for a in range(60) for b in range(a + 1, 60)]).T
    kept = []
    for seed in range(5):
        collected = Collected(ranked, Bounds(pairs=300))
        order = np.random.default_rng(seed).permutation(pairs.shape[1])
        for part in np.array_split(order, 1 + 40 * seed):
            collected.add(pairs[:, part])
        kept.append({tuple(pair) for pair in collected.pairs().T.tolist()})
        assert collected.incomplete is not None
        assert "There are more than 300 near pairs" in collected.incomplete
    assert all(one == kept[0] for one in kept)
    best = int(ranked.places.argmin())
    assert {pair for pair in kept[0] if best in pair[:2]} == {
        tuple(pair) for pair in pairs.T.tolist() if best in pair[:2]
    }
    assert len(kept[0]) <= 300


@pytest.mark.parametrize("edit", KINDS_OF_EDIT)
def test_edited_templates_are_found_though_their_grams_are_common(edit: Edit) -> None:
    draw = random.Random(3)
    texts = templates(300)
    language = english(draw)
    copies = [edited(text, edit, 0.06, language, draw) for text in texts[:40]]
    others = make_corpus(700, seed=8).texts
    truth, found = (find_near_pairs([*texts, *copies, *others], kind=kind) for kind in KINDS)
    assert len(found) >= 0.995 * len(truth) > 40_000
