"""Whether a snapshot can be used: its form, its counts, what was removed from it, and whether duplicates were found."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, get_args

import polars as pl

from vllm_quality.datasets.dedup.certificate import Certificate
from vllm_quality.datasets.manifest import Manifest
from vllm_quality.datasets.schema import ITEM_SCHEMA, Item, Role, items_of
from vllm_quality.datasets.traffic.freshness import RegressionSet, Traffic, judge_freshness
from vllm_quality.datasets.traffic.frozen import latest_frozen_day
from vllm_quality.datasets.traffic.profile import profile_of
from vllm_quality.results.objects import ObjectStore
from vllm_quality.settings import Settings

MOST_BAD_ROWS = 0.05  # share of a set's rows

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Judged:
    """What a check shows. severity: how bad it is when it did not pass."""

    passed: bool
    sentence: str
    severity: Severity = "error"
    figures: Mapping[str, float | int | str] = field(default_factory=dict)


def judge_schema(frame: pl.DataFrame) -> Judged:
    """Whether the items have the documented form."""
    wrong = next(_violations(frame), None)
    if wrong is not None:
        return Judged(False, wrong)
    return Judged(True, f"All {frame.height} items have the columns, types and values that the schema asks for.")


def judge_counts(frame: pl.DataFrame, manifest: Manifest) -> Judged:
    """Whether every row that was read is accounted for, and how many of them could not be used."""
    held = dict(frame.group_by("dataset").len().iter_rows())
    for name, entry in manifest.sets.items():
        counts = entry.counts
        accounted = sum((counts.bad_rows, counts.not_sampled, counts.repeated, counts.exact, counts.near, counts.items))
        if accounted != counts.rows:
            return Judged(False, f"Of the {counts.rows} rows of {name}, the manifest accounts for {accounted}.")
        if counts.items != held.get(name, 0):
            return Judged(False, f"{name} has {held.get(name, 0)} items where the manifest says {counts.items}.")
    if sum(held.values()) != manifest.items:
        return Judged(False, f"The snapshot has {sum(held.values())} items where its manifest says {manifest.items}.")
    rows = sum(entry.counts.rows for entry in manifest.sets.values())
    figures = {"rows": rows, "items": manifest.items, "bad_rows": manifest.bad_rows, "removed": manifest.removed}
    bad = {name: entry.counts.bad_rows / entry.counts.rows for name, entry in manifest.sets.items()}
    if worst := [f"{name} ({share:.1%})" for name, share in bad.items() if share > MOST_BAD_ROWS]:
        told = f"Too many rows could not be used in {', '.join(worst)}; see quarantine.parquet for their places and reasons."
        return Judged(False, told, "warning", figures)
    empty = [name for name, entry in manifest.sets.items() if not entry.counts.items]
    if empty:
        told = f"Other sets hold everything that {', '.join(empty)} has; nothing is asked of them."
        return Judged(False, told, "warning", figures)
    return Judged(True, f"All {rows} rows of {len(manifest.sets)} sets are accounted for.", figures=figures)


def judge_collapse(manifest: Manifest) -> Judged:
    """Whether a set lost so many of its rows as duplicates that a person should look."""
    figures = {name: entry.duplicates / entry.counts.rows for name, entry in manifest.sets.items()}
    if manifest.alarms:
        return Judged(False, " ".join(manifest.alarms), "warning", figures)
    return Judged(True, "No set lost many of its rows as duplicates.", figures=figures)


def judge_recall(manifest: Manifest) -> Judged:
    """Whether the search for near duplicates found nearly all of them, by its certificate."""
    if manifest.certificate is None:
        return Judged(False, "The snapshot is from before recall was certified; freeze it again.", "warning")
    return judge_certificate(manifest.certificate)


def judge_certificate(found: Certificate) -> Judged:
    """What a certificate says; no more than a warning where it neither shows nor rules out the recall that is required."""
    figures: dict[str, float | int | str] = {
        "sampled": found.sampled,
        "texts": found.texts,
        "true_pairs": found.true_pairs,
        "found": found.found,
        "low": found.low,
        "high": found.high,
        "confidence": found.confidence,
        "verdict": found.verdict,
    }
    short_of_it = found.verdict == "fail" or (found.recall is not None and found.recall < found.required)
    return Judged(found.verdict == "pass", found.sentence, "error" if short_of_it else "warning", figures)


def _violations(frame: pl.DataFrame) -> Iterator[str]:
    if frame.schema != pl.Schema(ITEM_SCHEMA):
        yield f"The columns are {dict(frame.schema)}, which is not the schema of items."
        return
    required = [name for name in ITEM_SCHEMA if name != "reference"]
    for name in required:
        if frame[name].null_count():
            yield f"{frame[name].null_count()} items have no {name}."
    if frame["id"].n_unique() != frame.height:
        yield f"{frame.height - frame['id'].n_unique()} items have the id of another."
    unknown = set(frame["role"]) - set(get_args(Role))
    if unknown:
        yield f"There are items of the unknown role {min(unknown)!r}."
    last = frame.select(pl.col("messages").list.last()).unnest("messages")
    asked = (last["role"] != "user") | (last["content"] != frame["input"]) | (frame["input"].str.strip_chars() == "")
    if asked.fill_null(True).any():
        yield f"{asked.fill_null(True).sum()} items do not end with a user's word that is their input."
    broken = sum(not isinstance(json.loads(text), dict) for text in frame["metadata"])
    if broken:
        yield f"{broken} items have metadata that are no object."


def judge_fresh(
    frame: pl.DataFrame, manifest: Manifest, objects: ObjectStore, settings: Settings, today: date
) -> Judged:
    """Whether the regression sets are neither too old nor far from the service's queries; a warning where not."""
    names = [name for name, entry in manifest.sets.items() if entry.role == "regression"]
    if not names:
        return Judged(True, "The snapshot has no regression set, so there is nothing to grow old.")
    sets = [
        RegressionSet(name, manifest.sets[name].as_of, profile_of(_items(frame.filter(pl.col("dataset") == name))))
        for name in names
    ]
    last = latest_frozen_day(objects)
    traffic = None if last is None else Traffic(last.day, last.profile)
    found = judge_freshness(
        sets,
        traffic,
        today=today,
        max_age_days=settings.regression_max_age_days,
        drift_limit=settings.drift_limit,
    )
    return Judged(found.outcome == "fine", found.sentence, "warning", found.figures)


def _items(frame: pl.DataFrame) -> Iterator[Item]:
    for part in frame.iter_slices(2_000):
        yield from items_of(part)
