"""A run's files: all there, whole, without an earlier run's; and their way to an object store."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from vllm_quality.load.errors import LoadError
from vllm_quality.load.figures.records import RECORD_SCHEMA
from vllm_quality.load.output.save import prepare_folder, save_run, upload
from vllm_quality_tests.load.output.results import load_result

RESULT = load_result([{"type": "concurrency", "streams": 4, "requests": 40}])
FILES = {
    "summary.json",
    "report.html",
    "requests.parquet",
    "summary_lifecycle_metrics.json",
    "stage_0_lifecycle_metrics.json",
}


def test_the_files_are_there_and_nothing_half_written(tmp_path: Path) -> None:
    paths = save_run(RESULT, tmp_path / "new" / "folder")
    assert {path.name for path in paths} == FILES == {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert json.loads((tmp_path / "new" / "folder" / "summary.json").read_text())["schema_version"] == 1


def test_requests_are_kept_with_every_column(tmp_path: Path) -> None:
    save_run(RESULT, tmp_path, extra=())
    rows = pl.read_parquet(tmp_path / "requests.parquet")
    assert rows.height == 40
    assert set(RECORD_SCHEMA) <= set(rows.columns)
    assert not (tmp_path / "summary_lifecycle_metrics.json").exists()


def test_a_kept_tape_holds_the_scenario_and_the_report_says_how_to_replay_it(tmp_path: Path) -> None:
    (tmp_path / "tape").mkdir()
    paths = save_run(RESULT, tmp_path, tape=tmp_path / "tape")
    assert tmp_path / "tape" in paths
    assert json.loads((tmp_path / "tape" / "scenario.json").read_text())["name"] == "ladder"
    assert f"--tape {tmp_path / 'tape'}" in (tmp_path / "report.html").read_text()


def test_an_earlier_runs_files_go_and_others_stay(tmp_path: Path) -> None:
    save_run(load_result(), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    prepare_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_is_one_sentence_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LoadError, match="cannot hold the results"):
        prepare_folder(tmp_path / "file" / "below")


def test_reports_are_uploaded_without_the_tape_and_never_over_an_earlier_runs(tmp_path: Path) -> None:
    folder, store = tmp_path / "run-1", tmp_path / "store"
    (folder / "tape").mkdir(parents=True)
    save_run(RESULT, folder, tape=folder / "tape")
    assert upload(folder, f"file://{store}") == f"file://{store}/"
    assert {path.name for path in store.iterdir()} == FILES
    before = (store / "summary.json").read_bytes()

    shutil.copytree(folder, tmp_path / "run-2")
    save_run(replace(RESULT, workers=2), tmp_path / "run-2")
    assert upload(tmp_path / "run-2", f"file://{store}") == f"file://{store}/run-2/"
    assert (store / "summary.json").read_bytes() == before
    assert {path.name for path in (store / "run-2").iterdir()} == FILES


def test_reports_reach_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    save_run(RESULT, tmp_path)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket="inference-perf-results")
        went = upload(tmp_path, "s3://inference-perf-results/sharegpt-test/results", endpoint)
        keys = {found["Key"] for found in client.list_objects_v2(Bucket="inference-perf-results")["Contents"]}
        client.close()
    finally:
        server.stop()
    assert went == "s3://inference-perf-results/sharegpt-test/results/"
    assert keys == {f"sharegpt-test/results/{name}" for name in FILES}


@pytest.mark.parametrize(
    ("destination", "said"),
    [("ftp://host/x", "no place to upload to"), ("s3://bucket/x", "were not uploaded and are in")],
)
def test_a_failed_upload_is_one_sentence_and_the_files_stay(
    tmp_path: Path, destination: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    save_run(RESULT, tmp_path)
    with pytest.raises(LoadError, match=said) as error:
        upload(tmp_path, destination, "http://127.0.0.1:9")
    assert "\n" not in str(error.value)
    assert (tmp_path / "summary.json").exists()
