"""The object store keeps what was written first, in a folder as in a bucket."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.results.objects import FileObjects, ObjectsError, ObjectStore, check_key, open_objects
from vllm_quality.settings import load_settings
from vllm_quality_tests.results.conftest import fill

BAD_KEYS = [
    "", "/", "/etc/passwd", "a//b", "a/", "..", "../a", "a/../b", "a/..", ".", "./a", "a/.hidden", "a\\b", "a\0b", "a\nb",
    "x" * 256, "ä" * 128, "/".join(["x" * 200] * 6),
]  # fmt: skip


def test_an_object_is_written_once(objects: ObjectStore) -> None:
    assert objects.put("runs/a/endpoint.json", b"first", "application/json")
    assert not objects.put("runs/a/endpoint.json", b"second", "application/json")
    assert objects.get("runs/a/endpoint.json") == b"first"


@pytest.mark.parametrize("data", [b"", b"\0\xff" * 1000, b"x" * 9_000_000])
def test_bytes_come_back_as_they_were(objects: ObjectStore, data: bytes) -> None:
    objects.put("a", data)
    assert objects.get("a") == data


def test_a_missing_object_is_an_error_and_not_empty(objects: ObjectStore) -> None:
    assert not objects.exists("runs/a/verdict.json")
    with pytest.raises(ObjectsError, match=r"There is no object .*runs/a/verdict\.json"):
        objects.get("runs/a/verdict.json")


def test_exists_is_about_this_very_key(objects: ObjectStore) -> None:
    objects.put("runs/ab/c", b"")
    assert objects.exists("runs/ab/c")
    assert not any(objects.exists(key) for key in ("runs/ab", "runs/a", "runs/ab/c/d", "uns/ab/c"))


def test_list_gives_the_keys_that_begin_so_in_order(objects: ObjectStore) -> None:
    keys = ["runs/a/z", "runs/a/b/c", "runs/ab/x", "runs/a/가", "other"]
    for key in reversed(keys):
        objects.put(key, b"")
    assert objects.list("runs/a") == ["runs/a/b/c", "runs/a/z", "runs/a/가", "runs/ab/x"]
    assert objects.list("runs/a/") == ["runs/a/b/c", "runs/a/z", "runs/a/가"]
    assert objects.list("") == sorted(keys)
    assert objects.list("nothing/here/") == []
    assert objects.list("other/below") == []


def test_of_many_writers_one_creates(objects: ObjectStore) -> None:
    start = threading.Barrier(8)

    def write(number: int) -> bool:
        start.wait(10)
        return objects.put("runs/a/race", str(number).encode() * 10_000)

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(write, range(8)))
    assert created.count(True) == 1
    assert objects.get("runs/a/race") == str(created.index(True)).encode() * 10_000
    assert objects.list("") == ["runs/a/race"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_is_no_relative_path_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ObjectsError, match="cannot name an object"):
        FileObjects(tmp_path).put(key, b"")
    assert list(tmp_path.iterdir()) == []


@given(st.text())
def test_a_key_that_passes_stays_in_the_folder(key: str) -> None:
    try:
        check_key(key)
    except ObjectsError:
        return
    assert os.path.normpath(f"/root/{key}") == f"/root/{key}"
    assert key
    assert not key.startswith("/")


@given(st.lists(st.text("aZ0-_.가 +%#?&=~", min_size=1, max_size=20).filter(lambda part: part[0] != "."), min_size=1))
def test_keys_of_odd_but_harmless_characters_pass(parts: list[str]) -> None:
    check_key("/".join(parts)[:200].strip("/"))


def test_odd_keys_work_in_both_stores(objects: ObjectStore) -> None:
    keys = ["run s/100%/a+b&c=d.json", "runs/#1/question?", "runs/한국어/é.txt"]
    for key in keys:
        assert objects.put(key, key.encode())
    assert objects.list("") == sorted(keys)
    assert [objects.get(key) for key in keys] == [key.encode() for key in keys]


def test_an_unfinished_file_is_never_seen(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    objects.put("runs/a/whole", b"1")
    (tmp_path / "runs" / "a" / ".0123abcd").write_bytes(b"a writer was killed here")
    assert objects.list("") == ["runs/a/whole"]
    assert [path.name for path in (tmp_path / "runs" / "a").iterdir() if not path.name.startswith(".")] == ["whole"]


def test_a_name_that_is_a_folder_of_objects_is_refused(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    objects.put("runs/a/b", b"")
    with pytest.raises(ObjectsError, match="cannot be used"):
        objects.put("runs/a", b"")
    with pytest.raises(ObjectsError, match="cannot be used"):
        objects.put("runs/a/b/c", b"")


def test_a_folder_that_cannot_be_made_names_the_variables(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    objects = FileObjects(tmp_path / "file" / "objects")
    with pytest.raises(ObjectsError, match="VLLM_QUALITY_OBJECTS_URL or VLLM_QUALITY_HOME"):
        objects.put("a", b"")
    with pytest.raises(ObjectsError, match="cannot be used"):
        objects.list("")


def test_a_full_disk_is_told_and_leaves_nothing_behind(small_disk: Path) -> None:
    filler = fill(small_disk)
    objects = FileObjects(small_disk / "objects")
    with pytest.raises(ObjectsError, match=r"no space left .*; free some"):
        objects.put("runs/a/big", b"x" * 100_000)
    assert objects.list("") == []
    assert [path for path in small_disk.rglob("*") if path.is_file()] == [filler]
    filler.unlink()
    assert objects.put("runs/a/big", b"x" * 100_000)


def test_settings_choose_the_store(tmp_path: Path, aws: None) -> None:
    assert open_objects(load_settings(home=tmp_path)) == FileObjects(tmp_path / "objects")
    odd = open_objects(load_settings(objects_url=f"file://{tmp_path}/100% #1?"))
    odd.put("a", b"")
    assert (tmp_path / "100% #1?" / "a").exists()
    assert odd.url("b c") == f"{tmp_path.as_uri()}/100%25%20%231%3F/b%20c"
    s3 = open_objects(load_settings(objects_url="s3://llm-eval-ds/team", s3_endpoint="http://127.0.0.1:1"))
    assert s3.url("runs/a") == "s3://llm-eval-ds/team/runs/a"


@pytest.mark.parametrize("url", ["file://objects", "file://", "s3://", "s3://key:secret@bucket", "s3://bucket/../x"])
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ObjectsError) as caught:
        open_objects(load_settings(objects_url=url))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 1000, 40_000_000])
def test_a_file_is_an_object_like_any_other(objects: ObjectStore, tmp_path: Path, size: int) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(bytes(range(250)) * (size // 250))
    assert objects.put_file("runs/a/items.parquet", source, "application/vnd.apache.parquet")
    assert not objects.put_file("runs/a/items.parquet", source)
    assert not objects.put("runs/a/items.parquet", b"")
    objects.get_file("runs/a/items.parquet", copy)
    assert copy.read_bytes() == source.read_bytes() == objects.get("runs/a/items.parquet")


def test_a_file_that_is_missing_on_either_side_is_one_sentence(objects: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ObjectsError, match="There is no object"):
        objects.get_file("runs/a/items.parquet", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    with pytest.raises(ObjectsError, match="cannot be stored"):
        objects.put_file("a", tmp_path / "none")
    objects.put("a", b"x")
    with pytest.raises(ObjectsError, match="cannot be written"):
        objects.get_file("a", tmp_path / "no-folder" / "copy")
