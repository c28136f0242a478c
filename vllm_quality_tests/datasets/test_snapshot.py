"""Snapshots: addressed by content, the same bytes for the same rows, and never half visible."""

import json
import random
import unicodedata
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_quality.datasets.schema import ITEM_SCHEMA, DatasetError, hash_of_items, items_of
from vllm_quality.datasets.snapshot import SnapshotError, build_snapshot, load_snapshot, read_manifest
from vllm_quality.results.objects import FileObjects
from vllm_quality_tests.datasets.sets import lines, write_set

ROWS = [{"input": f"이것은 {number}번 질문입니까?", "reference": str(number), "topic": "n"} for number in range(40)]
COLUMNS = {"metadata": ["topic"]}


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path / "objects")


def test_a_snapshot_is_loaded_as_it_was_built(tmp_path: Path, objects: FileObjects) -> None:
    source = write_set(tmp_path, "mine", {"rows.jsonl": lines(ROWS) + "broken\n"}, columns=COLUMNS, language="ko")
    snapshot = build_snapshot([source], objects)
    frame = load_snapshot(objects, snapshot.hash)
    assert frame.schema == pl.Schema(ITEM_SCHEMA)
    assert frame["id"].is_sorted()
    assert sorted(frame["input"]) == sorted(row["input"] for row in ROWS)
    assert hash_of_items(items_of(frame)) == snapshot.hash
    assert json.loads(frame["metadata"][0]) == {"topic": "n"}

    manifest = read_manifest(objects, snapshot.hash)
    assert manifest == snapshot.manifest
    assert manifest.item_counts == {"mine": 40}
    entry = manifest.sets["mine"]
    assert (entry.rows, entry.bad_rows, entry.licence, entry.language) == (41, 1, "CC0-1.0", "ko")
    assert [(bad.file, bad.line) for bad in entry.quarantined] == [("rows.jsonl", 41)]
    assert pl.read_parquet(objects.get(entry.key)).height == 40


def test_order_files_and_normal_forms_of_names_do_not_change_the_hash(tmp_path: Path, objects: FileObjects) -> None:
    one = write_set(tmp_path / "1", "mine", {"rows.jsonl": lines(ROWS)}, columns=COLUMNS)
    mixed = random.Random(1).sample(ROWS, len(ROWS))
    files: dict[str, str | bytes] = {"b.jsonl": lines(mixed[:7]), "a.ndjson": lines(mixed[7:])}
    other = write_set(tmp_path / "2", "mine", files, columns=COLUMNS)
    assert build_snapshot([one], objects).hash == build_snapshot([other], objects).hash


@pytest.mark.parametrize("change", [{"language": "ko"}, {"role": "traffic"}, {"columns": {}}])
def test_what_describes_the_items_is_part_of_the_hash(
    tmp_path: Path, objects: FileObjects, change: dict[str, object]
) -> None:
    about: dict[str, object] = {"columns": COLUMNS}
    one = write_set(tmp_path / "1", "mine", {"rows.jsonl": lines(ROWS)}, **about)
    other = write_set(tmp_path / "2", "mine", {"rows.jsonl": lines(ROWS)}, **(about | change))
    assert build_snapshot([one], objects).hash != build_snapshot([other], objects).hash


def test_duplicates_across_sets_stay_in_the_one_with_priority(tmp_path: Path, objects: FileObjects) -> None:
    decomposed = [{**row, "input": unicodedata.normalize("NFD", str(row["input"]))} for row in ROWS[:10]]
    sets = [
        write_set(tmp_path, "golden", {"rows.jsonl": lines(ROWS[:5] + ROWS[:2])}, columns=COLUMNS, priority=10),
        write_set(tmp_path, "traffic", {"rows.jsonl": lines(decomposed)}, columns=COLUMNS),
    ]
    snapshot = build_snapshot(sets, objects)
    assert snapshot == build_snapshot(sets[::-1], objects)
    manifest = snapshot.manifest
    assert manifest.item_counts == {"golden": 5, "traffic": 5}
    assert manifest.sets["golden"].own_duplicates == 2
    assert manifest.sets["traffic"].duplicates_of == {"golden": 5}
    assert manifest.exact_duplicates == 7
    assert manifest.near_duplicates.pair_count > 0
    assert manifest.near_duplicates.incomplete is None


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    source = write_set(tmp_path, "mine", {"rows.jsonl": lines(ROWS)}, columns=COLUMNS)
    stores = [FileObjects(tmp_path / name) for name in ("one", "other")]
    first, second = (build_snapshot([source], store) for store in stores)
    assert stores[0].list("") == stores[1].list("")
    for key in stores[0].list(""):
        assert stores[0].get(key) == stores[1].get(key)
    assert first == second == build_snapshot([source], stores[0])


def test_a_snapshot_without_its_manifest_is_not_there_and_is_finished_by_the_next_run(
    tmp_path: Path, objects: FileObjects
) -> None:
    source = write_set(tmp_path, "mine", {"rows.jsonl": lines(ROWS)}, columns=COLUMNS)
    snapshot = build_snapshot([source], objects)
    (objects.root / snapshot.manifest_key).unlink()
    with pytest.raises(SnapshotError, match="run evaluation_snapshot first"):
        load_snapshot(objects, snapshot.hash)
    build_snapshot([source], objects)
    assert load_snapshot(objects, snapshot.hash).height == len(ROWS)


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_damaged_snapshot_is_not_used(tmp_path: Path, objects: FileObjects, damage: bytes | None) -> None:
    source = write_set(tmp_path, "mine", {"rows.jsonl": lines(ROWS)}, columns=COLUMNS)
    snapshot = build_snapshot([source], objects)
    items = objects.root / snapshot.items_key
    if damage is None:
        pl.read_parquet(items).head(39).write_parquet(items)
    else:
        items.write_bytes(damage)
    with pytest.raises(SnapshotError, match="does not hold what its name says"):
        load_snapshot(objects, snapshot.hash)


def test_no_set_no_snapshot_and_no_such_hash_are_one_sentence(objects: FileObjects) -> None:
    with pytest.raises(DatasetError, match="No data set is registered"):
        build_snapshot([], objects)
    with pytest.raises(SnapshotError, match="There is no snapshot"):
        read_manifest(objects, "0" * 64)
    with pytest.raises(SnapshotError, match="is no snapshot's hash"):
        load_snapshot(objects, "../../etc/passwd")


questions = st.fixed_dictionaries(
    {"input": st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(str.strip)},
    optional={"reference": st.text(max_size=5), "topic": st.integers(0, 2)},
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(questions, min_size=1, max_size=12), seed=st.integers(0, 2**16))
def test_any_order_gives_the_same_snapshot(tmp_path: Path, objects: FileObjects, rows: list[object], seed: int) -> None:
    shuffled = random.Random(seed).sample(rows, len(rows))
    one = write_set(tmp_path / "1", "mine", {"rows.jsonl": lines(rows)}, columns=COLUMNS)
    other = write_set(tmp_path / "2", "mine", {"rows.jsonl": lines(shuffled)}, columns=COLUMNS)
    first, second = build_snapshot([one], objects), build_snapshot([other], objects)
    assert first == second
    assert load_snapshot(objects, first.hash).height == first.manifest.items
