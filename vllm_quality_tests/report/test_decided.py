"""The method says what this verdict allowed and what took part in it, and nothing else."""

from dataclasses import replace

from vllm_quality.report.decided import decided
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import Verdict
from vllm_quality_tests.report.judged import MOVED
from vllm_quality_tests.report.test_comparison import LATENCY, LOGPROB, SCORE

PLAIN = Verdict("worse", (replace(LATENCY, budget=0.03), replace(SCORE, budget=0.005), LOGPROB), (), "", alpha=0.01)


def test_the_chance_of_a_false_alarm_and_the_budgets_that_were_used() -> None:
    assert decided(PLAIN, Thresholds(alpha=0.2)) == [
        ("False alarms", "The chance that a release which is no worse gets any alarm is 1 %, however many are tested."),
        (
            "Accepted losses",
            "However certain it is, a loss of up to 0.5 points of a score, 1 % of gold logprob, 3 % of speed is accepted.",
        ),
    ]


def test_a_verdict_of_before_they_were_kept_has_the_thresholds_alpha_or_none() -> None:
    old = Verdict("pass", (SCORE,), (), "")
    assert [term for term, _ in decided(old, None)] == []
    assert "is 20 %" in dict(decided(old, Thresholds(alpha=0.2)))["False alarms"]


def test_how_many_were_measured_again_and_what_came_of_it() -> None:
    part = replace(SCORE, metric="eval/gsm8k/exact_match[x]", status="pass", repeat="refuted")
    findings = (
        replace(SCORE, repeat="confirmed"),
        replace(LATENCY, repeat="confirmed"),
        replace(LOGPROB, repeat="failed"),
    )
    said = dict(decided(replace(PLAIN, findings=findings, slices=(part,)), None))["Measured again"]
    assert said.endswith(
        "4 suspicions were measured again: 2 confirmed, 1 not borne out, "
        "1 left as suspected, as the second measurement failed."
    )
    one = dict(decided(replace(PLAIN, findings=(), slices=(part,)), None))["Measured again"]
    assert one.endswith("1 suspicion was measured again: 1 not borne out.")


def test_drift_and_signals_are_explained_where_there_are_any() -> None:
    drift = replace(PLAIN, findings=(replace(SCORE, detector="drift"),), moved=MOVED)
    assert {"Drift", "What else moved"} <= set(dict(decided(drift, None)))
