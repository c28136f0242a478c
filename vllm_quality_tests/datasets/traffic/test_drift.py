"""Two samples of the same traffic never alarm, two of different traffic do."""

import random
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from vllm_quality.datasets.traffic.drift import REST, Shift, category_shift, numeric_shift

SEEDS, LIMIT = 300, 0.25
SIZES = [(30, 1000), (50, 50), (200, 1000), (1000, 200), (1000, 1000)]
USUAL = {"ko": 70, "en": 25, "ja": 4, "zh": 1}


def lengths(chance: random.Random, count: int, middle: float = 4.0) -> list[int]:
    return [int(chance.lognormvariate(middle, 1)) for _ in range(count)]


def turns(chance: random.Random, count: int) -> list[int]:
    return [1 + int(chance.expovariate(1)) for _ in range(count)]


def languages(chance: random.Random, count: int, shares: Mapping[str, int] = USUAL) -> Counter[str]:
    return Counter(chance.choices(list(shares), list(shares.values()), k=count))


KINDS: Mapping[str, Callable[[random.Random, int, int], Shift]] = {
    "lengths": lambda chance, n, m: numeric_shift(lengths(chance, n), lengths(chance, m)),
    "turns": lambda chance, n, m: numeric_shift(turns(chance, n), turns(chance, m)),
    "languages": lambda chance, n, m: category_shift(languages(chance, n), languages(chance, m)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_chance_alone_alarms_in_less_than_one_of_a_hundred(kind: str, n: int, m: int) -> None:
    shifts = [KINDS[kind](random.Random(seed), n, m) for seed in range(SEEDS)]
    assert sum(shift.beyond(LIMIT) for shift in shifts) <= SEEDS // 100
    assert sum(shift.psi > shift.floor for shift in shifts) <= SEEDS // 100


def test_the_index_alone_would_alarm_by_chance() -> None:
    shifts = [KINDS["lengths"](random.Random(seed), 50, 50) for seed in range(100)]
    assert sum(shift.psi > LIMIT for shift in shifts) > 50


def test_longer_questions_alarm() -> None:
    for seed in range(100):
        chance = random.Random(seed)
        assert numeric_shift(lengths(chance, 200), lengths(chance, 1000, 5.0)).beyond(LIMIT)


def test_another_mix_of_languages_alarms() -> None:
    for seed in range(100):
        chance = random.Random(seed)
        new = languages(chance, 1000, {"ko": 30, "en": 65, "ja": 4, "zh": 1})
        assert category_shift(languages(chance, 200), new).beyond(LIMIT)


def test_the_same_counts_have_no_shift_at_all() -> None:
    assert category_shift(USUAL, USUAL).psi == 0
    assert numeric_shift([5] * 40, [5] * 70).psi == 0
    assert not numeric_shift([5] * 40, [5] * 70).beyond(LIMIT)


def test_a_language_that_only_one_side_has_counts() -> None:
    assert category_shift({"ko": 100}, {"ko": 50, "en": 50}).beyond(LIMIT)
    assert category_shift({"ko": 100}, {"en": 100}).beyond(LIMIT)


def test_rare_languages_are_counted_as_one() -> None:
    rare = {f"l{number}": 1 for number in range(20)}
    assert category_shift({"ko": 500, "en": 480, **rare}, {"ko": 500, "en": 480, REST: 20}).bins == 3
