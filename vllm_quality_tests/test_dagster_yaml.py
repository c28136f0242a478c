"""The instance file and the workspace for one machine, read by Dagster itself."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from vllm_quality.run_tags import ENDPOINT_TAG
from vllm_quality.serving.coordinator import EndpointRunCoordinator

ROOT = Path(__file__).parents[1]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def test_runs_wait_in_the_queue_that_knows_their_endpoint(instance: dg.DagsterInstance) -> None:
    assert type(instance.run_coordinator) is EndpointRunCoordinator
    assert "QUEUED_RUN_COORDINATOR" in instance.get_required_daemon_types()


def test_one_run_for_each_endpoint_and_one_load_step_on_this_machine(instance: dg.DagsterInstance) -> None:
    concurrency = instance.get_concurrency_config()
    queue, pools = concurrency.run_queue_config, concurrency.pool_config
    assert queue is not None
    assert queue.max_concurrent_runs == 8
    assert queue.tag_concurrency_limits == [
        {"key": ENDPOINT_TAG, "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    ]
    assert pools.default_pool_limit == 1
    assert pools.pool_granularity is not None
    assert pools.pool_granularity.value == "op"


def test_no_limit_stands_where_dagster_would_ignore_it() -> None:
    coordinator = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))["run_coordinator"]
    assert set(coordinator) == {"module", "class"}


def test_a_crashed_run_is_noticed_frees_its_slots_and_is_retried(instance: dg.DagsterInstance) -> None:
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_runtime_seconds == 7200
    assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] > 0
    assert instance.run_retries_enabled
    assert instance.run_retries_max_retries == 2
    assert not instance.run_retries_retry_on_asset_or_op_failure


def test_nothing_is_sent_to_anyone_and_old_ticks_go(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
    assert instance.get_settings("retention")["sensor"]["purge_after_days"]["skipped"] == 2


def test_storage_is_in_dagster_home(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    assert Path(instance.root_directory) == tmp_path
    assert (tmp_path / "history").is_dir()


def test_the_workspace_is_this_package() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    assert workspace == {"load_from": [{"python_module": "vllm_quality.definitions"}]}
