"""What is printed when a test is over."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from vllm_quality.load.output.table import print_result
from vllm_quality_tests.load.output.results import PROBLEM, load_result


def printed(width: int = 160, **changes: Any) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    print_result(console, load_result(**changes), [Path("out/report.html"), Path("out/stage_0_lifecycle_metrics.json")])
    return console.export_text()


def test_every_stage_has_a_row_and_errors_are_named() -> None:
    text = printed()
    for said in (
        "concurrency-8",
        "concurrency-64",
        "TTFT p50",
        "goodput",
        "× http_error in",
        "saturated at 31 streams.",
    ):
        assert said in text
    assert "1,170 of 1,200 requests ended ok, 30 failed (2.5 %)." in text
    assert "Report: out/report.html" in text
    assert "Not to be compared" not in text


def test_figures_that_must_not_be_compared_are_said_to_be_so() -> None:
    assert f"Not to be compared. {PROBLEM}" in printed(problem=PROBLEM)
    assert "Interrupted: the figures are of what was sent until then." in printed(interrupted=True)


def test_a_narrow_terminal_has_fewer_columns_and_none_cut_off() -> None:
    wide, narrow = printed(), printed(width=80)
    assert "ITL p99" in wide
    assert "ITL p99" not in narrow
    assert "…" not in wide + narrow
    for said in ("concurrency-64", "TTFT p50", "TPOT p50", "goodput"):
        assert said in narrow
