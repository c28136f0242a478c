"""They run, and print what the README shows. What they measure is for quiet machines."""

import subprocess
import sys

from vllm_quality_tests.benchmarks.table import Row, markdown


def run(module: str, *options: str) -> str:
    command = [sys.executable, "-m", f"vllm_quality_tests.benchmarks.{module}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_client_cost_compares_clients_on_the_same_server() -> None:
    sizes = ["--streams=4", "--tokens=20", "--sizes=8,24", "--itl=0.001", "--repeats=1"]
    lines = run("client_cost", *sizes).splitlines()
    assert lines[2].startswith("| client | CPU µs/chunk | ratio |")
    assert [line.split(" | ")[0] for line in lines[4:7]] == [
        "| vllm-quality load-test",
        "| its wire client alone",
        "| aiohttp + JSON",
    ]


def test_memory_prints_the_peak_after_each_step() -> None:
    lines = run("memory", "--requests=300", "--tokens=5").splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "imports",
        "records of 300 requests",
        "written",
        "merged",
        "figures",
    ]
    assert lines[-1].endswith("1,200 gaps")


def test_pii_prints_a_table_for_each_half_and_what_a_text_costs() -> None:
    lines = run("pii").splitlines()
    heads = [line for line in lines if line.startswith("| kind | labelled | ours, exact | ours | Presidio |")]
    assert len(heads) == 2
    assert [line.split(" | ")[0] for line in lines[-3:]] == ["| ours", "| Presidio", "| Presidio with Korea"]


def test_data_sets_memory_prints_a_row_per_run() -> None:
    lines = run("datasets_memory", "--rows=60", "--row-bytes=400", "--short-rows=200").splitlines()
    assert lines[0].startswith("| run | rows | file MB | peak RSS MB |")
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        ["| import", "60"],
        ["| sample", "200"],
        ["| freeze", "60"],
    ]


def test_the_table_shows_what_is_not_known_as_such() -> None:
    table = markdown([Row("ours", 4.0, 0.123, 1.5), Row("another", 32.0, None, None)])
    assert table.splitlines()[2:] == ["| ours | 4.0 | 1.0 | 0.12 | 1.50 |", "| another | 32.0 | 8.0 | – | – |"]
