"""One look at the registry: read what is there, decide what is due, remember where we stopped."""

from collections.abc import Mapping
from dataclasses import dataclass

from vllm_quality.releases.cursor import Cursor, watched
from vllm_quality.releases.plan import ReleasePlan, digests_wanted, matching, plan
from vllm_quality.releases.registry import RegistryClient
from vllm_quality.settings import Settings


@dataclass(frozen=True)
class Look:
    """What was found. `failures` has a sentence for each tag whose digest could not be read, `summary` one for the tick."""

    plan: ReleasePlan
    cursor: Cursor
    failures: Mapping[str, str]
    summary: str


def look(client: RegistryClient, settings: Settings, memory: Cursor | None) -> Look:
    """Read the registry and plan. Raises `RegistryError`; a failed read is never an empty list."""
    known = memory.seen if memory else None
    checked = memory.checked if memory else ""
    policy = (settings.first_releases, settings.on_retag, settings.tag_pattern)
    listed = client.tags()
    wanted = digests_wanted(listed, known, *policy, checked)
    reading = client.digests(wanted.tags)
    planned = plan(listed, reading.digests, known, *policy)
    reached = [tag for tag in wanted.rotation if tag in reading.digests or tag in reading.failures]
    cursor = Cursor(
        watched=watched(client.image, settings.tag_pattern),
        seen=planned.seen,
        checked=reached[-1] if reached else checked,
    )
    tags = matching(listed, settings.tag_pattern)[0]
    newest = f", the newest is {tags[-1]}" if tags else ""
    summary = f"{len(tags)} of {len(set(listed))} tags in {client.image} match {settings.tag_pattern!r}{newest}."
    return Look(planned, cursor, reading.failures, summary)
