"""The chart in helm/, rendered by a real helm."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from vllm_quality_tests.live.cache import Unavailable
from vllm_quality_tests.live.programs import ensure_helm

CHART = Path(__file__).parents[2] / "helm" / "vllm-quality"
RELEASE, NAMESPACE = "vq", "evaluation"

Values = Mapping[str, Any]
Manifest = dict[str, Any]


@cache
def find_helm() -> Path:
    """A real helm. Skips where none can be had."""
    try:
        return ensure_helm().helm
    except Unavailable as reason:
        pytest.skip(f"no helm: {reason}")


def helm(command: str, *arguments: str, values: Values | None = None) -> subprocess.CompletedProcess[str]:
    """What helm says of the chart, whatever its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        more = []
        if values is not None:
            (Path(folder) / "values.json").write_text(json.dumps(values), encoding="utf-8")
            more = ["--values", f"{folder}/values.json"]
        return subprocess.run(
            [str(find_helm()), command, *arguments, str(CHART), "--namespace", NAMESPACE, *more],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def render(values: Values) -> list[Manifest]:
    """The chart's manifests."""
    return [document for document in yaml.safe_load_all(_template(json.dumps(values))) if document]


@cache
def _template(values: str) -> str:
    done = helm("template", RELEASE, values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return done.stdout


def one(manifests: list[Manifest], kind: str, suffix: str = "") -> Manifest:
    """The only manifest of a kind whose name ends so."""
    (found,) = (each for each in manifests if each["kind"] == kind and each["metadata"]["name"].endswith(suffix))
    return found


def instance_config(manifests: list[Manifest]) -> dict[str, Any]:
    """The rendered dagster.yaml."""
    loaded: dict[str, Any] = yaml.safe_load(one(manifests, "ConfigMap", "-instance")["data"]["dagster.yaml"])
    return loaded
