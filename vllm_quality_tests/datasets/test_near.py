"""Near duplicates: every pair below 0.2 is found, none at 0.2, and nothing depends on the order."""

import random
from itertools import combinations

import pytest

from vllm_quality.datasets.near import find_near_duplicates, is_near, normal
from vllm_quality.datasets.schema import Item
from vllm_quality_tests.datasets.sets import question

WORDS = [
    "river",
    "stone",
    "bridge",
    "서울",
    "학교",
    "바다",
    "window",
    "garden",
    "letter",
    "engine",
    "나무",
    "구름",
    "planet",
    "market",
    "이야기",
    "사람",
]


def distance(one: str, other: str) -> int:
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(one, other)


def edited(text: str, share: float, draw: random.Random) -> str:
    letters = list(text)
    for _ in range(int(len(text) * share)):
        at = draw.randrange(len(letters))
        letters[at : at + 1] = draw.choice(["", "x", "가", letters[at] + "y"])
    return "".join(letters)


@pytest.fixture(scope="module")
def corpus() -> list[Item]:
    draw = random.Random(11)
    texts = []
    for words in [6] * 60 + [9] * 60 + [12] * 40 + [60] * 120:
        text = " ".join(draw.choices(WORDS, k=words)) + str(draw.random())
        texts += [text, edited(text, draw.choice([0.02, 0.1, 0.15, 0.19, 0.25]), draw)]
    return [question(text, dataset=draw.choice("ab")) for text in texts]


def brute_force(items: list[Item]) -> set[frozenset[str]]:
    pairs = combinations([(item.id, normal(item)) for item in items], 2)
    return {
        frozenset((a, b)) for (a, one), (b, other) in pairs if is_near(distance(one, other), max(len(one), len(other)))
    }


def test_exactly_the_pairs_of_brute_force_are_found(corpus: list[Item]) -> None:
    found = find_near_duplicates(corpus, {})
    pairs = {frozenset((pair.id_a, pair.id_b)) for pair in found.pairs}
    truth = brute_force(corpus)
    assert len(truth) > 100
    assert pairs == truth
    assert found.compared == len(corpus)
    assert found.incomplete is None
    assert all(5 * pair.distance < pair.length for pair in found.pairs)


def test_order_changes_nothing(corpus: list[Item]) -> None:
    shuffled = random.Random(3).sample(corpus, len(corpus))
    assert find_near_duplicates(shuffled, {"b": 1}) == find_near_duplicates(corpus, {"b": 1})


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("abcdefghij", "abcdefghxx", False),  # 2 of 10 is 0.2, not below
        ("abcdefghijk", "abcdefghxxk", True),  # 2 of 11
        ("a" * 64, "a" * 79, True),  # a short one and one that is not
        ("a" * 64, "a" * 80, False),
        ("Ｓｅｏｕｌ  이야기", "seoul 이야기", True),  # equal in normal form
        ("", "", False),
    ],
)
def test_the_border_is_strict(one: str, other: str, near: bool) -> None:
    items = [question(one), question(other, dataset="b")]
    assert bool(find_near_duplicates(items, {}).pairs) is near


def test_a_chain_of_small_steps_is_not_one_cluster() -> None:
    text = "the quick brown fox jumps over the lazy dog and runs away to sea"
    chain = [question("x" * step + text[step:]) for step in range(0, 60, 6)]
    found = find_near_duplicates(chain, {})
    texts = {item.id: normal(item) for item in chain}
    assert len(found.clusters) > 1
    for kept, *others in found.clusters:
        for other in others:
            one, two = texts[kept], texts[other]
            assert is_near(distance(one, two), max(len(one), len(two)))


def test_the_set_with_the_higher_priority_stands_for_a_cluster() -> None:
    items = [question("one two three four five", dataset="a"), question("one two three four fiv", dataset="b")]
    ids = {item.dataset: item.id for item in items}
    assert find_near_duplicates(items, {"b": 1}).clusters == ((ids["b"], ids["a"]),)
    assert find_near_duplicates(items, {"a": 1}).clusters == ((ids["a"], ids["b"]),)


def test_too_much_to_compare_is_said() -> None:
    found = find_near_duplicates([question(f"{number} " + "long " * 14) for number in range(10_001)], {})
    assert (found.compared, found.pairs, found.clusters) == (0, (), ())
    assert found.incomplete is not None
    assert "too many texts" in found.incomplete
