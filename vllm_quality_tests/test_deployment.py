"""Executors and step tags, checked by dagster-k8s' own parser and against Kubernetes' schemas."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import dagster as dg
import pytest

from vllm_quality.deployment import K8S_CONFIG_TAG, KIND_TAG, StepKind, build_executor, step_tags
from vllm_quality.settings import load_settings
from vllm_quality_tests.dagster_dev import wait_for

KINDS = get_args(StepKind)


@pytest.mark.parametrize("kind", KINDS)
def test_step_tags_are_read_by_dagster_k8s_and_make_a_valid_job(kind: StepKind) -> None:
    import kubernetes_validate
    from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job, get_user_defined_k8s_config
    from kubernetes.client import ApiClient

    config = get_user_defined_k8s_config(step_tags(kind))
    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(job_image="img:1"), ["dagster"], "step", user_defined_k8s_config=config
    )
    manifest = ApiClient().sanitize_for_serialization(job)
    kubernetes_validate.validate(manifest, "1.35", strict=True)

    spec = manifest["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"], spec["activeDeadlineSeconds"]) == (0, 3600, 3600)
    stays = spec["template"]["metadata"].get("annotations", {})
    assert ("karpenter.sh/do-not-disrupt" in stays) == (kind != "light")


def test_a_load_step_asks_for_what_the_eks_document_asks_for() -> None:
    resources = json.loads(step_tags("load")[K8S_CONFIG_TAG])["container_config"]["resources"]
    assert resources == {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "4", "memory": "8Gi"}}


@pytest.mark.parametrize(
    "typo",
    [
        {"container_confg": {}},
        {"pod_spec_config": {"priorityClasName": "high"}},
        {"container_config": {"resource": {}}},
        {"job_spec_config": {"backof_limit": 0}},
    ],
)
def test_a_typo_in_step_tags_would_be_caught(typo: dict[str, Any]) -> None:
    from dagster_k8s.job import get_user_defined_k8s_config

    config = json.loads(step_tags("eval")[K8S_CONFIG_TAG]) | typo
    with pytest.raises(Exception, match=r"Unexpected keys in model class|Error in tags"):
        get_user_defined_k8s_config({K8S_CONFIG_TAG: json.dumps(config)})


def test_dagster_takes_the_tags_on_an_asset_without_a_warning() -> None:
    @dg.asset(op_tags=step_tags("load"))
    def measured() -> None: ...

    assert measured.op.tags[KIND_TAG] == "load"


@pytest.mark.parametrize(("executor", "name"), [("in_process", "in_process"), ("multiprocess", "multiprocess")])
def test_the_executor_is_the_one_of_the_setting(executor: str, name: str) -> None:
    assert build_executor(load_settings(executor=executor)).name == name


@pytest.mark.parametrize(("executor", "imported"), [("in_process", False), ("multiprocess", False), ("k8s", True)])
def test_kubernetes_is_imported_only_for_its_executor(executor: str, imported: bool) -> None:
    code = (
        "import sys; from vllm_quality.deployment import build_executor; from vllm_quality.settings import load_settings;"
        f"build_executor(load_settings(executor={executor!r})); print('kubernetes' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(imported)


def _run_config(executor: dg.ExecutorDefinition, run_config: dict[str, Any]) -> dict[str, Any]:
    @dg.op
    def step() -> None: ...

    @dg.job(executor_def=executor)
    def one_step() -> None:
        step()

    return dict(dg.validate_run_config(one_step, run_config)["execution"]["k8s"])


def test_step_pods_have_the_image_of_the_setting_no_token_and_one_load_step_at_a_time() -> None:
    config = _run_config(build_executor(load_settings(executor="k8s", step_image="ours:1", eval_parallel_suites=3)), {})
    assert config["job_image"] == "ours:1"
    assert config["max_concurrent"] == 3
    assert config["tag_concurrency_limits"] == [{"key": KIND_TAG, "value": "load", "limit": 1}]
    assert config["step_k8s_config"]["pod_spec_config"] == {"automount_service_account_token": False}


def test_a_run_launched_by_hand_cannot_change_what_its_pods_are() -> None:
    executor = build_executor(load_settings(executor="k8s", step_image="ours:1"))
    wish = {"job_image": "evil:1", "env_secrets": ["another-team"], "service_account_name": "admin"}
    assert _run_config(executor, {"execution": {"config": wish}}) == _run_config(executor, {})


def two_loads_and_two_evals() -> dg.JobDefinition:
    """Load steps that fail if they ever meet, eval steps that fail if they never do; made anew in each process."""
    folder = Path(os.environ["MEETING_POINT"])

    def load(name: str) -> dg.OpDefinition:
        @dg.op(name=name, tags=step_tags("load"))
        def alone() -> None:
            (folder / "load").touch(exist_ok=False)
            time.sleep(1)
            (folder / "load").unlink()

        return alone

    def evaluation(name: str, other: str) -> dg.OpDefinition:
        @dg.op(name=name, tags=step_tags("eval"))
        def together() -> None:
            (folder / name).touch()
            wait_for(f"{name} meets {other}", (folder / other).exists, timeout_s=60, pause_s=0.1)

        return together

    steps = [load("load_a"), load("load_b"), evaluation("eval_a", "eval_b"), evaluation("eval_b", "eval_a")]

    @dg.job(executor_def=build_executor(load_settings(executor="multiprocess", eval_parallel_suites=4)))
    def four_steps() -> None:
        for step in steps:
            step()

    return four_steps


def test_the_load_steps_of_a_run_take_turns_while_others_run_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEETING_POINT", str(tmp_path))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    job = dg.reconstructable(two_loads_and_two_evals)
    with dg.DagsterInstance.local_temp() as instance, dg.execute_job(job, instance=instance) as result:
        assert result.success
