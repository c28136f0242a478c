"""The asset, its checks, its job and its schedule, on a Dagster instance of their own."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from vllm_quality.datasets.traffic.assets import service_queries
from vllm_quality.datasets.traffic.checks import traffic_checks
from vllm_quality.datasets.traffic.frozen import read_frozen_day
from vllm_quality.datasets.traffic.source import TrafficError
from vllm_quality.jobs import build_queries_schedule, snapshot_service_queries
from vllm_quality.partitions import days
from vllm_quality.results.objects import FileObjects
from vllm_quality.results.resources import ResultsResource
from vllm_quality.settings import load_settings
from vllm_quality_tests.datasets.sets import lines
from vllm_quality_tests.datasets.traffic.rows import DAY, completion

SECRET = "010-2345-6789"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VLLM_QUALITY_QUERIES_URL", f"file://{tmp_path}/logs/{{day}}")
    monkeypatch.setenv("VLLM_QUALITY_OBJECTS_URL", f"file://{tmp_path}/objects")
    (tmp_path / "logs").mkdir()
    return tmp_path


def write(place: Path, rows: list[Any]) -> None:
    (place / "logs" / f"{DAY}.jsonl").write_text(lines(rows), encoding="utf-8")


def run(instance: dg.DagsterInstance, **more: Any) -> dg.ExecuteInProcessResult:
    job = dg.Definitions(
        assets=[service_queries],
        asset_checks=traffic_checks,
        jobs=[snapshot_service_queries],
        resources={"results": ResultsResource()},
    ).resolve_job_def("snapshot_service_queries")
    return job.execute_in_process(instance=instance, partition_key=DAY.isoformat(), **more)


def checks(result: dg.ExecuteInProcessResult) -> Mapping[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def test_a_day_is_materialized_and_checked_and_nothing_raw_is_left_anywhere(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = [f"제 번호는 {SECRET}입니다", f"my number is {SECRET}, why?", *(None,) * 6]
    rows: list[Any] = [completion(number, text) for number, text in enumerate(texts)]
    write(place, [*rows, {"prompt": 5, "note": SECRET}])
    (place / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(place / "dagster")) as instance:
        result = run(instance)
        (event,) = result.asset_materializations_for_node("service_queries")
    assert event.partition == "2026-11-20"
    assert event.metadata["dagster/row_count"].value == 8
    assert event.metadata["unreadable"].value == 1
    frozen = read_frozen_day(FileObjects(place / "objects"), DAY)
    assert event.metadata["queries_hash"].value == frozen.hash
    assert "'verdict': 'pass'" in str(event.metadata["certificate"].value)
    found = checks(result)
    assert {name: (one.passed, one.partition) for name, one in found.items()} == {
        "queries_read": (False, "2026-11-20"),  # one of nine rows
        "queries_anonymised": (True, "2026-11-20"),
        "queries_recall": (True, "2026-11-20"),
    }
    assert found["queries_read"].severity == dg.AssetCheckSeverity.WARN
    printed = capfd.readouterr()
    assert SECRET not in printed.out + printed.err
    files = [
        path for folder in ("dagster", "objects", "home") for path in (place / folder).rglob("*") if path.is_file()
    ]
    assert len(files) > 3
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_an_empty_day_succeeds_and_is_told_of(place: Path) -> None:
    write(place, [])
    with dg.DagsterInstance.ephemeral() as instance:
        found = checks(run(instance))
    assert not found["queries_read"].passed
    assert "2026-11-20 has no query at" in str(found["queries_read"].description)
    assert found["queries_anonymised"].passed


def test_a_day_that_cannot_be_read_fails_in_one_sentence(place: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(TrafficError, match="so nothing is known of 2026"):
        run(instance)


def test_without_an_address_it_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_QUALITY_QUERIES_URL")
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(TrafficError, match="QUERIES_URL is not set"):
        run(instance)
    assert not (place / "objects").exists()


def schedule_at(hour: int, minute: int) -> dg.ScheduleEvaluationContext:
    return dg.build_schedule_context(scheduled_execution_time=dt.datetime(2026, 11, 21, hour, minute, tzinfo=dt.UTC))


def test_the_schedule_freezes_yesterday(place: Path) -> None:
    schedule = build_queries_schedule(load_settings())
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert schedule.execution_timezone == "UTC"
    request = schedule(schedule_at(2, 30))
    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.run_key) == ("2026-11-20", "2026-11-20")
    assert days.has_partition_key("2026-11-20")


def test_without_an_address_it_skips_and_says_why() -> None:
    schedule = build_queries_schedule(load_settings())
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    skipped = schedule(schedule_at(2, 30))
    assert isinstance(skipped, dg.SkipReason)
    assert str(skipped.skip_message).startswith("VLLM_QUALITY_QUERIES_URL is not set")
