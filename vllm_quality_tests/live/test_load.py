"""The load engine against a real vLLM: what the client sees is what the server counted; configurations run as they are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vllm_quality.results.s3_objects import S3Objects
from vllm_quality_tests.live.servers import S3

pytestmark = pytest.mark.live

# The EKS document's configuration; only address, duration and rate (for this machine) are filled in.
EKS = """\
api: {{type: completion, streaming: true}}
data: {{type: shareGPT}}
load: {{type: constant, stages: [{{rate: {rate}, duration: {duration}}}], num_workers: 4}}
server: {{type: vllm, model_name: smollm2, base_url: "{base_url}", ignore_eos: true}}
tokenizer: {{pretrained_model_name_or_path: Qwen/Qwen3-8B}}
storage: {{simple_storage_service: {{bucket_name: {bucket}, path: sharegpt-test/results}}}}
"""


def load_test(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    command = [sys.executable, "-m", "vllm_quality", "load-test", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return found


def test_ttft_is_what_the_server_itself_counted(vllm: str, tmp_path: Path) -> None:
    code, told = load_test(
        tmp_path, "--base-url", vllm, "--rate", "1", "--duration", "20", "--input-tokens", "96", "--output-tokens", "8",
        "--output", "out",
    )  # fmt: skip
    assert code == 0, told
    (stage,) = summary_of(tmp_path / "out")["stages"]
    here, there = stage["from_sending"]["ttft_s"]["mean"], stage["server"]["ttft_mean_s"]
    print(f"\nTTFT: {here * 1000:.2f} ms here, {there * 1000:.2f} ms by vLLM's own histogram: {here / there - 1:+.1%}")
    assert (stage["requests"]["sent"], stage["requests"]["ok"]) == (20, 20)
    assert stage["server"]["requests"] == 20
    assert stage["server"]["output_tokens"] == 160
    assert here == pytest.approx(there, rel=0.05)
    requests = pl.read_parquet(tmp_path / "out" / "requests.parquet")
    assert set(requests["prompt_tokens"]) == {96}
    assert set(requests["output_tokens"]) == {8}


def test_the_eks_documents_configuration_runs_as_it_is(
    vllm: str, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EKS.format(base_url=vllm, bucket=s3.bucket, rate=1, duration=4)
    (tmp_path / "config.yml").write_text(config, encoding="utf-8")
    environment = {"VLLM_QUALITY_S3_ENDPOINT": s3.endpoint, **s3.environment}
    code, told = load_test(tmp_path, "--config", "config.yml", "--output", "out", environment=environment)
    assert code == 0, told
    assert "sample" in told  # that no ShareGPT was given is said
    summary = summary_of(tmp_path / "out")
    assert summary["stages"][0]["requests"]["sent"] == 4
    for name in ("summary_lifecycle_metrics.json", "stage_0_lifecycle_metrics.json", "report.html"):
        assert (tmp_path / "out" / name).is_file(), name
    assert f"s3://{s3.bucket}/sharegpt-test/results" in told
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    stored = S3Objects(s3.bucket, "sharegpt-test/results", s3.endpoint).get("summary.json")
    assert json.loads(stored) == summary
