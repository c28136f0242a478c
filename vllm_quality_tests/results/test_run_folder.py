"""The folder of one evaluation: the first writer decides, everyone reads the same."""

import io
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from vllm_quality.results.measurement import Measurement
from vllm_quality.results.objects import FileObjects, ObjectsError, ObjectStore
from vllm_quality.results.run_folder import RunFolder
from vllm_quality_tests.results.samples import requests_frame


def test_json_is_written_once_and_read_by_all(objects: ObjectStore) -> None:
    folder = RunFolder(objects, "ab12")
    assert folder.get_json("endpoint.json") is None
    assert folder.put_json("endpoint.json", {"model": "한국어", "n": 1})
    assert not folder.put_json("endpoint.json", {"model": "other"})
    assert RunFolder(objects, "ab12").get_json("endpoint.json") == {"model": "한국어", "n": 1}
    assert RunFolder(objects, "other").get_json("endpoint.json") is None
    assert objects.list("") == ["runs/ab12/endpoint.json"]


def test_equal_values_are_equal_bytes(tmp_path: Path) -> None:
    folder = RunFolder(FileObjects(tmp_path), "a")
    folder.put_json("1", {"b": [1], "a": {"d": 1, "c": 2}})
    folder.put_json("2", {"a": {"c": 2, "d": 1}, "b": [1]})
    assert folder.objects.get("runs/a/1") == folder.objects.get("runs/a/2")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=30)
@given(json_values.filter(lambda value: value is not None))
def test_any_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = RunFolder(FileObjects(tmp_path_factory.getbasetemp() / "json"), "a")
    name = f"{abs(hash(repr(value)))}.json"
    folder.put_json(name, value)
    assert folder.get_json(name) == value


def test_nan_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        RunFolder(FileObjects(tmp_path), "a").put_json("x.json", {"value": math.nan})
    assert FileObjects(tmp_path).list("") == []


def test_frames_are_addressed_by_content(objects: ObjectStore) -> None:
    folder = RunFolder(objects, "ab12")
    frame = requests_frame([{}, {"request_index": 1, "first_token_s": None, "outcome": "timeout"}])
    key = folder.put_frame("load/baseline/requests", frame)
    assert key.startswith("runs/ab12/load/baseline/requests-")
    assert key.endswith(".parquet")
    assert folder.put_frame("load/baseline/requests", frame.clone()) == key
    assert folder.put_frame("load/baseline/requests", frame.head(1)) != key
    assert_frame_equal(folder.get_frame(key), frame)
    assert_frame_equal(pl.read_parquet(io.BytesIO(objects.get(key))), frame)


def test_the_first_measurement_of_a_step_stays(objects: ObjectStore) -> None:
    folder = RunFolder(objects, "ab12")
    first = Measurement("load/baseline", {"load/baseline/0/ttft_p99_s": 0.25}, "hash", files={"requests": "runs/x"})
    assert folder.get_measurement("load/baseline") is None
    assert folder.put_measurement(first) == first
    again = Measurement("load/baseline", {"load/baseline/0/ttft_p99_s": 99.0}, "hash", problem="the client was late")
    assert folder.put_measurement(again) == first
    assert folder.get_measurement("load/baseline") == first
    assert objects.list("") == ["runs/ab12/load/baseline/measurement.json"]


def test_damaged_objects_are_told(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    objects.put("runs/a/x", b"{half")
    with pytest.raises(ObjectsError, match="is not JSON; remove it"):
        RunFolder(objects, "a").get_json("x")
    with pytest.raises(ObjectsError, match="is not parquet; remove it"):
        RunFolder(objects, "a").get_frame("runs/a/x")
