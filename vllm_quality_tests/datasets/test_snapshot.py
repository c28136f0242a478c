"""Snapshots: addressed by content, the same bytes for the same rows, and never half visible."""

import json
import random
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_quality.datasets.freeze import Freezing, build_snapshot
from vllm_quality.datasets.manifest import Manifest
from vllm_quality.datasets.schema import ITEM_SCHEMA, DatasetError, hash_of_items, items_frame, items_of
from vllm_quality.datasets.snapshot import (
    SnapshotError,
    items_key,
    list_snapshots,
    load_snapshot,
    manifest_key,
    read_manifest,
    read_pairs,
    read_quarantine,
)
from vllm_quality.results.objects import FileObjects
from vllm_quality_tests.datasets.sets import lines, question, write_set

# Sentences that are far from each other, in words that a guard has nothing to say about.
WORDS = ["봄", "여름", "가을", "겨울", "강", "바다", "산", "들", "별", "달", "해", "구름", "비", "눈", "바람", "나무"]
ROWS = [
    {"input": f"{' '.join(random.Random(number).choices(WORDS, k=12))} 다음은?", "reference": str(number), "topic": "n"}
    for number in range(40)
]
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
    assert (entry.counts.rows, entry.counts.bad_rows, entry.licence, entry.language) == (41, 1, "CC0-1.0", "ko")
    assert [(bad.file, bad.line) for bad in entry.quarantined] == [("rows.jsonl", 41)]
    assert pl.read_parquet(objects.get(entry.key)).height == 40
    assert read_quarantine(objects, snapshot.hash).select("dataset", "file", "line").rows() == [
        ("mine", "rows.jsonl", 41)
    ]
    assert read_pairs(objects, snapshot.hash).height == manifest.files["pairs"].rows == 0
    assert list_snapshots(objects) == (snapshot.hash,)


def test_a_manifest_says_who_made_it_when_of_what_and_how(tmp_path: Path, objects: FileObjects) -> None:
    source = write_set(tmp_path, "mine", {"rows.jsonl": lines(ROWS)}, priority=3, as_of="2026-11-01", role="regression")
    at = datetime(2026, 11, 22, 9, tzinfo=UTC)
    manifest = build_snapshot([source], objects, Freezing(work=tmp_path / "work", by="kim", at=at)).manifest
    assert (manifest.built_by, manifest.built_at) == ("kim", at)
    entry = manifest.sets["mine"]
    assert (entry.where, entry.priority, entry.pii, str(entry.as_of)) == ("folder", 3, "anonymise", "2026-11-01")
    assert manifest.certificate is not None
    assert manifest.certificate.verdict == "pass"
    assert manifest.deduplication["threshold"] == "0.2"
    assert "rules" in str(manifest.anonymisation["mine"]).casefold()
    assert set(manifest.versions) >= {"vllm-quality", "rapidfuzz", "presidio-analyzer"}


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
    assert snapshot.hash == build_snapshot(sets[::-1], objects).hash
    manifest = snapshot.manifest
    assert manifest.item_counts == {"golden": 5, "traffic": 5}
    golden, traffic = manifest.sets["golden"].counts, manifest.sets["traffic"].counts
    assert (golden.rows, golden.repeated, golden.exact, golden.items) == (7, 2, 0, 5)
    assert (traffic.rows, traffic.repeated, traffic.exact, traffic.items) == (10, 0, 5, 5)
    assert manifest.removed == 7
    assert manifest.pairs == {"exact drop_b": 7}
    pairs = read_pairs(objects, snapshot.hash)
    assert set(pairs["decision"]) == {"drop_b"}
    repeats = pairs.filter(pl.col("id_a") == pl.col("id_b"))
    assert sorted(repeats["reason"]) == [f"rows.jsonl row {row + 5} repeats rows.jsonl row {row}." for row in (1, 2)]
    assert {pair.removed_from for pair in manifest.examples} == {"traffic"}


def test_every_removal_can_be_undone(tmp_path: Path, objects: FileObjects) -> None:
    source = write_set(
        tmp_path, "mine", {"rows.jsonl": lines([*ROWS, ROWS[0], {**ROWS[1], "topic": "other"}])}, columns=COLUMNS
    )
    manifest = build_snapshot([source], objects).manifest
    whole = pl.read_parquet(objects.get(manifest.sets["mine"].key))
    assert whole.height == 42
    assert manifest.sets["mine"].version == hash_of_items(items_of(whole))
    assert "with other metadata" in " ".join(read_pairs(objects, manifest.hash)["reason"])


def test_a_benchmark_keeps_what_another_set_holds_and_tells(tmp_path: Path, objects: FileObjects) -> None:
    sets = [
        write_set(tmp_path, "bench", {"rows.jsonl": lines(ROWS)}, role="benchmark"),
        write_set(tmp_path, "golden", {"rows.jsonl": lines(ROWS[:4])}),
        write_set(
            tmp_path, "other", {"rows.jsonl": lines(ROWS[:2])}, overlap={"golden": "drop-from:golden", "bench": "drop"}
        ),
    ]
    manifest = build_snapshot(sets, objects).manifest
    assert manifest.item_counts == {"bench": 40, "golden": 4, "other": 0} or manifest.item_counts["bench"] == 40
    assert manifest.sets["bench"].counts.flagged >= 2


def test_a_policy_for_a_set_that_is_not_there_is_one_sentence(tmp_path: Path, objects: FileObjects) -> None:
    source = write_set(tmp_path, "mine", {"rows.jsonl": lines(ROWS)}, overlap={"bnech": "flag"})
    with pytest.raises(DatasetError, match="'bnech' holds as well, but there is no such set"):
        build_snapshot([source], objects)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    source = write_set(tmp_path, "mine", {"rows.jsonl": lines([*ROWS, *ROWS[:3]]) + "bad\n"}, columns=COLUMNS)
    stores = [FileObjects(tmp_path / name) for name in ("one", "other")]
    how = Freezing(work=tmp_path / "work", by="kim", at=datetime(2026, 11, 22, tzinfo=UTC))
    first, second = (build_snapshot([source], store, how) for store in stores)
    assert stores[0].list("") == stores[1].list("")
    for key in stores[0].list(""):
        assert stores[0].get(key) == stores[1].get(key)
    assert first == second


def test_building_again_touches_nothing(tmp_path: Path, objects: FileObjects) -> None:
    source = write_set(tmp_path, "mine", {"rows.jsonl": lines(ROWS)}, columns=COLUMNS)
    first = build_snapshot([source], objects)
    before = {path: path.stat().st_mtime_ns for path in objects.root.rglob("*")}
    again = build_snapshot([source], objects)
    assert (first.is_new, again.is_new, again.hash) == (True, False, first.hash)
    assert {path: path.stat().st_mtime_ns for path in objects.root.rglob("*")} == before


def test_what_an_unfinished_build_left_is_not_mixed_with_another(tmp_path: Path, objects: FileObjects) -> None:
    once = write_set(tmp_path / "1", "mine", {"rows.jsonl": lines(ROWS)}, columns=COLUMNS)
    twice = write_set(tmp_path / "2", "mine", {"rows.jsonl": lines([*ROWS, *ROWS[:5]])}, columns=COLUMNS)
    snapshot = build_snapshot([once], objects)
    (objects.root / manifest_key(snapshot.hash)).unlink()
    other = build_snapshot([twice], objects)
    assert other.hash == snapshot.hash
    assert other.manifest.files["items"].key == items_key(snapshot.hash)
    assert read_pairs(objects, snapshot.hash).height == 5


def test_a_snapshot_of_manifest_version_1_still_loads(objects: FileObjects, tmp_path: Path) -> None:
    items = [question(str(row["input"]), line=line) for line, row in enumerate(ROWS, start=1)]
    found = hash_of_items(items)
    items_frame(items).write_parquet(tmp_path / "items.parquet")
    objects.put_file(items_key(found), tmp_path / "items.parquet")
    stored = json.loads((Path(__file__).parent / "manifest_1.json").read_text(encoding="utf-8"))
    objects.put(manifest_key(found), json.dumps(stored | {"hash": found}).encode())
    manifest = read_manifest(objects, found)
    assert (manifest.manifest_version, manifest.hash, manifest.certificate) == (1, found, None)
    assert manifest.item_counts == {"golden": 35, "traffic": 5}
    assert manifest.sets["traffic"].counts.exact == 5
    assert load_snapshot(objects, found).height == 40
    assert read_pairs(objects, found).is_empty()
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_a_snapshot_without_its_manifest_is_not_there_and_is_finished_by_the_next_run(
    tmp_path: Path, objects: FileObjects
) -> None:
    source = write_set(tmp_path, "mine", {"rows.jsonl": lines(ROWS)}, columns=COLUMNS)
    snapshot = build_snapshot([source], objects)
    (objects.root / manifest_key(snapshot.hash)).unlink()
    with pytest.raises(SnapshotError, match="run evaluation_snapshot first"):
        load_snapshot(objects, snapshot.hash)
    build_snapshot([source], objects)
    assert load_snapshot(objects, snapshot.hash).height == len(ROWS)


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_damaged_snapshot_is_not_used(tmp_path: Path, objects: FileObjects, damage: bytes | None) -> None:
    source = write_set(tmp_path, "mine", {"rows.jsonl": lines(ROWS)}, columns=COLUMNS)
    snapshot = build_snapshot([source], objects)
    items = objects.root / items_key(snapshot.hash)
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


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(questions, min_size=1, max_size=12), seed=st.integers(0, 2**16))
def test_any_order_gives_the_same_snapshot(tmp_path: Path, objects: FileObjects, rows: list[object], seed: int) -> None:
    shuffled = random.Random(seed).sample(rows, len(rows))
    one = write_set(tmp_path / "1", "mine", {"rows.jsonl": lines(rows)}, columns=COLUMNS)
    other = write_set(tmp_path / "2", "mine", {"rows.jsonl": lines(shuffled)}, columns=COLUMNS)
    first, second = build_snapshot([one], objects), build_snapshot([other], objects)
    assert first.hash == second.hash
    assert load_snapshot(objects, first.hash).height == first.manifest.items
