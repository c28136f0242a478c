"""What is seen while a test runs."""

import io
from typing import Any

from rich.console import Console

from vllm_quality.load.output.live import Lines, line, live_table, live_view
from vllm_quality.load.result import Snapshot


def snapshot(**changes: Any) -> Snapshot:
    values: dict[str, Any] = {
        "part": "concurrency-8",
        "part_number": 2,
        "parts": 3,
        "elapsed_s": 12.0,
        "planned": 400,
        "sent": 130,
        "in_flight": 8,
        "by_outcome": {"ok": 118, "timeout": 3, "http_error": 1},
        "requests_per_s": 9.94,
        "output_tokens_per_s": 1272.0,
        "ttft_p50_s": 0.045,
        "ttft_p99_s": 0.081,
        "tpot_p50_s": 0.0116,
        "tpot_p99_s": 0.014,
        "lag_p99_s": 0.0004,
    }
    return Snapshot(**(values | changes))


def test_a_line_says_where_the_run_is() -> None:
    assert line(snapshot()) == (
        "concurrency-8 (2 of 3), 12 s, 122 of 400 done, 8 in flight, 9.9 req/s, 1,272 tok/s, "
        "TTFT p50 45.0 ms p99 81.0 ms, TPOT p50 11.6 ms p99 14.0 ms, failed: timeout 3, http_error 1"
    )


def test_a_line_has_no_latencies_before_the_first_answer_and_no_plan_where_time_ends_it() -> None:
    early = snapshot(
        part="calibration", parts=None, planned=None, by_outcome={}, ttft_p50_s=None, ttft_p99_s=None,
        tpot_p50_s=None, tpot_p99_s=None, output_tokens_per_s=0.0,
    )  # fmt: skip
    assert line(early) == "calibration, 12 s, 0 done, 8 in flight, 9.9 req/s"


def test_on_a_pipe_there_is_a_line_every_five_seconds_and_at_each_parts_end() -> None:
    out = io.StringIO()
    lines = Lines(Console(file=out, width=200))
    for part, times in (("warm-up", (0, 1)), ("rate-5", (0, 2, 4.9, 5.1, 7, 10.2)), ("rate-9", (0, 3))):
        for elapsed_s in times:
            lines.show(snapshot(part=part, elapsed_s=elapsed_s))
    lines.end()
    told = out.getvalue().splitlines()
    assert [entry.split(",")[1].strip() for entry in told] == ["1 s", "5 s", "10 s", "3 s"]
    assert [entry.split(" ")[0] for entry in told] == ["warm-up", "rate-5", "rate-5", "rate-9"]


def test_in_a_terminal_there_is_a_table_that_goes_away() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with live_view(console) as show:
        show(snapshot())
    assert "122 of 400 done" in out.getvalue()


def test_the_table_names_failures_and_the_clients_own_lag() -> None:
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(live_table(snapshot()))
    text = console.export_text()
    for said in ("concurrency-8 (2 of 3)", "timeout 3, http_error 1", "late by 0.4 ms", "p50 45.0 ms, p99 81.0 ms"):
        assert said in text
