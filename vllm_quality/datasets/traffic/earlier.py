"""What a day's queries are compared with: a bank of those of earlier days, kept on this machine and grown by a day a day.

The bank is only a help: it is made anew from the frozen days where it is missing, was made by other versions, or holds
mostly what is no longer asked about.
"""

import datetime as dt
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from vllm_quality.datasets.dedup.groups import Chained
from vllm_quality.datasets.dedup.near.bank import Bank, BankError, bank_with, empty_bank, load_bank
from vllm_quality.datasets.dedup.near.lsh import SHORT
from vllm_quality.datasets.dedup.normal import NORMALISATION, comparison_text
from vllm_quality.datasets.schema import Item
from vllm_quality.datasets.traffic.frozen import FrozenDay, frozen_days, load_frozen_items, read_frozen_day
from vllm_quality.datasets.traffic.shared import index_name, indexed_bank, open_storage, shared_table
from vllm_quality.results.objects import ObjectStore

# A query that was frozen longer ago may come again: it is still asked.
EARLIER_DAYS = 100
_GROWTH = 4  # times what the bank was counted on, or what is needed, beyond which it is made anew


def days_before(objects: ObjectStore, day: dt.date) -> list[FrozenDay]:
    """The frozen days with queries, of the last hundred before a day, each as it was frozen last."""
    since = day - dt.timedelta(days=EARLIER_DAYS)
    found = [read_frozen_day(objects, earlier) for earlier in frozen_days(objects) if since <= earlier < day]
    return [frozen for frozen in found if frozen.manifest.counts.kept]


@contextmanager
def earlier_bank(
    objects: ObjectStore, earlier: Sequence[FrozenDay], folder: Path, seed: int, index: str | None = None
) -> Iterator[Bank]:
    """A bank of all queries of these days and no others; their ids are "<day>/<hash>/<item's id>".

    folder  where it is kept; other processes wait for it, since the bank is read from there
    index   the address of a storage for signatures that machines share; see `open_storage`
    """
    wanted = _named(earlier)
    if not wanted:
        yield empty_bank([], seed=seed)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if index is None:
            yield _of_days(_kept_bank(objects, wanted, folder, seed), wanted)
            return
        with open_storage(index) as storage:
            name = index_name(storage, sum(frozen.manifest.counts.kept for frozen in earlier), seed)
            bank = _of_days(_unsigned_bank(objects, wanted, folder, seed, name), wanted)
            yield indexed_bank(bank, list(wanted), storage, name)


def earlier_items(objects: ObjectStore, earlier: Sequence[FrozenDay], ids: Sequence[str]) -> list[Item]:
    """The queries with these ids of the bank."""
    days = _named(earlier)
    read = {name: _by_id(objects, name, days[name]) for name in sorted({_day_of(one) for one in ids})}
    return [read[_day_of(one)][one] for one in ids]


def _named(days: Sequence[FrozenDay]) -> dict[str, FrozenDay]:
    return {f"{frozen.day.isoformat()}/{frozen.hash[:16]}": frozen for frozen in days}


def _day_of(name: str) -> str:
    return name.rpartition("/")[0]


def _held(bank: Bank) -> list[str]:
    """The day of each segment."""
    return [_day_of(segment.ids[0]) for segment in bank.segments]


def _of_days(bank: Bank, wanted: Iterable[str]) -> Bank:
    segments = {segment: number for number, segment in enumerate(_held(bank))}
    return bank.of_segments([segments[name] for name in wanted])


def _kept_bank(objects: ObjectStore, wanted: Mapping[str, FrozenDay], folder: Path, seed: int) -> Bank:
    """A bank with a segment for each of the wanted days, and perhaps for others."""
    versions = {"normalisation": NORMALISATION, "seed": str(seed)}
    bank = _loaded(folder, versions)
    if bank is not None:
        held = set(_held(bank))
        new = [_texts(objects, name, frozen) for name, frozen in wanted.items() if name not in held]
        size = len(bank) + sum(len(texts) for _, texts in new)
        signed = bank.signed + sum(len(text) > SHORT for _, texts in new for text in texts)
        needed = sum(frozen.manifest.counts.kept for frozen in wanted.values())
        if size <= _GROWTH * needed and signed <= _GROWTH * bank.table.texts:
            for ids, texts in new:
                bank.append(ids, texts)
            bank.save(folder)
            return bank
    days = [_texts(objects, name, frozen) for name, frozen in wanted.items()]
    bank = empty_bank(Chained(texts for _, texts in days), seed=seed, versions=versions)
    for ids, texts in days:
        bank.append(ids, texts)
    shutil.rmtree(folder, ignore_errors=True)
    bank.save(folder)
    return bank


def _unsigned_bank(objects: ObjectStore, wanted: Mapping[str, FrozenDay], folder: Path, seed: int, index: str) -> Bank:
    """The same without signatures, which are in the index of this name."""
    versions = {"normalisation": NORMALISATION, "seed": str(seed), "index": index}
    bank = _loaded(folder, versions)
    if bank is None or len(bank) > _GROWTH * sum(frozen.manifest.counts.kept for frozen in wanted.values()):
        shutil.rmtree(folder, ignore_errors=True)
        bank = None
    held = set() if bank is None else set(_held(bank))
    new = [_texts(objects, name, frozen) for name, frozen in wanted.items() if name not in held]
    if bank is None:
        table = shared_table(objects, index, Chained(texts for _, texts in new), seed)
        bank = bank_with(table, seed=seed, versions=versions)
    for ids, texts in new:
        bank.append(ids, texts, signed=False)
    bank.save(folder)
    return bank


def _loaded(folder: Path, versions: Mapping[str, str]) -> Bank | None:
    """The bank in the folder; None when it is not there, of other versions, or half written."""
    try:
        return load_bank(folder, versions=versions)
    except (BankError, OSError, ValueError, KeyError):
        return None


def _texts(objects: ObjectStore, name: str, frozen: FrozenDay) -> tuple[list[str], list[str]]:
    """The ids and the normal forms of a day's queries."""
    items = _by_id(objects, name, frozen)
    return list(items), [comparison_text(item) for item in items.values()]


def _by_id(objects: ObjectStore, name: str, frozen: FrozenDay) -> dict[str, Item]:
    return {f"{name}/{item.id}": item for item in load_frozen_items(objects, frozen)}
