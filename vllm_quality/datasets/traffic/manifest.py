"""What a frozen day of service queries says about itself: how many rows were there at each stage, and how they were treated."""

import datetime as dt
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from vllm_quality.datasets.dedup.certificate import Certificate
from vllm_quality.datasets.traffic.profile import Profile

MANIFEST_VERSION = 2


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LeftOutRow(_Frozen):
    """A row that could not be read: its place in the logs, and why; never what it says."""

    file: str
    line: int
    why: str


class Stratum(_Frozen):
    """One value of the metadata key that the sample is stratified by; the value as it was anonymised."""

    value: str
    matched: int
    sampled: int


class DayCounts(_Frozen):
    """A day's rows, stage by stage.

    seen           rows that the source gave
    other_days     of those, the ones whose time stamp is of another day
    unreadable     of those, the ones that are no query in a known form
    repeated       of those, the ones that came twice (the same id; without one, the same content)
    not_matched    of those, the ones whose metadata is not what was asked for
    matched        the rest: the day's queries
    sampled        of those, the ones drawn
    unreadable_sampled  of those, the ones whose messages turned out to be no query
    duplicates     of those, removed because the day holds nearly the same
    known          of those, removed because an earlier day holds nearly the same
    kept           what is left: the frozen items
    entities       personal data that were replaced in the sample, by kind
    """

    seen: int
    other_days: int
    unreadable: int
    repeated: int
    not_matched: int
    matched: int
    sampled: int
    unreadable_sampled: int
    duplicates: int
    known: int
    kept: int
    entities: dict[str, int]


class DayManifest(_Frozen):
    """A frozen day's manifest.json.

    source       where the rows came from, without secrets
    asked        metadata that a query had to have
    method       how it was sampled, anonymised and deduplicated: parameters and versions
    alarms       what a person should look at
    earlier      the earlier days it was deduplicated against, day -> hash
    certificate  the recall of its near duplicates, within the day and with all earlier days; None where there was no query,
                 and in manifests of version 1
    profile      of the day's queries, each counted once, those known of earlier days among them: what drift is judged by
    left_out     the first of the unreadable rows
    frozen_at    when it was first frozen; a later run that comes to the same items changes nothing
    """

    manifest_version: int
    day: dt.date
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    counts: DayCounts
    strata: tuple[Stratum, ...]
    source: str
    asked: dict[str, str]
    method: dict[str, JsonValue]
    alarms: tuple[str, ...]
    earlier: dict[dt.date, str]
    certificate: Certificate | None = None
    profile: Profile
    left_out: tuple[LeftOutRow, ...]
    frozen_at: dt.datetime
