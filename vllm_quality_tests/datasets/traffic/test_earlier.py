"""The bank of earlier days grows by a day a day, and is nothing that could not be made again."""

import datetime as dt
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from vllm_quality.datasets.dedup.ledger import PAIR_SCHEMA
from vllm_quality.datasets.dedup.near.bank import load_bank
from vllm_quality.datasets.dedup.normal import NORMALISATION, comparison_text
from vllm_quality.datasets.schema import Item, Message, hash_of_items
from vllm_quality.datasets.traffic.earlier import EARLIER_DAYS, days_before, earlier_bank, earlier_items
from vllm_quality.datasets.traffic.frozen import FrozenDay, freeze_day
from vllm_quality.datasets.traffic.manifest import DayCounts, DayManifest
from vllm_quality.datasets.traffic.profile import profile_of
from vllm_quality.results.objects import FileObjects
from vllm_quality_tests.datasets.traffic.rows import DAY, question

VERSIONS = {"normalisation": NORMALISATION, "seed": "1"}


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path / "objects")


def item(number: int) -> Item:
    text = " ".join(question(number + further) for further in (0, 5000, 9000))
    return Item("service_queries", "en", "traffic", (Message("user", text),), None, (), "{}", "x", 1)


def freeze(objects: FileObjects, day: dt.date, numbers: Sequence[int]) -> FrozenDay:
    """A frozen day of these queries."""
    items = [item(number) for number in numbers]
    none = dict.fromkeys(DayCounts.model_fields, 0)
    manifest = DayManifest(
        manifest_version=1,
        day=day,
        hash=hash_of_items(items),
        counts=DayCounts(**{**none, "kept": len(items), "entities": {}}),
        strata=(),
        source="",
        asked={},
        method={},
        alarms=(),
        earlier={},
        profile=profile_of(items),
        left_out=(),
        frozen_at=dt.datetime.now(dt.UTC),
    )
    return freeze_day(objects, manifest, items, pl.DataFrame(schema=dict(PAIR_SCHEMA)))


def near(objects: FileObjects, day: dt.date, numbers: Sequence[int], folder: Path) -> list[str]:
    """Which earlier queries are near these, as "<day> <number>"."""
    texts = [comparison_text(item(number)) for number in numbers]
    known = {item(number).id: number for number in range(300)}
    earlier = days_before(objects, day)
    with earlier_bank(objects, earlier, folder, 1) as bank:
        assert len(bank) == sum(frozen.manifest.counts.kept for frozen in earlier)
        ids = sorted({bank.ids[at] for at in bank.query(texts).banked.tolist()})
    found = earlier_items(objects, earlier, ids)
    assert all(name.endswith(one.id) for name, one in zip(ids, found, strict=True))
    return [f"{name[:10]} {known[one.id]}" for name, one in zip(ids, found, strict=True)]


def ago(days: int) -> dt.date:
    return DAY - dt.timedelta(days=days)


def segments(folder: Path) -> int:
    return int(json.loads((folder / "bank.json").read_text(encoding="utf-8"))["segments"])


def test_the_days_before_are_those_with_queries(objects: FileObjects) -> None:
    for days, numbers in ((0, [1]), (1, [2]), (2, []), (EARLIER_DAYS, [3]), (EARLIER_DAYS + 1, [4])):
        freeze(objects, ago(days), numbers)
    assert [frozen.day for frozen in days_before(objects, DAY)] == [ago(EARLIER_DAYS), ago(1)]


def test_what_is_near_is_found_and_the_bank_grows(objects: FileObjects, tmp_path: Path) -> None:
    folder = tmp_path / "work" / "bank"
    freeze(objects, ago(3), range(60))
    assert near(objects, ago(2), [5, 200], folder) == [f"{ago(3)} 5"]
    assert segments(folder) == 1
    freeze(objects, ago(2), range(60, 100))
    assert near(objects, ago(1), [5, 77, 200], folder) == [f"{ago(3)} 5", f"{ago(2)} 77"]
    assert segments(folder) == 2
    assert near(objects, ago(1), [5, 77, 200], folder) == [f"{ago(3)} 5", f"{ago(2)} 77"]
    assert segments(folder) == 2
    assert near(objects, ago(2), [5, 77, 200], folder) == [f"{ago(3)} 5"]  # a day that is frozen later again


def test_a_day_that_was_frozen_again_counts_as_it_is_now(objects: FileObjects, tmp_path: Path) -> None:
    freeze(objects, ago(1), range(60))
    assert near(objects, DAY, [5, 77], tmp_path / "bank") == [f"{ago(1)} 5"]
    freeze(objects, ago(1), range(60, 120))
    assert near(objects, DAY, [5, 77], tmp_path / "bank") == [f"{ago(1)} 77"]


@pytest.mark.parametrize("broken", ["versions", "missing", "cut off", "segment"])
def test_a_bank_of_other_versions_is_made_anew(objects: FileObjects, tmp_path: Path, broken: str) -> None:
    freeze(objects, ago(1), range(60))
    assert near(objects, DAY, [5], tmp_path / "bank") == [f"{ago(1)} 5"]
    index = tmp_path / "bank" / "bank.json"
    if broken == "missing":
        index.unlink()
    elif broken == "cut off":
        index.write_text("{", encoding="utf-8")
    elif broken == "segment":
        shutil.rmtree(next(path for path in index.parent.iterdir() if path.is_dir()))
    else:
        stored = json.loads(index.read_text(encoding="utf-8"))
        index.write_text(
            json.dumps({**stored, "versions": {**stored["versions"], "normalisation": "0"}}), encoding="utf-8"
        )
    assert near(objects, DAY, [5], tmp_path / "bank") == [f"{ago(1)} 5"]


@pytest.mark.parametrize(("more", "counted"), [(20, 10), (90, 100)])
def test_a_bank_that_outgrew_what_it_was_counted_on_is_made_anew(
    objects: FileObjects, tmp_path: Path, more: int, counted: int
) -> None:
    freeze(objects, ago(3), range(10))
    near(objects, ago(2), [5], tmp_path / "bank")
    freeze(objects, ago(2), range(10, 10 + more))
    assert near(objects, ago(1), [5, 15], tmp_path / "bank") == [f"{ago(3)} 5", f"{ago(2)} 15"]
    assert load_bank(tmp_path / "bank", versions=VERSIONS).table.texts == counted


def test_days_that_are_no_longer_asked_about_are_left_out(objects: FileObjects, tmp_path: Path) -> None:
    for day in range(6, 1, -1):
        freeze(objects, ago(day), range(day * 10, day * 10 + 10))
    near(objects, ago(1), [5], tmp_path / "bank")
    assert segments(tmp_path / "bank") == 5
    near(objects, ago(4), [5], tmp_path / "bank")  # two of the five: they are a part of it
    assert segments(tmp_path / "bank") == 5
    near(objects, ago(5), [5], tmp_path / "bank")
    assert segments(tmp_path / "bank") == 1


def test_nothing_is_near_where_there_is_nothing(objects: FileObjects, tmp_path: Path) -> None:
    assert near(objects, DAY, [5], tmp_path / "bank") == []
    assert not (tmp_path / "bank").exists()
