"""Which set gives way to which."""

from itertools import permutations

import pytest

from vllm_quality.datasets.dedup.policy import Policy
from vllm_quality.datasets.schema import DatasetError


def test_of_two_sets_the_one_of_higher_priority_keeps_its_row() -> None:
    policy = Policy(priorities={"a": 1, "b": 2})
    assert policy.wins("b", "a")
    assert not policy.wins("a", "b")
    assert policy.levels(["a", "b", "c"]) == {"b": 0, "a": 1, "c": 2}


def test_sets_of_one_priority_are_of_one_level() -> None:
    assert Policy().levels(["a", "b"]) == {"a": 0, "b": 0}


def test_benchmarks_are_flag_only_by_default() -> None:
    policy = Policy(roles={"gsm8k": "benchmark", "ours": "golden"})
    assert policy.rule("gsm8k", "gsm8k") == policy.rule("ours", "gsm8k") == "flag"
    assert policy.rule("ours", "ours") == "drop"


def test_what_is_said_of_a_pair_wins_in_either_order() -> None:
    policy = Policy(roles={"gsm8k": "benchmark"}, pairs={("ours", "gsm8k"): "drop-from:ours"}, priorities={"ours": 9})
    assert policy.rule("gsm8k", "ours") == policy.rule("ours", "gsm8k") == "drop-from:ours"
    assert policy.levels(["ours", "gsm8k"]) == {"gsm8k": 0, "ours": 1}


def test_benchmarks_and_goldens_are_guarded_more_strictly_than_traffic() -> None:
    policy = Policy(roles={"a": "benchmark", "b": "golden", "c": "regression", "d": "traffic"}, guards={"e": "off"})
    assert [policy.guard(name) for name in "abcde"] == ["strict", "strict", "usual", "lenient", "off"]
    assert policy.guard("unknown") == "usual"


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ({("a", "b"): "drop-from:c"}, "it can be drop, flag, drop-from:a or drop-from:b"),
        ({("a", "a"): "flag"}, "twice in a pair"),
        ({("a", "b"): "drop", ("b", "a"): "flag"}, "given twice, and not alike"),
        ({("a", "b"): "keep"}, "is 'keep'"),
    ],
)
def test_a_policy_that_cannot_be_is_one_sentence(pairs: dict[tuple[str, str], str], told: str) -> None:
    with pytest.raises(DatasetError, match=told):
        Policy(pairs=pairs)


def test_a_circle_is_refused_and_named() -> None:
    policy = Policy(pairs={("a", "b"): "drop-from:a", ("b", "c"): "drop-from:b", ("c", "a"): "drop-from:c"})
    for names in permutations("abc"):
        with pytest.raises(DatasetError, match=r"in a circle: a gives way to b, b gives way to c, c gives way to a;"):
            policy.levels(names)


def test_a_priority_that_contradicts_a_pair_is_a_circle_too() -> None:
    policy = Policy(priorities={"a": 2, "b": 1}, pairs={("a", "c"): "drop-from:a", ("b", "c"): "drop-from:c"})
    with pytest.raises(DatasetError, match="circle"):
        policy.levels("abc")
