"""Signals that moved, in the words of their own units."""

from dataclasses import replace

from vllm_quality.report.moved import moved_rows
from vllm_quality.verdict.types import Moved
from vllm_quality_tests.report.judged import MOVED

LENGTH, FLIPS, HANGUL = MOVED


def test_a_length_moves_relative_and_a_share_by_points() -> None:
    length, flips, hangul = moved_rows(MOVED)
    assert (length.title, length.place, length.values) == (
        "length of the answers",
        "basics_ko",
        "212 → 187 characters",
    )
    assert (length.change, length.interval, length.releases, length.n) == (
        "−11.9 %",
        "−13.2 to −10.5",
        "1,000,000",
        "400",
    )
    assert (hangul.values, hangul.change, hangul.interval) == ("91.4 % → 87.1 %", "−4.3 points", "−5.8 to −2.9")
    assert (flips.place, flips.values, flips.change) == ("gsm8k: exact match", "1.0 % → 4.6 %", "+3.6 points")
    assert (flips.interval, flips.releases) == ("", "30,000")


def test_a_logprob_that_is_no_alarm_is_told_in_nats() -> None:
    signal = Moved("eval/arc/gold_logprob", "logprob of the right answers", -0.5, -0.55, -0.06, -0.04, 1e-4, 900)
    (row,) = moved_rows([signal])
    assert (row.values, row.change) == ("−0.5000 → −0.5500 nats/byte", "−10.0 %")


def test_a_length_below_1_is_no_share() -> None:
    (row,) = moved_rows([Moved("eval/arc/answer_tokens", "length of the answers", 0.9, 0.45, -0.5, -0.4, 1e-4, 900)])
    assert (row.values, row.change) == ("0.900 → 0.450 tokens", "−50.0 %")


def test_what_the_registry_does_not_know_and_what_was_0_is_written_all_the_same() -> None:
    unknown, new = moved_rows([replace(LENGTH, metric="eval/x/wonder"), replace(HANGUL, baseline=0.0, current=0.02)])
    assert unknown.values == "212.4 → 187.1"
    assert (new.values, new.change) == ("0.0 % → 2.0 %", "+2.0 points")
