"""Which tags are due: one example of each rule, and what holds for any registry."""

import hashlib
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.releases.plan import (
    NEW_PER_LOOK,
    NEWEST_PER_LOOK,
    ROTATION_PER_LOOK,
    DueRelease,
    OnRetag,
    Retag,
    digests_wanted,
    fingerprint,
    matching,
    plan,
)

PATTERN = "release-.+"
POLICIES: tuple[OnRetag, ...] = ("evaluate", "ignore", "alert")


def digest(content: object) -> str:
    return "sha256:" + hashlib.sha256(str(content).encode()).hexdigest()


def known(**contents: str) -> dict[str, str]:
    return {tag: fingerprint(digest(content)) if content else "" for tag, content in contents.items()}


A, B, C = "release-1.9.0", "release-1.10.0", "release-1.11.0"
KNOWN = {A: fingerprint(digest("a")), B: fingerprint(digest("b"))}


def test_a_new_tag_is_due() -> None:
    planned = plan([A, B, C, "latest", "sha-12345"], {C: digest("c")}, KNOWN, 3, "evaluate", PATTERN)
    assert planned.evaluate == (DueRelease(C, digest("c"), "new"),)
    assert planned.add_partitions == (C,)
    assert set(planned.seen) == {A, B, C}


def test_the_first_time_only_the_newest_are_due() -> None:
    planned = plan([B, C, A], {B: digest("b"), C: digest("c")}, None, 2, "evaluate", PATTERN)
    assert [due.tag for due in planned.evaluate] == [B, C]
    assert planned.add_partitions == (A, B, C)
    assert planned.seen == {A: "", B: fingerprint(digest("b")), C: fingerprint(digest("c"))}


def test_an_empty_registry_has_been_seen() -> None:
    seen = plan([], {}, None, 0, "evaluate", PATTERN).seen
    assert [due.tag for due in plan([A], {A: digest("a")}, seen, 0, "evaluate", PATTERN).evaluate] == [A]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_moved_tag(policy: OnRetag) -> None:
    planned = plan([A, B], {A: digest("a"), B: digest("moved")}, KNOWN, 3, policy, PATTERN)
    assert planned.evaluate == ((DueRelease(B, digest("moved"), "retagged"),) if policy == "evaluate" else ())
    assert planned.alerts == ((Retag(B, KNOWN[B], digest("moved")),) if policy == "alert" else ())
    assert planned.add_partitions == ((B,) if policy == "evaluate" else ())
    assert planned.seen[B] == fingerprint(digest("moved"))


def test_a_digest_that_was_not_known_yet_is_no_move() -> None:
    planned = plan([A], {A: digest("a")}, {A: ""}, 3, "evaluate", PATTERN)
    assert planned.evaluate == ()
    assert planned.seen == {A: fingerprint(digest("a"))}


def test_two_tags_of_one_image_are_two_releases() -> None:
    planned = plan([A, B], {A: digest("x"), B: digest("x")}, {}, 3, "evaluate", PATTERN)
    assert [due.tag for due in planned.evaluate] == [A, B]


def test_a_tag_that_disappears_for_a_while_is_not_new() -> None:
    gone = plan([A], {}, KNOWN, 3, "evaluate", PATTERN)
    assert plan([A, B], {B: digest("b")}, gone.seen, 3, "evaluate", PATTERN).evaluate == ()


def test_a_tag_listed_twice_is_due_once() -> None:
    planned = plan([A, A], {A: digest("a")}, {}, 3, "evaluate", PATTERN)
    assert len(planned.evaluate) == len(planned.add_partitions) == 1


@pytest.mark.parametrize(
    "tag", ["release-1...2", "release-1,2", "release-a|b", "release-\x07", "release-é", "release-" + "x" * 121]
)
def test_a_tag_that_cannot_be_a_partition_is_rejected_with_the_reason(tag: str) -> None:
    planned = plan([tag, A], {tag: digest("x"), A: digest("a")}, {}, 3, "evaluate", "(?s)release-.+")
    assert list(planned.rejected) == [tag]
    assert [due.tag for due in planned.evaluate] == [A]


def test_the_whole_tag_has_to_match() -> None:
    assert matching(["release-1", "prerelease-1", "release-1\n"], "release-[0-9]|rc")[0] == ("release-1",)


def test_new_tags_are_asked_for_first_and_never_too_many() -> None:
    listed = [f"release-{number}" for number in range(100)]
    wanted = digests_wanted(listed, {}, 3, "evaluate", PATTERN, "")
    assert wanted.tags == tuple(f"release-{number}" for number in range(99, 99 - NEW_PER_LOOK, -1))
    assert wanted.rotation == ()


@pytest.mark.parametrize(("first_releases", "asked"), [(0, 0), (3, 3), (1000, NEW_PER_LOOK)])
def test_the_first_time_only_the_newest_are_asked_for(first_releases: int, asked: int) -> None:
    listed = [f"release-{number}" for number in range(500)]
    assert len(digests_wanted(listed, None, first_releases, "evaluate", PATTERN, "").tags) == asked


def test_known_tags_are_asked_for_only_to_notice_moves() -> None:
    assert digests_wanted([A, B], KNOWN, 3, "ignore", PATTERN, "").tags == ()


def test_every_known_tag_has_its_turn() -> None:
    tags = {f"release-{number}": "" for number in range(100)}
    newest = {f"release-{number}" for number in range(99, 99 - NEWEST_PER_LOOK, -1)}
    checked, asked = "", set[str]()
    looks = -(-(100 - NEWEST_PER_LOOK) // ROTATION_PER_LOOK)
    for _ in range(looks):
        wanted = digests_wanted(list(tags), tags, 3, "alert", PATTERN, checked)
        assert newest <= set(wanted.tags)
        assert len(wanted.tags) == len(set(wanted.tags)) <= NEWEST_PER_LOOK + ROTATION_PER_LOOK
        checked = wanted.rotation[-1]
        asked |= set(wanted.tags)
    assert asked == set(tags)


TAGS = st.from_regex(r"release-(1|2)\.(0|9|10)(-rc1)?|latest|release-1\.\.\.[ab]", fullmatch=True)
CONTENTS = st.sampled_from("abc").map(digest)
REGISTRIES = st.dictionaries(TAGS, CONTENTS, max_size=10)
MEMORIES = st.none() | st.dictionaries(TAGS, st.just("") | CONTENTS.map(fingerprint), max_size=6)


@settings(deadline=None)
@given(REGISTRIES, st.sets(TAGS), MEMORIES, st.integers(0, 4), st.sampled_from(POLICIES))
def test_what_holds_for_every_plan(
    registry: dict[str, str],
    unreadable: set[str],
    memory: Mapping[str, str] | None,
    first_releases: int,
    policy: OnRetag,
) -> None:
    digests = {tag: content for tag, content in registry.items() if tag not in unreadable}
    planned = plan(list(registry), digests, memory, first_releases, policy, PATTERN)
    due = [release.tag for release in planned.evaluate]
    releases = {tag for tag in registry if tag.startswith("release-")}

    assert len(set(due)) == len(due)
    assert len(set(planned.add_partitions)) == len(planned.add_partitions)
    assert set(due) <= set(planned.add_partitions)
    # No tag is lost: it is remembered, refused with a reason, or still to be read.
    assert releases == (set(planned.seen) & releases) | set(planned.rejected) | set(planned.unread)
    assert not set(planned.seen) & set(planned.unread)
    assert set(memory or {}) <= set(planned.seen)
    assert all(release.digest == registry[release.tag] for release in planned.evaluate)
    if memory is None:
        assert len(due) <= first_releases

    again = plan(list(registry), digests, planned.seen, first_releases, policy, PATTERN)
    assert (again.evaluate, again.add_partitions, again.alerts) == ((), (), ())
    assert again.seen == planned.seen


@settings(deadline=None)
@given(st.lists(REGISTRIES, min_size=1, max_size=5), st.integers(0, 3), st.sampled_from(POLICIES))
def test_over_many_looks_each_image_of_a_tag_is_due_at_most_once_in_a_row(
    states: list[dict[str, str]], first_releases: int, policy: OnRetag
) -> None:
    memory: Mapping[str, str] | None = None
    checked = ""
    last: dict[str, str] = {}
    for registry in states:
        wanted = digests_wanted(list(registry), memory, first_releases, policy, PATTERN, checked)
        digests = {tag: registry[tag] for tag in wanted.tags}
        planned = plan(list(registry), digests, memory, first_releases, policy, PATTERN)
        assert planned.unread == ()
        for release in planned.evaluate:
            assert last.get(release.tag) != release.digest
            last[release.tag] = release.digest
        memory, checked = planned.seen, wanted.rotation[-1] if wanted.rotation else checked
