"""Data sets in the object store: imported or put there by hand, the newest version counts, and an unfinished one is not there."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from vllm_quality.datasets.catalogue.importing import Importing, import_set, read_record
from vllm_quality.datasets.description import Description, Sample, parse_description
from vllm_quality.datasets.freeze import Freezing, build_snapshot
from vllm_quality.datasets.registry import find_sets, place_of
from vllm_quality.datasets.schema import DatasetError, Item
from vllm_quality.datasets.stored_sets import find_stored_sets, next_version
from vllm_quality.results.objects import FileObjects, ObjectStore
from vllm_quality.settings import load_settings
from vllm_quality_tests.datasets.sets import lines, question, read_set, write_set
from vllm_quality_tests.results.conftest import aws, objects, s3_bucket, s3_endpoint

__all__ = ["aws", "objects", "s3_bucket", "s3_endpoint"]  # fixtures

ABOUT = Description(format="jsonl", language="en", role="golden", licence="CC0-1.0")
ITEMS = tuple(question(f"What is {name}?", dataset="mine", line=line) for line, name in enumerate("abcde", start=1))


def put(
    objects: ObjectStore, work: Path, items: tuple[Item, ...] = ITEMS, about: Description = ABOUT, name: str = "mine"
) -> str:
    what = Importing(name, about, ("rows.jsonl",), items)
    return import_set(what, objects, work=work, by="kim", pii_key=SecretStr("k" * 32)).folder


def test_what_is_imported_is_read_again_and_frozen_alike(objects: ObjectStore, tmp_path: Path) -> None:
    folder = put(objects, tmp_path / "work")
    found = find_stored_sets(objects)["mine"]
    assert (found.folder, found.description.format, found.description.licence) == (folder, "items", "CC0-1.0")
    snapshot = build_snapshot([found], objects, Freezing(work=tmp_path / "work"))
    assert snapshot.manifest.sets["mine"].where == objects.url(folder)
    local = write_set(tmp_path, "mine", {"rows.jsonl": lines({"input": item.input} for item in ITEMS)})
    assert build_snapshot([local], objects, Freezing(work=tmp_path / "work")).hash == snapshot.hash


def test_an_import_again_is_the_next_version_and_the_same_rows_are_none(objects: ObjectStore, tmp_path: Path) -> None:
    work = tmp_path / "work"
    assert put(objects, work) == put(objects, work, ITEMS[::-1]) == "sets/mine/000001"
    assert put(objects, work, ITEMS[:4]) == "sets/mine/000002"
    assert find_stored_sets(objects)["mine"].folder == "sets/mine/000002"
    assert put(objects, work, ITEMS[:4], ABOUT.model_copy(update={"priority": 5})) == "sets/mine/000003"
    assert next_version(objects, "mine") == "sets/mine/000004"
    record = read_record(objects, "sets/mine/000002")
    assert record is not None
    assert (record.items, record.imported_by, record.origin) == (4, "kim", ("rows.jsonl",))


def test_an_import_that_was_cut_off_is_not_there(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path / "objects")
    put(objects, tmp_path / "work")
    put(objects, tmp_path / "work", ITEMS[:3])
    (objects.root / "sets/mine/000002/dataset.yaml").unlink()
    assert find_stored_sets(objects)["mine"].folder == "sets/mine/000001"
    assert put(objects, tmp_path / "work", ITEMS[:3]) == "sets/mine/000003"


def test_files_put_there_by_hand_are_a_set_until_one_is_imported(objects: ObjectStore, tmp_path: Path) -> None:
    objects.put("sets/mine/dataset.yaml", ABOUT.dump().encode())
    objects.put("sets/mine/rows.jsonl", lines([{"input": "by hand"}]).encode())
    objects.put("sets/mine/notes/rows.jsonl", b"not a set's row\n")
    objects.put("sets/README.md", b"not a set")
    found = find_stored_sets(objects)["mine"]
    assert found.data_files() == ["rows.jsonl"]
    snapshot = build_snapshot([found], objects, Freezing(work=tmp_path / "work"))
    assert snapshot.manifest.item_counts == {"mine": 1}
    put(objects, tmp_path / "work")
    assert find_stored_sets(objects)["mine"].folder == "sets/mine/000001"


def test_of_two_sets_with_one_name_the_operators_wins_then_the_stored_one(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path / "objects")
    put(objects, tmp_path / "work", name="basics_en", items=(question("?", dataset="basics_en"),))
    put(objects, tmp_path / "work")
    found = {one.name: place_of(one) for one in find_sets(load_settings(), objects)}
    assert found == {"basics_en": "objects", "basics_ko": "package", "mine": "objects"}
    write_set(tmp_path / "sets", "mine", {"rows.jsonl": lines([{"input": "?"}])})
    found = {one.name: place_of(one) for one in find_sets(load_settings(datasets_dir=tmp_path / "sets"), objects)}
    assert found == {"basics_en": "objects", "basics_ko": "package", "mine": "folder"}


def test_a_broken_description_in_the_store_is_one_sentence(objects: ObjectStore) -> None:
    objects.put("sets/mine/dataset.yaml", b"format: jsonl")
    with pytest.raises(DatasetError, match=r"sets/mine/dataset\.yaml: language is missing"):
        find_stored_sets(objects)


def test_a_sampled_import_takes_so_many_and_anonymises_only_those(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path / "objects")
    items = tuple(
        question(f"Call 010-1234-{number:04}, please", dataset="mine", line=number) for number in range(1, 301)
    )
    about = ABOUT.model_copy(update={"sample": Sample(size=20, seed=3)})
    put(objects, tmp_path / "work", items, about)
    record = read_record(objects, "sets/mine/000001")
    assert record is not None
    assert (record.rows, record.items, record.not_sampled) == (300, 20, 280)
    assert record.entities == {"PHONE": 20}
    stored = pl.read_parquet(objects.get("sets/mine/000001/items-00001.parquet"))
    assert stored["input"].str.contains("<PHONE_").all()
    assert put(objects, tmp_path / "work", items[::-1], about) == "sets/mine/000001"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    about=st.builds(
        Description,
        format=st.sampled_from(["jsonl", "sharegpt", "items"]),
        language=st.sampled_from(["ko", "pt-BR"]),
        role=st.sampled_from(["benchmark", "regression"]),
        licence=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=9),
        description=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=9),
        priority=st.integers(-9, 9),
        pii=st.none() | st.sampled_from(["keep", "redact"]),
        as_of=st.none() | st.dates(dt.date(2000, 1, 1)),
        overlap=st.dictionaries(st.sampled_from(["a", "b.c"]), st.sampled_from(["drop", "flag", "drop-from:a"])),
        sample=st.none() | st.builds(Sample, size=st.integers(1, 9), seed=st.integers(-9, 9)),
        files=st.lists(st.sampled_from(["*.jsonl", "a/*.json"]), max_size=2).map(tuple),
    )
)
def test_a_description_is_read_as_it_was_written(about: Description) -> None:
    assert parse_description(about.dump(), "dataset.yaml") == about


def test_items_survive_the_way_through_the_store(tmp_path: Path) -> None:
    source = write_set(
        tmp_path,
        "mine",
        {
            "rows.jsonl": lines(
                [
                    {
                        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
                        "choices": ["x", "y"],
                        "reference": "x",
                        "topic": {"k": [1]},
                    }
                ]
            )
        },
        columns={"metadata": ["topic"]},
    )
    [item] = read_set(source).items
    objects = FileObjects(tmp_path / "objects")
    put(objects, tmp_path / "work", (item,))
    [again] = read_set(find_stored_sets(objects)["mine"]).items
    assert again.exact_form == item.exact_form
