"""The paragraph under the verdict says what moved, how sure that is, and against what."""

from dataclasses import replace

from vllm_quality.report.words import paragraph, tally
from vllm_quality.verdict.types import Finding, Status, Verdict
from vllm_quality_tests.report.test_comparison import LATENCY, SCORE

TAGS = ("release-3", "release-2", "release-1")


def said(status: Status, *findings: Finding) -> str:
    return paragraph(Verdict(status, findings, (), "The summary."), TAGS)


def test_worse() -> None:
    text = said("worse", LATENCY, SCORE, replace(SCORE, metric="eval/a/acc", status="pass"))
    assert text == (
        "gsm8k: exact match went from 62.0 % to 57.0 % (−5.0 points, between −7.0 and −3.0 with 95 % confidence). Chance "
        "alone does that to fewer than one in 2,000 releases that are as good as before. 1 more is worse. It was "
        "held against 3 earlier releases, release-3 the newest and release-1 the oldest of them."
    )


def test_worse_by_the_plain_rule_alone_or_by_a_fixed_limit() -> None:
    rule = replace(SCORE, effect=None, low=None, high=None, p_adjusted=None, detector="rule")
    assert "how sure it is cannot be told" in said("worse", rule)
    floor = replace(rule, change=None, reason="0.57 is under the floor of 0.6.")
    assert said("worse", floor).startswith("gsm8k: exact match: 0.57 is under the floor of 0.6.")


def test_worse_in_a_part_of_a_suite_only() -> None:
    part = replace(SCORE, metric="eval/mmlu/exact_match[language=ko]")
    verdict = Verdict("worse", (replace(SCORE, status="pass"),), (), "The summary.", slices=(part,))
    assert paragraph(verdict, TAGS).startswith("mmlu, language=ko: exact match went from 62.0 % to 57.0 %")


def test_no_loss_says_what_would_have_shown() -> None:
    fine = replace(SCORE, status="pass")
    assert "In quality, a loss of 2 points would have shown, 19 times out of 20." in said("pass", fine)
    weak = replace(LATENCY, status="underpowered", reason="x; to see 10 % it takes more runs, or steadier ones.")
    text = said("underpowered", fine, weak)
    assert "In speed, 1 of 1 could have lost more than matters and not shown it" in text
    assert "up to 18 %; to see 10 % there, it takes more runs, or steadier ones." in text
    bare = replace(fine, mde=None, matters=None)
    assert "which do not see small losses" in said("pass", bare)
    assert "1 could not be judged" in said("pass", fine, replace(SCORE, status="no_baseline"))


def test_better_and_what_cannot_be_told() -> None:
    better = replace(SCORE, status="better", effect=0.05, low=0.03, high=0.07, current=0.67)
    assert said("better", better).startswith("gsm8k: exact match went from 62.0 % to 67.0 % (+5.0 points")
    assert "later releases are held against it" in said("no_baseline", replace(SCORE, status="no_baseline"))
    moved = replace(SCORE, status="not_comparable", reason="the judge moved.")
    assert said("not_comparable", moved, moved) == "The judge moved. 1 more is in the same position."
    assert said("invalid") == "The summary."


def test_a_loss_that_was_measured_twice_or_came_in_small_steps_says_so() -> None:
    assert "as good as before. It was measured twice. It was held" in said("worse", replace(SCORE, repeat="confirmed"))
    drift = said("worse", replace(SCORE, detector="drift"))
    assert "That is a loss in small steps, against the oldest accepted releases. Chance alone" in drift


def test_suspicions_that_were_not_borne_out_end_the_paragraph_once() -> None:
    remark = "One suspicion was measured again and not borne out."
    refuted = replace(SCORE, status="pass", repeat="refuted")
    assert said("pass", refuted).endswith(remark)
    verdict = Verdict("invalid", (refuted,), (), f"Cannot tell. {remark}")
    assert paragraph(verdict, TAGS).count(remark) == 1


def test_the_tally_is_worst_first() -> None:
    verdict = Verdict("worse", (replace(SCORE, status="pass"), SCORE, LATENCY), (), "")
    assert tally(verdict) == [("worse", "worse", 2), ("pass", "not worse", 1)]
