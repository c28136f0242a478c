"""Numbers and names as a person reads them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from vllm_quality.report.units import (
    human,
    human_change,
    human_duration,
    human_effect,
    human_interval,
    human_limit,
    human_size,
    human_time,
    metric_label,
    metric_title,
    scale_for,
    short_hash,
    verdict_words,
)
from vllm_quality.verdict.statistics.decide import once_in
from vllm_quality.verdict.types import Verdict
from vllm_quality_tests.verdict.test_types import FINE


@pytest.mark.parametrize(
    ("metric", "unit", "value", "shown"),
    [
        ("load/s/m/ttft_p99_s", "s", 0.4123, "412 ms"),
        ("load/s/m/ttft_p99_s", "s", 0.04123, "41.2 ms"),
        ("load/s/m/tpot_p50_s", "s", 0.00041, "0.410 ms"),
        ("load/s/m/e2e_p99_s", "s", 1.2345, "1.23 s"),
        ("pipeline/run_s", "s", 1865.0, "1,865 s"),
        ("load/s/m/output_tokens_per_s", "1/s", 871.3, "871 tok/s"),
        ("load/s/m/requests_per_s", "1/s", 9.87, "9.87 req/s"),
        ("load/s/m/success_ratio", "", 0.9667, "96.7 %"),
        ("load/s/m/requests_count", "count", 1200.0, "1,200"),
        ("eval/gsm8k/exact_match", "", 0.6213, "62.1 %"),
        ("eval/gsm8k/exact_match", "", 0.0, "0.0 %"),
        ("eval/wmt/bleu", "", 27.31, "27.3"),
        ("eval/wiki/word_perplexity", "", 12.734, "12.7"),
        ("eval/wiki/bits_per_byte", "", 0.8123, "0.812"),
        ("eval/arc/gold_logprob", "nats/byte", -1.1274, "−1.127 nats/byte"),
        ("eval/arc/gold_logprob_stderr", "nats/byte", 0.01234, "0.01234 nats/byte"),
        ("eval/arc/answer_chars", "characters", 1834.4, "1,834 characters"),
        ("eval/arc/answer_tokens", "tokens", 12.44, "12.4 tokens"),
        ("eval/x/mcc", "", -0.25, "−25.0 %"),
        ("eval/x/exact_match", "", None, "–"),
        ("eval/x/exact_match", "", float("nan"), "–"),
    ],
)
def test_human(metric: str, unit: str, value: float | None, shown: str) -> None:
    assert human(metric, unit, value) == shown


def test_values_in_one_row_share_their_unit() -> None:
    scale = scale_for("load/s/m/ttft_p99_s", "s", (0.95, 1.2, None))
    assert [scale.text(value) for value in (0.95, 1.2, None)] == ["0.95 s", "1.20 s", "–"]


def test_a_unit_that_is_a_word_stands_once_in_a_pair() -> None:
    logprob = scale_for("eval/arc/gold_logprob", "nats/byte", (-1.1, -1.2))
    assert logprob.pair(-1.096, -1.122) == "−1.096 → −1.122 nats/byte"
    assert scale_for("eval/arc/em", "", (0.5, 0.6)).pair(0.5, None) == "50.0 % → –"


def test_what_is_no_share_moves_relative_to_what_was_before() -> None:
    logprob = replace(
        FINE, metric="eval/arc/gold_logprob", unit="nats/byte", current=-0.505, baseline=-0.5, effect=-0.005, low=-0.01
    )
    logprob = replace(logprob, high=0.0, budget=0.005, matters=0.01)
    assert (human_effect(logprob), human_interval(logprob)) == ("−1.0 %", "−2.0 to 0.0")
    assert [human_size(logprob, size) for size in (logprob.budget, logprob.matters)] == ["1 %", "2 %"]
    bleu = replace(FINE, metric="eval/wmt/bleu", current=27.0, baseline=30.0, effect=-3.0)
    loss = replace(FINE, metric="eval/w/bits_per_byte[ko]", current=0.9, baseline=0.8, effect=0.1)
    assert [human_effect(each) for each in (bleu, loss)] == ["−10.0 %", "+12.5 %"]
    assert human_effect(replace(bleu, current=2.0, baseline=0.0, effect=2.0)) == "+200 %"


def test_what_chance_takes_is_round_and_has_an_end() -> None:
    assert [once_in(p) for p in (0.0049, 0.00003, 0.0)] == ["200", "30,000", "1,000,000"]


def test_effects_are_points_of_a_score_and_per_cent_of_load() -> None:
    score = replace(
        FINE, area="quality", metric="eval/x/em", current=0.5, baseline=0.52, effect=-0.024, low=-0.031, high=0.0
    )
    assert (human_effect(score), human_interval(score)) == ("−2.4 points", "−3.1 to 0.0")
    assert [human_size(score, size) for size in (0.02, 0.0125, None)] == ["2 points", "1.2 points", "–"]
    load = replace(score, area="performance", metric="load/a/b/ttft_p99_s", effect=0.358, low=0.2, high=30.0)
    assert (human_effect(load), human_interval(load)) == ("+35.8 %", "+20.0 to +3,000")
    assert human_effect(replace(load, effect=None, change=-0.5)) == "−50.0 %"
    assert human_interval(replace(load, low=None)) == ""


def test_changes_and_limits() -> None:
    assert [human_change(change) for change in (0.1234, -0.5, 0.0001, None, 12.0)] == [
        "+12.3 %",
        "−50.0 %",
        "0.0 %",
        "–",
        "+1,200.0 %",
    ]
    assert human_limit(0.1, higher_is_better=True) == "≥ −10 %"
    assert human_limit(0.075, higher_is_better=False) == "≤ +7.5 %"
    assert human_limit(None, higher_is_better=True) == "–"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.84, "840 ms"), (12.41, "12.4 s"), (59.99, "60 s"), (723, "12 min 3 s"), (7500, "2 h 5 min"), (None, "–")],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert human_duration(seconds) == shown


def test_times_are_utc() -> None:
    seoul = timezone(timedelta(hours=9))
    assert human_time(datetime(2026, 11, 21, 23, 3, tzinfo=seoul)) == "2026-11-21 14:03 UTC"
    assert human_time(datetime(2026, 11, 21, 14, 3, tzinfo=UTC)) == "2026-11-21 14:03 UTC"
    assert human_time(None) == "–"


def test_names() -> None:
    assert metric_label("load/baseline/main/ttft_p99_s") == "load/baseline/main: time to first token p99"
    assert metric_label("load/baseline/main/output_tokens_per_s") == "load/baseline/main: output throughput"
    assert metric_label("eval/basics_ko/exact_match") == "basics_ko: exact match"
    assert metric_label("load/baseline") == "load/baseline"
    assert metric_label("eval/mmlu/acc[physics/high school]") == "mmlu, physics/high school: acc"
    assert metric_title("load/s/m/send_lag_max_s") == "how late the client itself was max"
    assert metric_title("eval/deepeval/exact_answer_score") == "exact answer score"


def test_hashes_keep_their_algorithm() -> None:
    assert short_hash("sha256:" + "ab" * 32) == "sha256:abababababab"
    assert short_hash("cd" * 32) == "cdcdcdcdcdcd"
    assert short_hash("") == ""


def test_the_verdict_in_words() -> None:
    worse = replace(FINE, status="worse", change=-0.5)
    fixed = replace(FINE, status="worse", change=None, limit=None)
    assert verdict_words(Verdict("pass", (FINE,), (), "")) == "is not worse than its baseline"
    assert verdict_words(Verdict("worse", (fixed, worse), (), "")) == "is worse than its baseline"
    assert verdict_words(Verdict("worse", (fixed, FINE), (), "")) == "is beyond a fixed limit"
    assert "no comparable earlier release" in verdict_words(Verdict("no_baseline", (FINE,), (), ""))
    assert "cannot be trusted" in verdict_words(Verdict("invalid", (FINE,), (), ""))
    assert "was not measured" in verdict_words(Verdict("invalid", (), (), ""))
