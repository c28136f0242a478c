"""`vllm-quality load-test` from the first argument to the exit code, against a server of known timing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vllm_quality.load.play.paced import PacedServer

LONGEST_S = 90.0


@pytest.fixture(scope="module")
def server() -> Iterator[PacedServer]:
    with PacedServer(ttft=0.01, itl=0.001) as running:
        yield running


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "vllm_quality", "load-test", *arguments]


def run(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=LONGEST_S,
        env={**os.environ, **environment},
    )


def summary(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def test_concurrency_and_requests_leave_every_file(server: PacedServer, tmp_path: Path) -> None:
    options = ["--base-url", server.url, "--concurrency", "4", "--requests", "20", "--output-tokens", "8"]
    done = run(*options, "--output", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Report: out/report.html" in done.stdout
    told = summary(tmp_path / "out")
    (stage,) = told["stages"]
    assert stage["requests"]["sent"] == stage["requests"]["ok"] == 20
    assert stage["ttft_s"]["count"] == 20
    assert stage["throughput"]["output_tokens_per_s"] > 0
    assert told["calibration"] is not None
    assert pl.read_parquet(tmp_path / "out" / "requests.parquet").height == 20
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"report.html", "summary_lifecycle_metrics.json", "stage_0_lifecycle_metrics.json", "tape"} <= names
    assert not any(name.startswith(".") for name in names)


def test_a_kept_tape_is_replayed_to_the_byte(server: PacedServer, tmp_path: Path) -> None:
    first = run(
        *("--base-url", server.url, "--rate", "40", "--duration", "0.5", "--arrival", "poisson", "--seed", "3"),
        *("--output-tokens", "4", "--output", "first", "--no-calibration"),
        cwd=tmp_path,
    )
    assert first.returncode == 0, first.stderr
    again = run(
        *("--base-url", server.url, "--tape", "first", "--output", "again", "--no-calibration", "--slo", "ttft=5"),
        cwd=tmp_path,
    )
    assert again.returncode == 0, again.stderr
    before, after = summary(tmp_path / "first"), summary(tmp_path / "again")
    assert before["tape_sha256"] == after["tape_sha256"]
    assert before["stages"][0]["requests"]["sent"] == after["stages"][0]["requests"]["sent"]
    assert (before["stages"][0]["goodput"], after["stages"][0]["goodput"]["share"]) == (None, 1.0)


def test_a_sweep_tells_of_a_plateau_or_that_there_was_none(server: PacedServer, tmp_path: Path) -> None:
    done = run(
        *("--base-url", server.url, "--sweep", "1,2,4", "--requests", "12", "--output-tokens", "4"),
        *("--output", "out", "--no-calibration", "--no-save-tape"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    told = summary(tmp_path / "out")
    assert told["plateau"]["sentence"] in done.stdout
    assert not (tmp_path / "out" / "tape").exists()


def test_no_success_is_exit_2_with_a_report(tmp_path: Path) -> None:
    with PacedServer(ttft=0.01, itl=0.5) as slow:
        done = run(
            *(
                "--base-url",
                slow.url,
                "--concurrency",
                "2",
                "--requests",
                "2",
                "--output-tokens",
                "64",
                "--output",
                "out",
            ),
            *("--timeout", "1", "--no-calibration"),
            cwd=tmp_path,
        )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_nobody_there_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    done = run("--base-url", "http://127.0.0.1:9", "--concurrency", "1", "--requests", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: http://127.0.0.1:9 cannot be reached")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_ends_it_with_the_report_of_what_was_measured_and_130(server: PacedServer, tmp_path: Path) -> None:
    arguments = command(
        *("--base-url", server.url, "--concurrency", "2", "--duration", "60s", "--output-tokens", "4"),
        *("--output", "out", "--no-calibration"),
    )
    with subprocess.Popen(
        arguments, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        deadline = time.monotonic() + LONGEST_S
        told = ""
        # A line of the stage that tells of answers: from there on there is something to report.
        while not (told.startswith("concurrency-2") and " 0 done" not in told) and time.monotonic() < deadline:
            told = running.stdout.readline()
        os.killpg(running.pid, signal.SIGINT)
        rest = running.stdout.read()
        assert running.wait(LONGEST_S) == 130, rest
    assert summary(tmp_path / "out")["interrupted"] is True
    assert summary(tmp_path / "out")["stages"][0]["requests"]["ok"] > 0
    assert "Interrupted" in rest


def test_a_key_is_used_and_written_nowhere(server: PacedServer, tmp_path: Path) -> None:
    secret = "sk-hush-4711"
    done = run(
        *("--base-url", server.url, "--concurrency", "1", "--requests", "2", "--output-tokens", "2", "--output", "out"),
        "--no-calibration",
        cwd=tmp_path,
        VLLM_QUALITY_API_KEY=secret,
    )
    assert done.returncode == 0, done.stderr
    assert secret not in done.stdout + done.stderr
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes()


def test_a_failed_upload_is_exit_2_and_the_files_stay(server: PacedServer, tmp_path: Path) -> None:
    done = run(
        *("--base-url", server.url, "--concurrency", "1", "--requests", "2", "--output-tokens", "2", "--output", "out"),
        *("--no-calibration", "--upload", "s3://bucket/prefix"),
        cwd=tmp_path,
        VLLM_QUALITY_S3_ENDPOINT="http://127.0.0.1:9",
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="x",
    )
    assert done.returncode == 2
    assert "were not uploaded" in done.stdout
    assert (tmp_path / "out" / "summary.json").exists()


def test_an_inference_perf_configuration_runs_as_it_is(server: PacedServer, tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(
        "api: {type: completion, streaming: true}\n"
        "data: {type: shareGPT}\n"
        "load: {type: constant, stages: [{rate: 10, duration: 1}], num_workers: 1}\n"
        f'server: {{type: vllm, model_name: wrong, base_url: "{server.url}", ignore_eos: true}}\n'
        f"storage: {{local_storage: {{path: {tmp_path / 'reports'}}}}}\n"
    )
    served = "paced"
    done = run("--config", "config.yml", "--model", served, "--no-calibration", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        json.loads((tmp_path / "reports" / "summary_lifecycle_metrics.json").read_text())["load_summary"]["count"] == 10
    )
