"""The chart's components and the pods they start, run as processes: what is rendered is what is executed.

Real: helm, PostgreSQL, the code server, webserver, daemon, run launcher and executor of Dagster, and an S3 server for
the steps' output. Not real: the cluster. A small API server authorises each call by the chart's Role and runs a Job's
container as a process with the environment of its manifest. Nothing is scheduled, mounted, limited or pulled.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from vllm_quality_tests.dagster_dev import DagsterDev, free_port, wait_for
from vllm_quality_tests.live.chart import NAMESPACE, Manifest, instance_config, one, render
from vllm_quality_tests.servers.kubernetes_api import Kubelet, KubernetesApi, serve_kubernetes, stop
from vllm_quality_tests.servers.postgres import serve_postgres

pytestmark = pytest.mark.live

BUCKET = "llm-eval-ds"
IMAGE = f"ghcr.io/acme/vllm-quality@sha256:{'a' * 64}"
# Characters that would break an address if nobody quoted them.
SECRETS = {
    "postgres": {"pw": "p@ss/w#rd%41"},
    "vllm-quality": {"VLLM_QUALITY_RESULTS_URL": "https://u:results-s3cret@ch:8443/vllm_eval"},
    "bucket-keys": {"AWS_ACCESS_KEY_ID": "key-id", "AWS_SECRET_ACCESS_KEY": "bucket-s3cret"},
}
# Takes the place of vllm_quality.definitions: three steps of three kinds that need no model.
DEFINITIONS = """
import os, time
import dagster as dg
from vllm_quality.deployment import build_executor, step_tags
from vllm_quality.partitions import model_tags
from vllm_quality.settings import load_settings

@dg.asset(partitions_def=model_tags, op_tags=step_tags("light"))
def prepared(): ...

@dg.asset(partitions_def=model_tags, op_tags=step_tags("load"), deps=[prepared], pool="load")
def measured(context):
    print("measuring", context.partition_key)
    assert load_settings().results.endswith("vllm_eval")
    while "slow" in context.partition_key and not os.path.exists(os.environ["GO_ON"]):
        time.sleep(0.2)

@dg.asset(partitions_def=model_tags, op_tags=step_tags("eval"), deps=[measured])
def judged(): ...

defs = dg.Definitions(
    assets=[prepared, measured, judged],
    jobs=[dg.define_asset_job("evaluate_release", partitions_def=model_tags)],
    executor=build_executor(load_settings()),
)
"""


@dataclass
class Cluster:
    """The release, installed and running."""

    manifests: list[Manifest]
    api: KubernetesApi
    dagster: DagsterDev
    kubelet: Kubelet
    go_on: Path
    s3: Any

    def jobs_of(self, run_id: str) -> list[dict[str, Any]]:
        """The Jobs of a run, its own first, then those of its steps in the order of their start."""
        return [job for job in self.api.jobs if job["metadata"]["labels"]["dagster/run-id"] == run_id]

    def finished(self, run_id: str, timeout_s: float = 180) -> str:
        """How a run ended."""

        def status() -> str | None:
            run = next(run for run in self.dagster.runs() if run["runId"] == run_id)
            return run["status"] if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

        return wait_for(f"end of run {run_id}", status, timeout_s)

    def step_runs(self, run_id: str, op: str) -> str:
        """The name of a step's Job, as soon as its container runs the step."""

        def started() -> str | None:
            jobs = [job for job in self.jobs_of(run_id) if job["metadata"]["labels"].get("dagster/op") == op]
            query = "query ($id: ID!) {runOrError(runId: $id) {... on Run {stepStats {stepKey status}}}}"
            steps = self.dagster.ask(query, id=run_id)["runOrError"]["stepStats"]
            running = {"stepKey": op, "status": "IN_PROGRESS"} in steps
            return jobs[0]["metadata"]["name"] if jobs and running else None

        return wait_for(f"step {op} of run {run_id}", started, 120)


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[str, Any]]:
    """Address of an S3 server and a client for it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {key.lower(): value for key, value in SECRETS["bucket-keys"].items()}
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", **keys)
    client.create_bucket(Bucket=BUCKET)
    yield f"http://{host}:{port}", client
    client.close()
    server.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, bucket: tuple[str, Any]) -> Iterator[Cluster]:
    if find_spec("dagster_postgres") is None:
        pytest.skip("dagster-postgres is not installed: pip install -c constraints.txt -e '.[k8s,test]'")
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        port = stack.enter_context(serve_postgres("dagster", SECRETS["postgres"]["pw"]))
        manifests = render(
            {
                "image": {"repository": "ghcr.io/acme/vllm-quality", "digest": f"sha256:{'a' * 64}"},
                "settings": {"base_url": "http://vllm-{tag}.serving:8000"},
                "existingSecret": "vllm-quality",
                "runs": {"priorityClassName": "evaluation-high"},
                "networkPolicy": {"enabled": True},
                "postgres": {
                    "host": "127.0.0.1",
                    "port": port,
                    "database": "postgres",
                    "existingSecret": "postgres",
                    "passwordKey": "pw",
                },
                "objects": {"s3": {"bucket": BUCKET, "endpoint": bucket[0], "existingSecret": "bucket-keys"}},
            }
        )
        kubelet = _kubelet(folder, manifests)
        api = stack.enter_context(serve_kubernetes([one(manifests, "Role")], kubelet))
        api.kubeconfig(kubelet.with_token / "kubeconfig", NAMESPACE)
        _mount_instance(folder, manifests, kubelet)
        for deployment in ("code", "webserver", "daemon"):
            pod = one(manifests, "Deployment", f"-{deployment}")["spec"]["template"]["spec"]
            stack.callback(stop, kubelet.start(pod, deployment), grace_s=5)
        dagster = DagsterDev(f"http://127.0.0.1:{kubelet.arguments['3000']}", folder, folder, 0)
        cluster = Cluster(manifests, api, dagster, kubelet, folder / "go-on", bucket[1])
        wait_for("the webserver with its code location", lambda: _ready(cluster), 180)
        yield cluster


def _kubelet(folder: Path, manifests: list[Manifest]) -> Kubelet:
    for name in ("logs", "home", "code", "pod", "pod-with-token"):
        (folder / name).mkdir()
    (folder / "code" / "toy_definitions.py").write_text(DEFINITIONS, encoding="utf-8")
    return Kubelet(
        config_maps={each["metadata"]["name"]: each["data"] for each in manifests if each["kind"] == "ConfigMap"},
        secrets=SECRETS,
        overrides={
            "DAGSTER_HOME": str(folder / "home"),
            "VLLM_QUALITY_HOME": str(folder / "vllm-quality"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{folder / 'code'}:{os.environ.get('PYTHONPATH', '')}",
            "GO_ON": str(folder / "go-on"),
        },
        arguments={
            "0.0.0.0": "127.0.0.1",
            "4000": str(free_port()),
            "3000": str(free_port()),
            "vllm_quality.definitions": "toy_definitions",
            "/etc/dagster/workspace.yaml": str(folder / "home" / "workspace.yaml"),
        },
        logs=folder / "logs",
        with_token=folder / "pod-with-token",
        without_token=folder / "pod",
    )


def _mount_instance(folder: Path, manifests: list[Manifest], kubelet: Kubelet) -> None:
    """The rendered files with addresses of this machine; a crashed run is looked for often, and cleaned up at once."""
    config = instance_config(manifests)
    config["run_launcher"]["config"] |= {"load_incluster_config": False, "kubeconfig_file": "kubeconfig"}
    config["run_monitoring"] |= {"poll_interval_seconds": 3, "free_slots_after_run_end_seconds": 3}
    config["compute_logs"]["config"]["local_dir"] = str(folder / "compute-logs")
    workspace = yaml.safe_load(one(manifests, "ConfigMap", "-instance")["data"]["workspace.yaml"])
    server = workspace["load_from"][0]["grpc_server"]
    service = one(manifests, "Service", "-code")
    assert (server["host"], server["port"]) == (service["metadata"]["name"], service["spec"]["ports"][0]["port"])
    server |= {"host": "127.0.0.1", "port": int(kubelet.arguments["4000"])}
    for name, content in (("dagster.yaml", config), ("workspace.yaml", workspace)):
        (folder / "home" / name).write_text(yaml.safe_dump(content), encoding="utf-8")


def _ready(cluster: Cluster) -> bool:
    query = "{repositoriesOrError {... on RepositoryConnection {nodes {name}}}}"
    try:
        return bool(cluster.dagster.ask(query)["repositoriesOrError"].get("nodes"))
    except (httpx.HTTPError, ValueError):
        return False


def _container(cluster: Cluster, deployment: str) -> dict[str, Any]:
    pod = one(cluster.manifests, "Deployment", f"-{deployment}")["spec"]["template"]["spec"]
    found: dict[str, Any] = pod["containers"][0]
    return found


def _selects(policy: Manifest, labels: dict[str, str]) -> bool:
    selector = policy["spec"]["podSelector"]
    (expression,) = selector["matchExpressions"]
    return selector["matchLabels"].items() <= labels.items() and labels[expression["key"]] in expression["values"]


def test_the_probes_of_every_component_are_answered(cluster: Cluster) -> None:
    import grpc  # type: ignore[import-untyped]
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

    probe = _container(cluster, "code")["readinessProbe"]["grpc"]
    with grpc.insecure_channel(f"127.0.0.1:{cluster.kubelet.arguments[str(probe['port'])]}") as channel:
        request = health_pb2.HealthCheckRequest(service=probe["service"])
        assert (
            health_pb2_grpc.HealthStub(channel).Check(request, timeout=5).status
            == health_pb2.HealthCheckResponse.SERVING
        )

    path = _container(cluster, "webserver")["readinessProbe"]["httpGet"]["path"]
    assert httpx.get(f"{cluster.dagster.url}{path}", timeout=10).status_code == 200

    container = _container(cluster, "daemon")
    command, environment = container["livenessProbe"]["exec"]["command"], cluster.kubelet.environment(container)

    def alive() -> bool:
        return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False).returncode == 0

    wait_for("the daemon's heartbeat", alive, 60)


def test_a_run_is_a_pod_and_so_is_each_step_and_no_secret_is_in_any(cluster: Cluster) -> None:
    cluster.dagster.add_partition("release-1")
    run_id = cluster.dagster.launch("release-1")
    assert cluster.finished(run_id) == "SUCCESS"

    run, *steps = cluster.jobs_of(run_id)
    assert [job["metadata"]["labels"]["dagster/op"] for job in steps] == ["prepared", "measured", "judged"]
    for job in (run, *steps):
        kubernetes_validate.validate(job, "1.35", strict=True)
        pod = job["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"] == IMAGE
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["priorityClassName"] == "evaluation-high"
        assert job["spec"]["ttlSecondsAfterFinished"] == 3600
        assert _selects(
            one(cluster.manifests, "NetworkPolicy", "-closed"), job["spec"]["template"]["metadata"]["labels"]
        )
        text = json.dumps(job)
        assert not [value for data in SECRETS.values() for value in data.values() if value in text]
    # A step starts nothing, so it gets no token; and it dies with the run's pod.
    assert run["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    for job in steps:
        assert job["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
        assert [owner["name"] for owner in job["metadata"]["ownerReferences"]] == [run["metadata"]["name"]]
    load = steps[1]["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert load == {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "4", "memory": "8Gi"}}

    tags = cluster.dagster.runs()[0]["tags"]
    assert tags["endpoint"].startswith("vllm-release-1.serving:8000")
    listed = cluster.s3.list_objects_v2(Bucket=BUCKET, Prefix="compute-logs/")["Contents"]
    output = [cluster.s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read() for each in listed]
    assert any(b"measuring release-1" in each for each in output)


def test_stopping_a_run_in_the_ui_stops_its_step_too(cluster: Cluster) -> None:
    cluster.dagster.add_partition("release-slow-1")
    run_id = cluster.dagster.launch("release-slow-1")
    step = cluster.step_runs(run_id, "measured")
    mutation = "mutation ($id: String!) {terminateRun(runId: $id) {__typename}}"
    assert cluster.dagster.ask(mutation, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"
    assert cluster.finished(run_id) == "CANCELED"
    assert wait_for("the end of the step", lambda: cluster.api.pods[step].exit_code is not None, 30)


def _lose_the_pods_of(cluster: Cluster, tag: str) -> str | None:
    """The run that retries one whose pods were killed in the middle of its second step; None when there is none."""
    cluster.dagster.add_partition(tag)
    run_id = cluster.dagster.launch(tag)
    step = cluster.step_runs(run_id, "measured")
    for name in (cluster.jobs_of(run_id)[0]["metadata"]["name"], step):
        process = cluster.api.pods[name].process
        assert process is not None
        process.kill()
    assert cluster.finished(run_id) == "FAILURE"

    def retry() -> str | None:
        runs = cluster.dagster.runs()
        return next((run["runId"] for run in runs if run["tags"].get("dagster/parent_run_id") == run_id), None)

    with suppress(AssertionError):
        return wait_for("the retry", retry, 45)
    return None


def test_a_run_whose_pod_is_lost_is_retried_where_it_stopped(cluster: Cluster) -> None:
    # Dagster 1.13 stores a failure before it marks the run as failed: a daemon that looks in between, on a very busy
    # machine, takes the run for a running one and never comes back to it.
    retried = next(filter(None, (_lose_the_pods_of(cluster, f"release-slow-{number}") for number in (2, 3, 4))), None)
    assert retried is not None
    cluster.go_on.touch()
    assert cluster.finished(retried) == "SUCCESS"
    _, *steps = cluster.jobs_of(retried)
    assert [job["metadata"]["labels"]["dagster/op"] for job in steps] == ["measured", "judged"]


def test_the_role_is_what_all_of_this_called_and_nothing_else(cluster: Cluster) -> None:
    from dagster_k8s.client import DagsterKubernetesClient
    from kubernetes import config

    config.load_kube_config(str(cluster.kubelet.with_token / "kubeconfig"))
    client = DagsterKubernetesClient.production_client()  # type: ignore[no-untyped-call]
    # What the daemon asks, to explain it, when a run did not start or stop in time: its pod's log, or its Job if it has no pod.
    name = next(iter(cluster.api.pods))
    client.get_pod_debug_info(name, NAMESPACE)
    client.get_job_debug_info(name, NAMESPACE)
    assert cluster.api.refused == set()
    assert cluster.api.calls == cluster.api.allowed
