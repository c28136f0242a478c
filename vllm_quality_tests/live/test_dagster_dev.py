"""What an operator does in the UI, over GraphQL as the UI does it, in a real `dagster dev`."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from vllm_quality_tests.dagster_dev import FINISHED, DagsterDev, dagster_dev, wait_for
from vllm_quality_tests.servers.toy_llm import ToyModel, serve_toy
from vllm_quality_tests.test_end_to_end import SCENARIOS, THRESHOLDS

pytestmark = pytest.mark.live

TAGS = ["release-1", "release-2", "release-3"]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "scenarios.yaml").write_text(SCENARIOS, encoding="utf-8")
    (configs / "thresholds.yaml").write_text(THRESHOLDS, encoding="utf-8")
    (configs / "evalchemy.json").write_text('{"tasks": ["basics_ko"]}', encoding="utf-8")
    chosen = {"HOME": str(tmp_path / "home"), "CONFIG_DIR": str(configs), "PROFILE": "smoke"}
    return {f"VLLM_QUALITY_{name}": value for name, value in chosen.items()}


@pytest.fixture
def toy() -> Iterator[str]:
    with serve_toy(ToyModel()) as url:
        yield url


def backfilled(dagster: DagsterDev) -> list[dict[str, Any]]:
    """The runs of a backfill over the three tags, in the order of their start."""
    for tag in TAGS:
        dagster.add_partition(tag)
    dagster.backfill(TAGS, [name for name in dagster.assets() if name != "service_queries"])  # which has days, not tags

    def ended() -> list[dict[str, Any]] | None:
        runs = [run for run in dagster.runs() if run["status"] in FINISHED]
        return runs if len(runs) == len(TAGS) else None

    runs = wait_for("the backfill's runs", ended, 420, 2)
    assert {run["tags"]["dagster/partition"]: run["status"] for run in runs} == dict.fromkeys(TAGS, "SUCCESS")
    return sorted(runs, key=lambda run: float(run["startTime"]))


def overlaps(runs: list[dict[str, Any]]) -> int:
    """Pairs of neighbours that ran at the same time."""
    return sum(later["startTime"] < earlier["endTime"] for earlier, later in pairwise(runs))


def test_tags_on_one_endpoint_take_turns(settings: dict[str, str], toy: str, tmp_path: Path) -> None:
    with dagster_dev(tmp_path / "dagster", {**settings, "VLLM_QUALITY_BASE_URL": toy}) as dagster:
        print(f"dagster dev answered after {dagster.started_s:.1f} s")
        assert {"serving_endpoint", "load_baseline", "eval_basics_ko", "release_report"} <= set(dagster.assets())
        runs = backfilled(dagster)
        assert overlaps(runs) == 0
        assert {run["tags"]["endpoint"] for run in runs} == {toy.removeprefix("http://")}

        dagster.add_partition("release-4")
        dagster.launch("release-4")
        by_hand = wait_for("the run by hand", lambda: dagster.run_of("release-4"), 180, 1)
        assert by_hand["status"] == "SUCCESS", dagster.log.read_text(errors="replace")[-4000:]
        checks = dagster.checks("results", "quality_not_regressed")
        assert {check["partition"]: check["status"] for check in checks} == {
            "release-1": "FAILED",  # no baseline is a warning, not a pass
            "release-2": "SUCCEEDED",
            "release-3": "SUCCEEDED",
            "release-4": "SUCCEEDED",
        }


def test_tags_on_endpoints_of_their_own_run_side_by_side(settings: dict[str, str], toy: str, tmp_path: Path) -> None:
    environment = {**settings, "VLLM_QUALITY_BASE_URL": f"{toy}/{{tag}}"}
    with dagster_dev(tmp_path / "dagster", environment) as dagster:
        runs = backfilled(dagster)
    assert len({run["tags"]["endpoint"] for run in runs}) == len(TAGS)
    assert overlaps(runs) > 0
