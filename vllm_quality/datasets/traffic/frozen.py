"""Frozen days of service queries in the object store: `queries/<day>/<hash>/{items.parquet, pairs.parquet, manifest.json}`.

The manifest is written last and makes the day visible. A day may have several hashes, where its logs grew or the settings
changed; the one frozen last counts, unless a reader asks for another.
"""

import datetime as dt
import io
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from vllm_quality.datasets.schema import DatasetError, Item, hash_of_items, items_frame, items_of
from vllm_quality.datasets.traffic.manifest import DayManifest
from vllm_quality.datasets.traffic.profile import Profile
from vllm_quality.results.objects import ObjectStore

_PLACE = "queries"
_PARQUET = "application/vnd.apache.parquet"


class FrozenDayError(DatasetError):
    """A day's frozen queries are missing or not what they were."""


@dataclass(frozen=True)
class FrozenDay:
    """One frozen day: `items_key` holds its queries, anonymised."""

    manifest: DayManifest

    @property
    def day(self) -> dt.date:
        """The UTC day."""
        return self.manifest.day

    @property
    def hash(self) -> str:
        """SHA-256 of the items, as `hash_of_items` has it."""
        return self.manifest.hash

    @property
    def profile(self) -> Profile:
        """What the day's traffic looks like. Not that of the items, which lack what earlier days hold already."""
        return self.manifest.profile

    @property
    def items_key(self) -> str:
        """Where its queries lie in the object store: parquet of `ITEM_SCHEMA`."""
        return _key(self.day, self.hash, "items.parquet")

    @property
    def pairs_key(self) -> str:
        """Where the ledger of its duplicates lies."""
        return _key(self.day, self.hash, "pairs.parquet")

    @property
    def manifest_key(self) -> str:
        """Where its manifest lies."""
        return _key(self.day, self.hash, "manifest.json")


def frozen_days(objects: ObjectStore) -> dict[dt.date, tuple[str, ...]]:
    """The days that are frozen -> their hashes; both sorted."""
    found: dict[dt.date, list[str]] = {}
    for key in objects.list(f"{_PLACE}/"):
        parts = key.split("/")
        if len(parts) == 4 and parts[3] == "manifest.json":
            found.setdefault(_day(parts[1]), []).append(parts[2])
    return {day: tuple(sorted(found[day])) for day in sorted(found)}


def read_frozen_day(objects: ObjectStore, day: dt.date, wanted: str | None = None) -> FrozenDay:
    """A frozen day: the one with the hash `wanted`, else the one frozen last. Raises `FrozenDayError` when there is none."""
    hashes = [
        key.split("/")[2] for key in objects.list(f"{_PLACE}/{day.isoformat()}/") if key.endswith("/manifest.json")
    ]
    chosen = [one for one in hashes if wanted in (None, one)]
    if not chosen:
        what = f"the hash {wanted[:80]}" if wanted else "any queries"
        raise FrozenDayError(
            f"There is no day {day.isoformat()} with {what} at {objects.url(f'{_PLACE}/{day.isoformat()}')}; "
            "materialize service_queries for that day first."
        )
    return max((_read(objects, day, one) for one in chosen), key=lambda found: (found.manifest.frozen_at, found.hash))


def latest_frozen_day(objects: ObjectStore, *, with_queries: bool = True) -> FrozenDay | None:
    """The last day that is frozen; None when there is none.

    with_queries  pass over days that held nothing
    """
    for day in sorted(frozen_days(objects), reverse=True):
        found = read_frozen_day(objects, day)
        if found.profile.count or not with_queries:
            return found
    return None


def load_frozen_items(objects: ObjectStore, frozen: FrozenDay) -> list[Item]:
    """The queries of a frozen day. Raises `FrozenDayError` when they are not what the hash says."""
    try:
        items = items_of(pl.read_parquet(io.BytesIO(objects.get(frozen.items_key))))
        intact = hash_of_items(items) == frozen.hash
    except (pl.exceptions.PolarsError, KeyError, TypeError):
        items, intact = [], False
    if not intact:
        raise FrozenDayError(
            f"{objects.url(frozen.items_key)} does not hold what its name says; move its folder away and materialize "
            f"service_queries for {frozen.day.isoformat()} again."
        )
    return items


def freeze_day(objects: ObjectStore, manifest: DayManifest, items: Sequence[Item], pairs: pl.DataFrame) -> FrozenDay:
    """Store a day, the manifest last. What is stored in the end, which is the first writer's."""
    frozen = FrozenDay(manifest)
    objects.put(frozen.items_key, _parquet(items_frame(items)), _PARQUET)
    objects.put(frozen.pairs_key, _parquet(pairs), _PARQUET)
    objects.put(frozen.manifest_key, manifest.model_dump_json(indent=1).encode(), "application/json")
    return _read(objects, frozen.day, frozen.hash)


def _read(objects: ObjectStore, day: dt.date, day_hash: str) -> FrozenDay:
    key = _key(day, day_hash, "manifest.json")
    try:
        return FrozenDay(DayManifest.model_validate_json(objects.get(key)))
    except ValueError:
        raise FrozenDayError(
            f"{objects.url(key)} is no manifest that this version reads; move its folder away and materialize "
            f"service_queries for {day.isoformat()} again."
        ) from None


def _key(day: dt.date, day_hash: str, name: str) -> str:
    return f"{_PLACE}/{day.isoformat()}/{day_hash}/{name}"


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise FrozenDayError(f"{_PLACE}/{text[:80]} is not a day such as 2026-11-21; move it away.") from None


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()
