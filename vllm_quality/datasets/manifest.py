"""What a snapshot says about itself: where its items come from, what was left out and why, and how sure that is."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from vllm_quality.datasets.dedup.certificate import Certificate
from vllm_quality.datasets.schema import Role

MANIFEST_VERSION = 2


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Quarantined(_Frozen):
    """A row that was left out; `line` is the position in a JSON array or parquet file."""

    file: str
    line: int
    why: str


class Counts(_Frozen):
    """A set's rows, stage by stage: rows = bad_rows + not_sampled + repeated + exact + near + items.

    bad_rows     cannot be used; see quarantine.parquet
    not_sampled  not drawn, where the set is sampled
    repeated     say exactly what another row of the set says
    exact        equal to an item that stays, in normal form
    near         below the threshold from an item that stays
    items        in the snapshot
    flagged      of those, the ones of which another item is (nearly) the same: the sets' policy only tells
    held_back    of those, the ones that differ from another in meaning or reference only
    """

    rows: int
    bad_rows: int
    not_sampled: int
    repeated: int
    exact: int
    near: int
    items: int
    flagged: int
    held_back: int


class SetManifest(_Frozen):
    """One data set in a snapshot.

    version      SHA-256 of all its usable items, which lie under `key`
    where        the place it was read from
    pii          anonymise, redact or keep
    entities     personal data that were replaced, by kind
    quarantined  the first thousand of the bad rows
    """

    version: str
    key: str
    where: str
    format: str
    language: str
    role: Role
    licence: str
    priority: int
    pii: str
    as_of: dt.date | None
    sample: dict[str, int] | None
    counts: Counts
    entities: dict[str, int]
    quarantined: tuple[Quarantined, ...]

    @property
    def duplicates(self) -> int:
        """Rows removed because the snapshot holds them already."""
        return self.counts.repeated + self.counts.exact + self.counts.near


class RemovedPair(_Frozen):
    """An item that was removed, and the one that stays for it; of both, the anonymised text's beginning."""

    removed: str
    removed_from: str
    kept: str
    kept_in: str
    kind: str
    distance: float
    removed_text: str
    kept_text: str


class StoredFile(_Frozen):
    """An object that belongs to the snapshot."""

    key: str
    sha256: str
    rows: int


class Manifest(_Frozen):
    """A snapshot's manifest.json; of the snapshot's first building, where the same items were frozen again later.

    files          items, pairs (the ledger of duplicates), quarantine (bad rows)
    certificate    the recall of the search for near duplicates; None in snapshots of manifest version 1
    alarms         sentences, for a person
    pairs          of the ledger, by kind and decision; examples: some removals among them
    deduplication  versions and parameters
    anonymisation  policy -> rules, versions and what they cannot find
    versions       of the packages
    built_at       None in snapshots of manifest version 1, as `built_by`
    """

    manifest_version: int
    hash: str
    items: int
    sets: dict[str, SetManifest]
    files: dict[str, StoredFile]
    certificate: Certificate | None
    alarms: tuple[str, ...]
    pairs: dict[str, int]
    examples: tuple[RemovedPair, ...] = ()
    deduplication: dict[str, Any]
    anonymisation: dict[str, dict[str, str]]
    versions: dict[str, str]
    built_at: dt.datetime | None
    built_by: str | None

    @property
    def item_counts(self) -> Mapping[str, int]:
        """Data set -> items in the snapshot."""
        return {name: entry.counts.items for name, entry in self.sets.items()}

    @property
    def bad_rows(self) -> int:
        """Rows left out because they cannot be read."""
        return sum(entry.counts.bad_rows for entry in self.sets.values())

    @property
    def removed(self) -> int:
        """Rows left out because the snapshot holds them already, or nearly."""
        return sum(entry.duplicates for entry in self.sets.values())
