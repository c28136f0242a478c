"""What the check of the regression sets shows."""

import datetime as dt
import random
from collections import Counter

from vllm_quality.datasets.schema import Message
from vllm_quality.datasets.traffic.freshness import RegressionSet, Traffic, judge_freshness
from vllm_quality.datasets.traffic.profile import Profile, profile_of
from vllm_quality_tests.datasets.sets import question

TODAY = dt.date(2026, 11, 22)


def profile(seed: int, count: int, *, middle: float = 4.0, korean: float = 0.7) -> Profile:
    chance = random.Random(seed)
    return Profile(
        [int(chance.lognormvariate(middle, 1)) for _ in range(count)],
        [1 + int(chance.expovariate(1)) for _ in range(count)],
        Counter("ko" if chance.random() < korean else "en" for _ in range(count)),
    )


def regression(days: int | None, found: Profile | None = None, name: str = "asked") -> RegressionSet:
    as_of = None if days is None else TODAY - dt.timedelta(days=days)
    return RegressionSet(name, as_of, found or profile(1, 300))


def traffic(found: Profile | None = None, days: int = 1) -> Traffic:
    return Traffic(TODAY - dt.timedelta(days=days), found or profile(2, 1000))


def test_a_young_set_like_the_traffic_is_fine() -> None:
    found = judge_freshness([regression(10)], traffic(), today=TODAY)
    assert found.outcome == "fine"
    assert found.sentence.startswith(
        "The newest regression set is as of 2026-11-12, 10 days ago, within the 30 allowed."
    )
    assert "(300 items against 1000 queries of 2026-11-21)" in found.sentence
    assert found.figures["age_days"] == 10
    assert set(found.figures) >= {"lengths_psi", "languages_psi", "turns_psi", "lengths_psi_by_chance", "items"}


def test_an_old_one_is_stale_and_a_newer_one_beside_it_helps() -> None:
    found = judge_freshness([regression(31)], traffic(), today=TODAY)
    assert found.outcome == "stale"
    assert "31 days ago, more than the 30 allowed. To renew it, make a set" in found.sentence
    assert judge_freshness([regression(31)], traffic(), today=TODAY, max_age_days=31).outcome == "fine"
    assert judge_freshness([regression(300), regression(3)], traffic(), today=TODAY).outcome == "fine"


def test_drift_is_told_with_its_figures() -> None:
    for other in (profile(2, 1000, middle=5.0), profile(2, 1000, korean=0.2)):
        found = judge_freshness([regression(10)], traffic(other), today=TODAY)
        assert found.outcome == "drifted"
        assert "Traffic has drifted from the regression sets: PSI of" in found.sentence
    both = judge_freshness([regression(90)], traffic(profile(2, 1000, middle=6.0)), today=TODAY)
    assert both.outcome == "stale"
    assert "has drifted" in both.sentence


def test_several_sets_are_compared_together() -> None:
    sets = [regression(5, profile(1, 210, korean=1.0), "ko"), regression(5, profile(3, 90, korean=0.0), "en")]
    assert judge_freshness(sets, traffic(), today=TODAY).outcome == "fine"
    assert judge_freshness(sets[:1], traffic(), today=TODAY).outcome == "drifted"


def test_what_cannot_be_told_is_unknown() -> None:
    nothing = judge_freshness([], traffic(), today=TODAY)
    assert (nothing.outcome, dict(nothing.figures)) == ("unknown", {})
    assert "no regression set" in nothing.sentence
    undated = judge_freshness([regression(None)], traffic(), today=TODAY)
    assert undated.outcome == "unknown"
    assert "No regression set (asked) says as_of" in undated.sentence
    silence = judge_freshness([regression(1)], None, today=TODAY)
    assert silence.outcome == "unknown"
    assert "No day of service queries is frozen" in silence.sentence
    late = judge_freshness([regression(1)], traffic(days=40), today=TODAY)
    assert late.outcome == "unknown"
    assert "40 days ago, too long to tell drift by" in late.sentence
    few = judge_freshness([regression(1, profile(1, 12))], traffic(), today=TODAY)
    assert few.outcome == "unknown"
    assert "12 regression items and 1000 queries of 2026-11-21 are too few" in few.sentence
    assert judge_freshness([regression(99)], None, today=TODAY).outcome == "stale"


def test_samples_of_the_same_traffic_are_fine_in_99_of_100_and_a_shift_is_seen_in_as_many() -> None:
    outcomes = Counter(
        judge_freshness([regression(1, profile(seed, 200))], traffic(profile(seed + 5000, 1000)), today=TODAY).outcome
        for seed in range(300)
    )
    assert outcomes["fine"] >= 297
    shifted = Counter(
        judge_freshness(
            [regression(1, profile(seed, 200))], traffic(profile(seed + 5000, 1000, middle=4.8)), today=TODAY
        ).outcome
        for seed in range(100)
    )
    assert shifted["drifted"] >= 99


def test_a_profile_counts_the_users_words() -> None:
    long = question("How are you?")
    turns = (Message("system", "x" * 99), Message("user", "Hi"), Message("assistant", "Hi."), *long.messages)
    asked = [question("안녕하세요"), type(long)(**{**vars(long), "messages": turns})]
    assert profile_of(asked) == Profile([5, 12], [1, 2], {"en": 1, "ko": 1})
