"""What a person sees in the terminal after an evaluation."""

from dataclasses import replace

from rich.console import Console

from vllm_quality.calibration import _table
from vllm_quality.terminal import moved_lines, verdict_table
from vllm_quality.verdict.types import Verdict
from vllm_quality_tests.report.judged import MOVED
from vllm_quality_tests.report.test_comparison import LATENCY, LOGPROB, SCORE


def shown(*what: object) -> list[str]:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(*what, sep="\n")
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_a_loss_that_was_measured_twice_and_one_that_was_not_borne_out() -> None:
    findings = (
        replace(SCORE, repeat="confirmed", detector="drift"),
        replace(LATENCY, repeat="refuted", status="pass"),
        LOGPROB,
    )
    lines = shown(verdict_table(Verdict("worse", findings, (), "")))
    assert "eval/gsm8k/exact_match 57.0 % 62.0 % −8.1 % 10% worse, drift, measured twice" in lines
    assert any(line.endswith("10% pass, measured again, not borne out") for line in lines)
    assert "eval/arc/gold_logprob −1.122 nats/byte −1.100 nats/byte −2.0 % 10% worse" in lines


def test_what_else_moved_is_a_line_each() -> None:
    lines = shown(*moved_lines(Verdict("pass", (), (), "", moved=MOVED * 3)))
    assert lines[0] == "Also moved: basics_ko, length of the answers 212 → 187 characters (−11.9 %)"
    assert len(lines) == 5
    assert moved_lines(Verdict("pass", (), (), "")) == []


def test_calibration_says_what_would_show_in_the_unit_of_each_metric() -> None:
    lines = shown(_table([SCORE, LATENCY, LOGPROB]))
    assert any("62.0 % 57.0 % -5 points 1.7 points 2 points" in line for line in lines)
    assert any("100 ms 120 ms +20 % 18 % 10 %" in line for line in lines)
    assert any("−1.100 nats/byte −1.122 nats/byte -2 % 0.5 % 2 %" in line for line in lines)
