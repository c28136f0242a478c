"""The promise, on real servers: a tag is pushed, and the channel hears whether that release is worse.

A real `dagster dev` polls a real OCI registry, measures a real vLLM, writes to ClickHouse over HTTP and to S3, and posts
to a webhook. Then the same model with noise in its weights takes the address over, under a second tag.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.results.database import ResultStore
from vllm_quality.results.objects import open_objects
from vllm_quality.settings import load_settings
from vllm_quality_tests.alerts.webhook import Answer, Webhook, webhook
from vllm_quality_tests.dagster_dev import DagsterDev, dagster_dev, free_port, wait_for
from vllm_quality_tests.live.conftest import or_skip
from vllm_quality_tests.live.models import Models
from vllm_quality_tests.live.programs import ensure_registry
from vllm_quality_tests.live.servers import S3, Registry, oci_registry, vllm_server
from vllm_quality_tests.servers import clickhouse_http

pytestmark = pytest.mark.live

ITEMS = 250
# One address, one machine: the engine shares two cores with everything else, so speed gets a wide limit here. And 250 items
# show a loss of ten points at this alpha, not at a tenth of it.
THRESHOLDS = """
alpha: 0.05
quality: {judged: ["eval/live_*"]}
performance: {matters: 3.0, budget: 2.0, max_regression: 2.0, judged: ["load/*/tpot_p50_s"]}
floors: {"load/*/success_ratio": 0.99}
"""


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry that nobody else pushes to."""
    or_skip(ensure_registry)
    with oci_registry() as running:
        yield running


@pytest.fixture
def clickhouse(tmp_path: Path) -> Iterator[str]:
    """A ClickHouse that nobody else writes to."""
    with clickhouse_http.running(tmp_path / "clickhouse", "live", "live-password") as url:
        yield url


@pytest.fixture
def environment(
    tmp_path: Path, registry: Registry, s3: S3, clickhouse: str, benchmarks: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The settings of a deployment: four real services and their credentials."""
    configs = tmp_path / "configs"
    configs.mkdir()
    tasks = [
        {"name": name, "limit": ITEMS, "include_path": str(benchmarks)} for name in ("live_piqa", "live_openbookqa")
    ]
    (configs / "evalchemy.json").write_text(json.dumps({"tasks": tasks}), encoding="utf-8")
    (configs / "thresholds.yaml").write_text(THRESHOLDS, encoding="utf-8")
    settings = {
        "HOME": str(tmp_path / "home"),
        "CONFIG_DIR": str(configs),
        "IMAGE": f"{registry.host}/acme/vllm",
        "REGISTRY_PLAIN_HTTP": "true",
        "POLL_SECONDS": "5",
        "BASE_URL": f"http://127.0.0.1:{free_port()}",
        "HARDWARE": "two cores",
        "PROFILE": "smoke",
        "RESULTS_URL": clickhouse,
        "OBJECTS_URL": f"s3://{s3.bucket}",
        "S3_ENDPOINT": s3.endpoint,
        "TEAMS_MENTIONS": "LLM-Ops <ops@example.com>",
    }
    variables = {f"VLLM_QUALITY_{name}": value for name, value in settings.items()} | s3.environment
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@contextmanager
def served(model: Path, environment: dict[str, str]) -> Iterator[None]:
    """The model at the address that the settings name."""
    port = int(environment["VLLM_QUALITY_BASE_URL"].rsplit(":", 1)[1])
    with vllm_server(model, port=port):
        yield


def finished(dagster: DagsterDev, tag: str) -> dict[str, Any]:
    run = wait_for(f"the run of {tag}", lambda: dagster.run_of(tag), 900, 2)
    assert run["status"] == "SUCCESS", dagster.log.read_text(errors="replace")[-6000:]
    return run


def scores(store: ResultStore, tag: str) -> dict[str, float]:
    """What another team reads."""
    sql = "SELECT metric, value FROM vllm_eval.results FINAL WHERE model_tag = {tag:String}"
    return dict(store.query(sql, {"tag": tag}).rows())


def card(hook: Webhook, number: int) -> str:
    """The text of the card of that number, once it is there."""
    wait_for(f"card {number}", lambda: len(hook.received) >= number, 120)
    return hook.received[number - 1].decode()


def test_a_pushed_release_is_evaluated_and_a_damaged_one_is_caught(
    environment: dict[str, str], registry: Registry, models: Models, clickhouse: str, tmp_path: Path
) -> None:
    store, objects = ResultStore(clickhouse), open_objects(load_settings())
    with webhook(Answer(429, headers=(("Retry-After", "1"),)), Answer(202)) as hook:
        settings = {**environment, "VLLM_QUALITY_TEAMS_WEBHOOK": hook.url}
        with dagster_dev(tmp_path / "dagster", settings) as dagster:
            assert "results" in dagster.assets()

            # The tag comes first, as it does: the run waits until the release answers.
            digest = registry.push("release-1.0.0", "good")
            with served(models.good, environment):
                first = finished(dagster, "release-1.0.0")
            assert first["tags"]["vllm_quality/image_digest"] == digest
            assert first["tags"]["endpoint"] == environment["VLLM_QUALITY_BASE_URL"].removeprefix("http://")
            good = scores(store, "release-1.0.0")
            assert good["eval/live_piqa/acc_norm"] > 0.55
            assert good["load/baseline/rate-2/success_ratio"] == 1.0
            # The first delivery was refused with 429, the second one taken: one card.
            assert "LLM-Ops" not in card(hook, 2)

            registry.push("release-1.1.0", "noisy")
            with served(models.noisy, environment):
                second = finished(dagster, "release-1.1.0")
            noisy = scores(store, "release-1.1.0")
            for suite in ("live_piqa", "live_openbookqa"):
                name = f"eval/{suite}/acc_norm"
                print(f"{name}: {good[name]:.3f} good, {noisy[name]:.3f} noisy")
            [check] = [
                entry
                for entry in dagster.checks("results", "quality_not_regressed")
                if entry["runId"] == second["runId"]
            ]
            assert (check["status"], check["partition"]) == ("FAILED", "release-1.1.0")
            assert check["evaluation"]["severity"] == "ERROR"
            assert "<at>LLM-Ops</at>" in card(hook, 3)
            assert len(hook.received) == 3

    runs = store.runs(limit=10)
    assert [run.verdict for run in runs] == ["worse", "no_baseline"]
    assert all(objects.exists(f"snapshots/{run.snapshot_hash}/items.parquet") for run in runs)
    assert all(objects.exists(f"reports/{run.model_tag}/{run.run_id}/report.html") for run in runs)
    assert len(objects.list("audit/")) == 2
    for run in (first, second):
        print(f"{run['tags']['dagster/partition']}: {run['endTime'] - run['startTime']:.0f} s")
