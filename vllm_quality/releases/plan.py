"""Which tags are due: pure decisions on what a registry lists and what was seen before."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vllm_quality.releases.order import tag_order

OnRetag = Literal["evaluate", "ignore", "alert"]

# What one look at the registry may cost: at most this many requests for a digest.
NEW_PER_LOOK = 25
NEWEST_PER_LOOK = 5
ROTATION_PER_LOOK = 15

UNREAD = ""  # the fingerprint of a tag whose digest was not asked for yet

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")  # OCI distribution specification 1.1, "Pulling manifests"


@dataclass(frozen=True)
class DueRelease:
    """A release to evaluate. `reason` is "new", or "retagged" when the tag points to another image than before."""

    tag: str
    digest: str
    reason: Literal["new", "retagged"]


@dataclass(frozen=True)
class Retag:
    """A known tag that points to another image now. `before` is a fingerprint, `digest` the whole new digest."""

    tag: str
    before: str
    digest: str


@dataclass(frozen=True)
class ReleasePlan:
    """What one look at the registry leads to.

    evaluate        releases due, oldest first, so that each finds the one before it as its baseline
    add_partitions  tags that become partitions: those to evaluate, and those only offered for backfill
    alerts          changed tags that a person wants to hear of
    rejected        tags that match the pattern but cannot be partitions, each with the reason
    unread          due tags whose digest could not be read; they are still unknown, and so due the next time
    seen            what is known from now on: a digest's fingerprint by tag
    """

    evaluate: tuple[DueRelease, ...]
    add_partitions: tuple[str, ...]
    alerts: tuple[Retag, ...]
    rejected: Mapping[str, str]
    unread: tuple[str, ...]
    seen: Mapping[str, str]


@dataclass(frozen=True)
class DigestRequest:
    """The tags whose digests are wanted, most urgent first; `rotation` are those of them that were chosen by turns."""

    tags: tuple[str, ...]
    rotation: tuple[str, ...]


def fingerprint(digest: str) -> str:
    """The first 64 bits of a digest: enough to notice a change, and four times smaller in the sensor's cursor."""
    return digest.rpartition(":")[2][:16]


def matching(listed: Iterable[str], pattern: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The tags that are releases, oldest first, each once; and those that cannot be partitions, with the reason.

    A partition key with "..." breaks Dagster's ranges, a comma its backfills, a "|" looks like two dimensions, control
    characters are refused. A registry that keeps to the OCI grammar has only the first of these.
    """
    tags, rejected = [], {}
    for tag in sorted(set(listed), key=tag_order):
        if not re.fullmatch(pattern, tag):
            continue
        if not _TAG.fullmatch(tag):
            rejected[tag] = "it is not a valid OCI tag"
        elif "..." in tag:
            rejected[tag] = "Dagster refuses '...' in a partition key"
        else:
            tags.append(tag)
    return tuple(tags), rejected


def digests_wanted(
    listed: Iterable[str],
    known: Mapping[str, str] | None,
    first_releases: int,
    on_retag: OnRetag,
    pattern: str,
    checked: str,
) -> DigestRequest:
    """The digests to ask for in this look; `checked` is the tag at which the rotation stopped the last time.

    New tags always, the newest first. Known tags cost a request each only to notice that they moved: the newest
    `NEWEST_PER_LOOK` every time, the others by turns, `ROTATION_PER_LOOK` at a time, newest first. So with one look per
    `poll_seconds`, a moved tag is noticed within one look if it is among the newest five, else within
    ceil((tags - 5) / 15) looks: 33 minutes for 500 tags looked at every minute, for 20 requests a look. Old tags that were
    only offered for backfill are read for the first time in the same way; a move before that goes unnoticed.
    """
    tags = matching(listed, pattern)[0]
    newest_first = tags[::-1]
    if known is None:
        return DigestRequest(newest_first[: min(first_releases, NEW_PER_LOOK)], ())
    new = tuple(tag for tag in newest_first if tag not in known)[:NEW_PER_LOOK]
    if on_retag == "ignore":
        return DigestRequest(new, ())
    old = tuple(tag for tag in newest_first if tag in known)
    newest, others = old[:NEWEST_PER_LOOK], old[NEWEST_PER_LOOK:]
    turn = sum(1 for tag in others if tag_order(tag) >= tag_order(checked)) if checked else 0
    rotation = (others[turn:] + others[:turn])[:ROTATION_PER_LOOK]
    return DigestRequest(new + newest + rotation, rotation)


def plan(
    listed: Sequence[str],
    digests: Mapping[str, str],
    known: Mapping[str, str] | None,
    first_releases: int,
    on_retag: OnRetag,
    pattern: str,
) -> ReleasePlan:
    """What to do about the tags a registry lists, given the digests that were read.

    `known` is the `seen` of the plan before; None when this registry and pattern are looked at for the first time. Then
    only the newest `first_releases` are evaluated and the others are offered for backfill. A tag that is no longer listed
    stays known: a listing that lacks it for a moment must not make it new.
    """
    tags, rejected = matching(listed, pattern)
    offered = set(tags[: max(0, len(tags) - first_releases)]) if known is None else set()
    seen = dict(known or {})
    evaluate: list[DueRelease] = []
    alerts: list[Retag] = []
    unread: list[str] = []
    for tag in tags:
        digest = digests.get(tag)
        if tag not in seen:
            if tag in offered:
                seen[tag] = UNREAD
            elif digest is None:
                unread.append(tag)
            else:
                evaluate.append(DueRelease(tag, digest, "new"))
        elif digest is not None and seen[tag] not in (UNREAD, fingerprint(digest)):
            if on_retag == "evaluate":
                evaluate.append(DueRelease(tag, digest, "retagged"))
            elif on_retag == "alert":
                alerts.append(Retag(tag, seen[tag], digest))
        if digest is not None:
            seen[tag] = fingerprint(digest)
    due = {release.tag for release in evaluate}
    return ReleasePlan(
        evaluate=tuple(evaluate),
        add_partitions=tuple(tag for tag in tags if tag in due or tag in offered),
        alerts=tuple(alerts),
        rejected=rejected,
        unread=tuple(unread),
        seen=seen,
    )
