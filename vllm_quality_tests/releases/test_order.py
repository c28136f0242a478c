"""Which of two tags is newer."""

import itertools
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.releases.order import compare_tags, earlier_releases, tag_order

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass(frozen=True)
class Run:
    model_tag: str
    started_at: datetime


OLDEST_FIRST = [
    "release-nightly",
    "release-test",
    "release-0.6.0.dev3",
    "release-0.6.0",
    "release-1.0.0-alpha",
    "release-1.0.0-beta.2",
    "release-1.0.0-beta.11",
    "release-1.0.0rc1",
    "release-1.0.0-rc2",
    "release-1.0.0-rc.10",
    "release-1.0.0",
    "release-1.0.0-cuda12",
    "release-1.0.0.post1",
    "release-1.0.1-rc1",
    "release-1.0.1",
    "release-v1.9.0",
    "release-1.10.0",
    "release-2.0",
    "release-2.0.1",
    "release-2026.11.9",
    "release-2026.11.22",
]
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True) | st.from_regex(
    r"release-v?[0-9]{1,3}(\.[0-9]{1,3}){0,2}(-?(rc|alpha|dev|post)\.?[0-9]{0,2})?", fullmatch=True
)


def test_releases_sort_by_version() -> None:
    shuffled = random.Random(7).sample(OLDEST_FIRST, len(OLDEST_FIRST))
    assert sorted(shuffled, key=tag_order) == OLDEST_FIRST


@pytest.mark.parametrize(("one", "other"), [("release-1.0", "release-v1.0"), ("release-1", "release-01")])
def test_tags_that_mean_the_same_still_have_an_order(one: str, other: str) -> None:
    assert tag_order(one) != tag_order(other)


@settings(deadline=None)
@given(st.lists(TAGS, min_size=2, max_size=6, unique=True))
def test_the_order_is_total(tags: list[str]) -> None:
    for one, other in itertools.combinations(tags, 2):
        assert (tag_order(one) < tag_order(other)) is not (tag_order(other) < tag_order(one))


@settings(deadline=None)
@given(TAGS)
def test_an_announcement_comes_before_what_it_announces(tag: str) -> None:
    assert tag_order(f"{tag}-rc1") < tag_order(tag) < tag_order(f"{tag}.post1")


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_has_a_place(tag: str) -> None:
    assert tag_order(tag) == tag_order(tag)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("release-1.9.0", "release-1.10.0"),
        ("release-1.4", "release-1.4.1"),
        ("release-2.0-rc1", "release-2.0"),
        ("release-2.0-rc1", "release-2.0-rc2"),
        ("release-2.0-beta2", "release-2.0-rc1"),
        ("release-2026-09-30", "release-2026-10-01"),
        ("release-20260930", "release-20261001"),
        ("release-v0.9", "release-V0.10"),
        ("release-demo-0", "release-demo-1"),
    ],
)
def test_the_earlier_release_is_known(earlier: str, later: str) -> None:
    assert compare_tags(earlier, later) == -1
    assert compare_tags(later, earlier) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("release-good", "release-bad"), ("release-1", "release-next"), ("release-1", "release-v1")]
)
def test_other_tags_tell_nothing(one: str, other: str) -> None:
    assert compare_tags(one, other) == 0


@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_numbers_are_compared_as_numbers(one: list[int], other: list[int]) -> None:
    found = compare_tags("release-" + ".".join(map(str, one)), "release-" + ".".join(map(str, other)))
    assert found == (one > other) - (one < other)


def test_a_backfilled_tag_is_held_against_those_before_it_newest_first() -> None:
    tags = ["release-1.3", "release-1.1", "release-1.4", "release-1.2"]
    runs = [Run(tag, NOW + timedelta(hours=at)) for at, tag in enumerate(tags)]
    assert [run.model_tag for run in earlier_releases(runs, "release-1.3.1")] == [
        "release-1.3",
        "release-1.2",
        "release-1.1",
    ]


def test_tags_without_an_order_go_by_the_time_they_were_evaluated() -> None:
    runs = [Run(tag, NOW + timedelta(hours=at)) for at, tag in enumerate(["blue", "green", "red"])]
    assert [run.model_tag for run in earlier_releases(runs, "yellow")] == ["red", "green", "blue"]
