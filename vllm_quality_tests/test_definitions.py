"""What Dagster is told: everything is a partition of a release, and one job runs it all."""

import subprocess
import sys
from pathlib import Path

import dagster as dg

from vllm_quality.definitions import defs
from vllm_quality.partitions import model_tags

ROOT = Path(__file__).parents[1]
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
    "release_report",
}


def test_dagster_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "All code locations passed validation" in done.stdout + done.stderr


def test_every_asset_is_a_partition_of_a_release_and_says_what_it_is() -> None:
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert set(specs) == ASSETS
    for name, spec in specs.items():
        assert spec.partitions_def == model_tags, name
        assert spec.group_name != "default", name
        assert spec.description, name


def test_one_job_runs_them_all_with_their_checks() -> None:
    job = defs.resolve_job_def("evaluate_release")
    nodes = {node.name for node in job.nodes}
    assert nodes >= ASSETS
    assert nodes - ASSETS == {"results_quality_not_regressed", "results_performance_not_regressed"}
    assert job.partitions_def == model_tags


def test_checks_are_kept_by_release() -> None:
    specs = [spec for checks in defs.asset_checks or () for spec in checks.check_specs]
    assert {spec.name for spec in specs} == {"quality_not_regressed", "performance_not_regressed"}
    assert all(spec.partitions_def == model_tags for spec in specs)


def test_nothing_else_touches_the_endpoint_while_it_is_under_load() -> None:
    graph = defs.resolve_asset_graph()
    loads = {dg.AssetKey(name) for name in ASSETS if name.startswith("load_")}
    for name in ("eval_basics_en", "eval_basics_ko", "eval_deepeval"):
        assert loads <= graph.get(dg.AssetKey(name)).parent_keys
