"""The chart as a real helm renders it: valid for Kubernetes, readable by Dagster, without a secret in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from pydantic import SecretStr

from vllm_quality.settings import PREFIX, Settings, load_settings
from vllm_quality_tests.live.chart import NAMESPACE, Manifest, Values, helm, instance_config, one, render
from vllm_quality_tests.servers.kubernetes_api import Call, calls_allowed_by, serve_kubernetes

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
LEAST: Values = {
    "image": {"repository": "ghcr.io/acme/vllm-quality"},
    "existingSecret": "vllm-quality",
    "postgres": {"host": "postgres", "existingSecret": "postgres"},
    "objects": {"s3": {"bucket": "llm-eval-ds"}},
}
CLAIM: Values = {**LEAST, "objects": {"existingClaim": "shared"}, "settings": {"executor": "in_process"}}
FULL: Values = {
    "image": {"repository": "ghcr.io/acme/vllm-quality", "digest": f"sha256:{'a' * 64}", "pullSecrets": ["ghcr"]},
    "settings": {
        "image": "ghcr.io/acme/vllm",
        "base_url": "http://vllm-{tag}.serving:8000",
        "teams_mentions": "LLM Ops <ops@example.com>",
        "poll_seconds": 1000000,
        "request_timeout_s": 0.5,
        "registry_plain_http": False,
        "datasets_dir": "/sets",
    },
    "existingSecret": "vllm-quality",
    "configs": {
        "evalchemy.json": '  {"tasks": ["ko_mmlu"], "seed": 20250101}\n',
        "scenarios.yaml": "# 기준선\nscenarios: {}\n",
    },
    "postgres": {"host": "pg.db", "existingSecret": "postgres", "passwordKey": "pw", "params": {"sslmode": "require"}},
    "objects": {
        "s3": {
            "bucket": "llm-eval-ds",
            "prefix": "team-a",
            "endpoint": "http://minio.minio:9000",
            "region": "eu-central-1",
            "existingSecret": "bucket-keys",
        }
    },
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/evaluation"}},
    "codeServer": {"nodeSelector": {"pool": "cpu"}, "tolerations": [{"key": "spot", "operator": "Exists"}]},
    "webserver": {"replicas": 3, "readOnly": True, "priorityClassName": "high", "affinity": {"nodeAffinity": {}}},
    "daemon": {"priorityClassName": "high"},
    "runs": {
        "maxConcurrent": 2,
        "poolLimit": 4,
        "priorityClassName": "evaluation-high",
        "nodeSelector": {"topology.kubernetes.io/zone": "a"},
        "tolerations": [{"key": "evaluation", "operator": "Exists"}],
    },
    "extraVolumes": [{"name": "sets", "configMap": {"name": "our-sets"}}],
    "extraVolumeMounts": [{"name": "sets", "mountPath": "/sets", "readOnly": True}],
    "networkPolicy": {"enabled": True, "webserverFrom": [{"podSelector": {"matchLabels": {"app": "ingress"}}}]},
}
VALUE_SETS = {"least": LEAST, "claim": CLAIM, "full": FULL}
every_value_set = pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS.keys())


def pods(manifests: list[Manifest]) -> dict[str, dict[str, Any]]:
    """Component to pod specification."""
    deployments = [each for each in manifests if each["kind"] == "Deployment"]
    return {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["template"]["spec"]
        for each in deployments
    }


@pytest.mark.parametrize("values", [None, *VALUE_SETS.values()], ids=["none", *VALUE_SETS])
def test_lint_is_content(values: Values | None) -> None:
    done = helm("lint", "--strict", values=values)
    assert done.returncode == 0, done.stdout + done.stderr


@every_value_set
@pytest.mark.parametrize("version", ["1.33", "1.35"])
def test_kubernetes_would_take_every_manifest(values: Values, version: str) -> None:
    manifests = render(values)
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)
    assert set(pods(manifests)) == {"code-server", "webserver", "daemon"}


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("image", "image.repository is empty; set it to the image that you built with helm/Dockerfile."),
        ("existingSecret", "existingSecret is empty; name the Secret that holds VLLM_QUALITY_RESULTS_URL."),
        ("postgres", "postgres.host is empty; set it to the server that keeps Dagster's storage."),
        ("objects", "objects.s3.bucket and objects.existingClaim are empty; set one: pods share no disk."),
    ],
)
def test_a_required_value_that_is_missing_is_one_sentence(missing: str, sentence: str) -> None:
    done = helm("template", "vq", values={key: value for key, value in LEAST.items() if key != missing})
    assert done.returncode != 0
    assert sentence in done.stderr


@pytest.mark.parametrize(
    "typo",
    [
        {"webserver": {"replcas": 3}},
        {"settings": {"bas_url": "http://x"}},
        {"settings": {"results_url": "https://user:password@host/db"}},
        {"settings": {"executor": "kubernetes"}},
        {"image": {"repository": "x", "digest": "latest"}},
        {"configs": {"evalchemy.yaml": ""}},
        {"runs": {"maxConcurrent": "two"}},
        {"replicas": 2},
    ],
)
def test_the_schema_refuses_a_typo(typo: Values) -> None:
    done = helm("template", "vq", values={**LEAST, **typo})
    assert done.returncode != 0
    assert "don't meet the specifications of the schema" in done.stderr


@every_value_set
def test_pods_meet_the_restricted_security_standard_and_hold_a_token_only_to_start_or_stop_runs(values: Values) -> None:
    for component, pod in pods(render(values)).items():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} == set(container["resources"])
        assert pod["automountServiceAccountToken"] is (component != "code-server")
    account = one(render(values), "ServiceAccount")
    assert account["automountServiceAccountToken"] is False


def test_the_role_grants_these_verbs_in_its_namespace_and_no_other() -> None:
    manifests = render(LEAST)
    assert calls_allowed_by(one(manifests, "Role")) == {
        Call("create", "batch", "jobs"),
        Call("delete", "batch", "jobs"),
        Call("list", "batch", "jobs"),
        Call("get", "batch", "jobs/status"),
        Call("get", "", "pods"),
        Call("list", "", "pods"),
        Call("delete", "", "pods"),
        Call("get", "", "pods/log"),
        Call("list", "", "events"),
    }
    binding = one(manifests, "RoleBinding")
    assert [subject["namespace"] for subject in binding["subjects"]] == [NAMESPACE]
    assert not [each for each in manifests if each["kind"].startswith("Cluster")]


@every_value_set
def test_secrets_are_only_referred_to(values: Values) -> None:
    manifests = render(values)
    assert not [each for each in manifests if each["kind"] == "Secret"]
    secret = {
        PREFIX + name.upper()
        for name, field in Settings.model_fields.items()
        if field.annotation in (SecretStr, SecretStr | None)
    }
    assert len(secret) == 8
    config_maps = [each for each in manifests if each["kind"] == "ConfigMap"]
    assert not secret & {name for each in config_maps for name in each["data"]}
    for pod in pods(manifests).values():
        for variable in pod["containers"][0]["env"]:
            assert ("valueFrom" in variable) == (variable["name"] == "DAGSTER_PG_PASSWORD")


def test_only_the_project_s_own_code_gets_its_secrets() -> None:
    def secrets(component: str) -> list[str]:
        sources = pods(render(FULL))[component]["containers"][0]["envFrom"]
        return [source["secretRef"]["name"] for source in sources if "secretRef" in source]

    assert secrets("code-server") == ["bucket-keys", "vllm-quality"]
    assert secrets("webserver") == secrets("daemon") == ["bucket-keys"]


@every_value_set
def test_the_settings_are_read_back_as_they_were_meant(values: Values, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in one(render(values), "ConfigMap", "-settings")["data"].items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    wanted = {"executor": "k8s", **values.get("settings", {})}
    wanted |= {"teams_mentions": (("LLM Ops", "ops@example.com"),)} if "teams_mentions" in wanted else {}
    wanted |= {"datasets_dir": Path("/sets")} if "datasets_dir" in wanted else {}
    assert {name: getattr(settings, name) for name in wanted} == wanted
    assert settings.objects in ("s3://llm-eval-ds", "s3://llm-eval-ds/team-a", "file:///data/objects")


def test_the_packaged_configuration_holds_until_values_give_another() -> None:
    manifests = render(LEAST)
    assert f"{PREFIX}CONFIG_DIR" not in one(manifests, "ConfigMap", "-settings")["data"]

    manifests = render(FULL)
    assert one(manifests, "ConfigMap", "-configs")["data"] == FULL["configs"]
    folder = one(manifests, "ConfigMap", "-settings")["data"][f"{PREFIX}CONFIG_DIR"]
    launcher = instance_config(manifests)["run_launcher"]["config"]
    for mounts in (pods(manifests)["code-server"]["containers"][0]["volumeMounts"], launcher["volume_mounts"]):
        assert folder in [mount["mountPath"] for mount in mounts]


@contextmanager
def opened(manifests: list[Manifest], folder: Path) -> Iterator[dg.DagsterInstance]:
    """The rendered instance without Postgres and with an API server on loopback."""
    config = instance_config(manifests)
    del config["storage"]
    with serve_kubernetes([one(manifests, "Role")], kubelet=None) as api:
        kubeconfig = api.kubeconfig(folder / "kubeconfig", NAMESPACE)
        config["run_launcher"]["config"] |= {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
        (folder / "dagster.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            yield instance


@every_value_set
def test_dagster_takes_the_instance_and_every_class_in_it(values: Values, tmp_path: Path) -> None:
    manifests = render(values)
    if values is CLAIM:
        assert instance_config(manifests)["compute_logs"]["config"] == {"base_dir": "/data/compute-logs"}
        return  # that folder is the pod's
    with opened(manifests, tmp_path) as instance:
        classes = [instance.run_launcher, instance.run_coordinator, instance.compute_log_manager]
    assert [type(each).__name__ for each in classes] == [
        "K8sRunLauncher",
        "EndpointRunCoordinator",
        "S3ComputeLogManager",
    ]


def test_the_instance_has_the_limits_of_the_local_one() -> None:
    local = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    rendered = instance_config(render(LEAST))
    same = set(local) - {"run_monitoring"}  # pods take longer to start
    assert {key: rendered[key] for key in same} == {key: local[key] for key in same}
    assert rendered["run_monitoring"] == local["run_monitoring"] | {"start_timeout_seconds": 900}


def test_notes_say_how_to_open_the_ui_and_what_is_not_set() -> None:
    done = helm("install", "vq", "--dry-run=client", values=LEAST)
    if done.returncode != 0 and "cluster unreachable" in done.stderr:
        pytest.skip(f"helm wants a cluster for its notes: {done.stderr.strip()[:100]}")
    assert "port-forward service/vq-vllm-quality-webserver 3000:80" in done.stdout
    assert "settings.base_url is empty" in done.stdout


def test_the_chart_can_be_packaged(tmp_path: Path) -> None:
    done = helm("package", "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["vllm-quality-0.1.0.tgz"]
