"""A suspicion, measured again: borne out, not borne out, or not to be had."""

from dataclasses import replace
from typing import get_args

import pytest

from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.confirmation import narrowed, settle, step_of, suspicions
from vllm_quality.verdict.judge import NOTHING, conclude
from vllm_quality.verdict.thresholds import ConfirmationRule
from vllm_quality.verdict.types import Detector, Finding, Status, Verdict

RULE = ConfirmationRule()
ACC, F1, TPOT = "eval/sums/acc", "eval/sums/f1", "load/baseline/main/tpot_p50_s"


def finding(
    metric: str,
    status: Status = "worse",
    p: float | None = 0.001,
    detector: Detector = "items",
    reason: str = "-3 points.",
) -> Finding:
    area = "performance" if metric.startswith("load/") else "quality"
    return Finding(metric, area, status, 0.5, 0.6, -0.1, 0.1, True, "", reason, detector, effect=-0.1, p_adjusted=p)  # type: ignore[arg-type]


def verdict(*findings: Finding, slices: tuple[Finding, ...] = ()) -> Verdict:
    return conclude(findings, slices, ("earlier",), NOTHING)


def test_a_metric_and_its_slices_belong_to_a_step() -> None:
    assert step_of(ACC) == step_of(f"{ACC}[task=a/b]") == "eval/sums"
    assert step_of(TPOT) == "load/baseline"


def test_what_is_worse_is_suspected_the_surest_first() -> None:
    slices = (finding(f"{ACC}[language=ko]", p=0.002), finding(f"{ACC}[language=en]", "pass"))
    found = suspicions(verdict(finding(ACC, p=0.009), finding(F1, "pass"), finding(TPOT, p=1e-9), slices=slices), RULE)
    assert [each.metric for each in found] == [TPOT, f"{ACC}[language=ko]", ACC]


@pytest.mark.parametrize("detector", get_args(Detector))
def test_a_fixed_limit_is_no_suspicion(detector: Detector) -> None:
    found = suspicions(verdict(finding(ACC, detector=detector)), RULE)
    assert bool(found) == (detector not in ("limit", ""))


def test_a_loss_of_quality_that_cannot_be_chance_needs_no_second_look_nor_does_what_lies_beside_it() -> None:
    certain = verdict(finding(ACC, p=1e-9), finding(TPOT))
    assert suspicions(certain, RULE) == []
    assert len(suspicions(certain, RULE.model_copy(update={"certain": 0.0}))) == 2
    assert suspicions(verdict(finding(ACC)), RULE.model_copy(update={"time_s": 0})) == []


def test_only_what_is_suspected_is_judged_again() -> None:
    again = Measurement("eval/sums", {ACC: 0.5, f"{ACC}_stderr": 0.1, F1: 0.4, f"{F1}_stderr": 0.1}, "same")
    assert set(narrowed(again, [finding(f"{ACC}[language=ko]")]).metrics) == {ACC, f"{ACC}_stderr"}


def test_a_loss_that_shows_twice_is_confirmed() -> None:
    first = verdict(finding(ACC), finding(F1, "pass"))
    again = verdict(replace(finding(ACC, reason="-4 points."), current=0.4))
    settled = settle(first, again, [first.findings[0]], {})
    confirmed, other = settled.findings
    assert (settled.status, confirmed.repeat, confirmed.current) == ("worse", "confirmed", 0.4)
    assert (confirmed.reason, confirmed.first) == ("-4 points.", "-3 points.")
    assert other == first.findings[1]


@pytest.mark.parametrize("status", ["pass", "better", "underpowered"])
def test_a_loss_that_does_not_show_again_is_none(status: Status) -> None:
    first = verdict(finding(ACC), finding(F1, "pass"), slices=(finding(f"{ACC}[language=ko]"),))
    again = verdict(finding(ACC, status), slices=(finding(f"{ACC}[language=ko]", status),))
    settled = settle(first, again, [first.findings[0], *first.slices], {})
    assert settled.status == "pass"
    assert {each.repeat for each in (settled.findings[0], *settled.slices)} == {"refuted"}
    assert settled.findings[0].first == "-3 points."
    assert settled.findings[0].status == ("underpowered" if status == "underpowered" else "pass")


def test_a_second_measurement_that_cannot_be_trusted_clears_nobody() -> None:
    first = verdict(finding(ACC), finding(TPOT))
    again = verdict(finding(ACC, "pass"))
    settled = settle(first, again, first.findings, {"load/baseline": "client_bound."})
    assert settled.status == "worse"
    assert {each.metric: (each.status, each.repeat) for each in settled.findings} == {
        ACC: ("pass", "refuted"),
        TPOT: ("worse", "failed"),
    }


def test_what_was_not_measured_again_stays_as_it_was() -> None:
    first = verdict(finding(ACC), finding(TPOT))
    assert settle(first, verdict(finding(ACC)), [first.findings[0]], {}).findings[1] == first.findings[1]
