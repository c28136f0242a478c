"""The rule of F-06, stated as behaviour."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.judge import PastValues, judge
from vllm_quality.verdict.thresholds import BaselineRule, Thresholds
from vllm_quality.verdict.types import Verdict

ACC = "eval/basics_en/exact_match"
TTFT = "load/baseline/main/ttft_p99_s"


def measured(metric: str, value: float, comparable: str = "same", problem: str | None = None) -> Measurement:
    return Measurement("/".join(metric.split("/")[:2]), {metric: value}, comparable, problem)


def past(metric: str, *values: float, verdict: str = "pass", comparable: str = "same") -> list[PastValues]:
    step = "/".join(metric.split("/")[:2])
    return [PastValues(f"run-{i}", verdict, {step: comparable}, {metric: value}) for i, value in enumerate(values)]


def status(verdict: Verdict) -> str:
    [finding] = verdict.findings
    return finding.status


@pytest.mark.parametrize(
    ("metric", "before", "now", "expected"),
    [
        (ACC, 0.80, 0.71, "worse"),
        (ACC, 0.80, 0.72, "pass"),  # exactly 10 % is still fine
        (ACC, 0.80, 0.95, "pass"),
        (TTFT, 0.100, 0.111, "worse"),
        (TTFT, 0.100, 0.110, "pass"),
        (TTFT, 0.100, 0.020, "pass"),
    ],
)
def test_a_metric_is_worse_beyond_ten_percent_in_its_bad_direction(
    metric: str, before: float, now: float, expected: str
) -> None:
    assert status(judge([measured(metric, now)], past(metric, before), Thresholds())) == expected


def test_the_baseline_is_the_mean_of_the_last_n_comparable_runs() -> None:
    verdict = judge([measured(ACC, 0.5)], past(ACC, 0.4, 0.6, 99.0), Thresholds(baseline=BaselineRule(runs=2)))
    assert verdict.findings[0].baseline == pytest.approx(0.5)
    assert verdict.baseline_runs == ("run-0", "run-1")


def test_without_history_nothing_passes_silently() -> None:
    verdict = judge([measured(ACC, 0.9)], [], Thresholds())
    assert (verdict.status, status(verdict)) == ("no_baseline", "no_baseline")


def test_a_run_under_other_conditions_is_no_baseline() -> None:
    assert status(judge([measured(ACC, 0.1)], past(ACC, 0.9, comparable="other"), Thresholds())) == "no_baseline"


def test_a_release_that_was_judged_worse_is_no_standard_unless_asked_for() -> None:
    history = past(ACC, 0.9, verdict="worse")
    assert status(judge([measured(ACC, 0.1)], history, Thresholds())) == "no_baseline"
    asked = Thresholds(baseline=BaselineRule(include_worse=True))
    assert status(judge([measured(ACC, 0.1)], history, asked)) == "worse"


def test_a_measurement_with_a_problem_is_invalid_and_never_compared() -> None:
    verdict = judge([measured(ACC, 0.1, problem="the client was late")], past(ACC, 0.9), Thresholds())
    assert (verdict.status, status(verdict)) == ("invalid", "invalid")
    assert "the client was late" in verdict.findings[0].reason


def test_a_step_that_measured_nothing_is_invalid() -> None:
    verdict = judge([Measurement("load/baseline", {}, "same", "every request failed")], [], Thresholds())
    assert verdict.status == "invalid"
    assert verdict.findings[0].metric == "load/baseline"


def test_a_floor_needs_no_history() -> None:
    metric = "load/baseline/main/success_ratio"
    thresholds = Thresholds(floors={"load/*/success_ratio": 0.99})
    assert status(judge([measured(metric, 0.98)], [], thresholds)) == "worse"


def test_a_new_suite_beside_compared_ones_does_not_hide_the_verdict() -> None:
    new = measured("eval/new/acc", 0.5)
    verdict = judge([measured(ACC, 0.8), new], past(ACC, 0.8), Thresholds())
    assert verdict.status == "pass"
    assert "1 of them had no baseline" in verdict.summary


def test_an_unknown_metric_is_recorded_but_not_judged() -> None:
    assert (
        judge([measured("eval/basics_en/vibes", 0.1)], past("eval/basics_en/vibes", 0.9), Thresholds()).findings == ()
    )


@pytest.mark.parametrize(
    ("metric", "now", "expected"),
    [(ACC, 0.0, "pass"), (ACC, 0.1, "pass"), (TTFT, 0.0, "pass"), (TTFT, 0.1, "no_baseline")],
)
def test_a_change_from_zero_has_a_direction_but_no_size(metric: str, now: float, expected: str) -> None:
    assert status(judge([measured(metric, now)], past(metric, 0.0), Thresholds())) == expected


finite = st.floats(min_value=1e-6, max_value=1e6)


@given(now=finite, before=st.lists(finite, min_size=1, max_size=8))
def test_a_verdict_survives_json_and_its_figures_are_finite(now: float, before: list[float]) -> None:
    verdict = judge([measured(TTFT, now)], past(TTFT, *before), Thresholds())
    assert Verdict.from_json(verdict.as_json()) == verdict
    [finding] = verdict.findings
    assert finding.change is not None
    assert math.isfinite(finding.change)


@given(now=finite, before=st.lists(finite, min_size=1, max_size=8), extra=finite)
def test_older_runs_than_n_change_nothing(now: float, before: list[float], extra: float) -> None:
    rule = Thresholds(baseline=BaselineRule(runs=len(before)))
    assert judge([measured(ACC, now)], past(ACC, *before, extra), rule) == judge(
        [measured(ACC, now)], past(ACC, *before), rule
    )


def test_barred_runs_are_not_compared_with() -> None:
    barred = {ACC: {"run-0": "the judge moved"}}
    verdict = judge([measured(ACC, 0.5)], past(ACC, 0.9, 0.5), Thresholds(), barred)
    assert (status(verdict), verdict.findings[0].baseline, verdict.baseline_runs) == ("pass", 0.5, ("run-1",))


def test_where_all_are_barred_it_cannot_tell_and_says_why() -> None:
    barred = {ACC: {"run-0": "the judge moved"}}
    verdict = judge([measured(ACC, 0.5)], past(ACC, 0.9), Thresholds(), barred)
    assert (verdict.status, status(verdict)) == ("not_comparable", "not_comparable")
    assert verdict.findings[0].reason == "the judge moved, so it is not compared."


def test_a_floor_holds_whoever_judged() -> None:
    barred = {ACC: {"run-0": "the judge moved"}}
    verdict = judge([measured(ACC, 0.5)], past(ACC, 0.9), Thresholds(floors={ACC: 0.6}), barred)
    assert status(verdict) == "worse"


def test_a_score_without_overlap_is_recorded_and_bound_only_by_fixed_limits() -> None:
    apart = f"{ACC}_without_overlap"
    both = Measurement("eval/basics_en", {ACC: 0.8, apart: 0.1}, "same")
    history = [PastValues("run-0", "pass", {"eval/basics_en": "same"}, {ACC: 0.8, apart: 0.8})]
    assert [finding.metric for finding in judge([both], history, Thresholds()).findings] == [ACC]
    bound = judge([both], history, Thresholds(floors={"*_without_overlap": 0.5}))
    assert [(finding.metric, finding.status) for finding in bound.findings] == [(ACC, "pass"), (apart, "worse")]
