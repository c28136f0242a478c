"""What Dagster is told: everything but the traffic is a partition of a release, and one job runs it all."""

import subprocess
import sys
from pathlib import Path

import dagster as dg

from vllm_quality.definitions import defs
from vllm_quality.partitions import days, model_tags

ROOT = Path(__file__).parents[1]
TRAFFIC = {"service_queries"}
ASSETS = {
    "evaluation_snapshot",
    "serving_endpoint",
    "load_baseline",
    "load_saturation",
    "load_sweep",
    "load_production",
    "eval_basics_en",
    "eval_basics_ko",
    "eval_deepeval",
    "results",
    "confirmation",
    "release_report",
}


def test_dagster_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stdout + done.stderr


def test_every_asset_is_a_partition_of_a_release_or_of_a_day_and_says_what_it_is() -> None:
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert set(specs) == ASSETS | TRAFFIC
    for name, spec in specs.items():
        assert spec.partitions_def == (days if name in TRAFFIC else model_tags), name
        assert spec.group_name != "default", name
        assert spec.description, name


def test_one_job_runs_them_all_with_their_checks() -> None:
    job = defs.resolve_job_def("evaluate_release")
    nodes = {node.name for node in job.nodes}
    assert nodes >= ASSETS
    assert nodes - ASSETS == {
        "evaluation_snapshot_checks",
        "results_checks",
    }
    assert job.partitions_def == model_tags


def test_checks_are_kept_by_release_or_by_day() -> None:
    specs = {spec.name: spec for checks in defs.asset_checks or () for spec in checks.check_specs}
    by_day = {"queries_read", "queries_anonymised", "queries_recall"}
    of_snapshot = {"schema", "counts", "collapse", "recall", "freshness"}
    families = {"quality_not_regressed", "performance_not_regressed"}
    of_steps = {f"{name}_not_regressed" for name in ASSETS if name.startswith(("load_", "eval_"))}
    assert set(specs) == {*families, *of_steps, *of_snapshot, *by_day}
    for name, spec in specs.items():
        assert spec.partitions_def == (days if name in by_day else model_tags), name


def test_a_job_of_its_own_freezes_traffic() -> None:
    job = defs.resolve_job_def("snapshot_service_queries")
    assert {node.name for node in job.nodes} == TRAFFIC | {
        "service_queries_queries_read",
        "service_queries_queries_anonymised",
        "service_queries_queries_recall",
    }
    assert job.partitions_def == days
    assert [schedule.name for schedule in defs.schedules or ()] == ["daily_service_queries"]


def test_nothing_else_touches_the_endpoint_while_it_is_under_load() -> None:
    graph = defs.resolve_asset_graph()
    loads = {dg.AssetKey(name) for name in ASSETS if name.startswith("load_")}
    for name in ("eval_basics_en", "eval_basics_ko", "eval_deepeval"):
        assert loads <= graph.get(dg.AssetKey(name)).parent_keys
