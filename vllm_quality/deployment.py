"""Where a run's steps execute, and what each kind of step asks of Kubernetes."""

import json
from typing import Any, Literal

import dagster as dg

from vllm_quality.settings import Settings

StepKind = Literal["light", "load", "eval"]

KIND_TAG = "vllm_quality/kind"
K8S_CONFIG_TAG = "dagster-k8s/config"

# A load step needs idle processors to stay exact under its limit; light steps fetch, compare and write.
_RESOURCES: dict[StepKind, dict[str, dict[str, str]]] = {
    "light": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
    "load": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "4", "memory": "8Gi"}},
    "eval": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
}

_JOB_SPEC = {
    # Kubernetes must not start a pod again by itself: Dagster counts the step as failed at its first failed pod, and a
    # second one would load the endpoint unseen. Steps and runs have their own retries.
    "backoff_limit": 0,
    "ttl_seconds_after_finished": 3600,  # dagster-k8s keeps finished pods for a day, which adds up to thousands
    "active_deadline_seconds": 3600,
}

# Moving a pod in the middle of a measurement throws the measurement away.
_STAY = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}


def step_tags(kind: StepKind) -> dict[str, str]:
    """The `op_tags` of a step: its kind, and its pod's configuration, which only Kubernetes' executor reads."""
    config: dict[str, Any] = {
        "container_config": {"resources": _RESOURCES[kind]},
        "job_spec_config": _JOB_SPEC,
    }
    if kind != "light":
        config["pod_template_spec_metadata"] = {"annotations": _STAY}
    return {KIND_TAG: kind, K8S_CONFIG_TAG: json.dumps(config, sort_keys=True)}


def build_executor(settings: Settings) -> dg.ExecutorDefinition:
    """The executor that `VLLM_QUALITY_EXECUTOR` names: one process, a process per step or a pod per step.

    All of them run the load steps of a run one at a time. Its configuration is fixed here, so that a run launched from
    the UI cannot ask for another image, another service account or another Secret.
    """
    if settings.executor == "in_process":
        return dg.in_process_executor
    limits: dict[str, Any] = {
        "max_concurrent": settings.eval_parallel_suites,
        "tag_concurrency_limits": [{"key": KIND_TAG, "value": "load", "limit": 1}],
    }
    if settings.executor == "multiprocess":
        return dg.multiprocess_executor.configured(limits)
    return _pod_per_step(settings, limits)


def _pod_per_step(settings: Settings, limits: dict[str, Any]) -> dg.ExecutorDefinition:
    # Environment, volumes and security context come from the run launcher (helm/), which names ConfigMaps and Secrets;
    # passing variables on from here would write their values into each Job.
    from dagster_k8s import k8s_job_executor

    image = {"job_image": settings.step_image} if settings.step_image else {}
    return k8s_job_executor.configured(
        {
            **limits,
            **image,
            # When a run's pod is deleted its steps go too: an orphan would go on loading the endpoint.
            "enable_owner_references": True,
            "step_k8s_config": {"pod_spec_config": {"automount_service_account_token": False}},
        }
    )
