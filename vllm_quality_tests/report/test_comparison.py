"""The comparison's rows: worst first, on one axis, with worse to the left whichever direction is good."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.report.comparison import comparisons, in_order
from vllm_quality.report.forest import ForestAxis, Spot, spot_of
from vllm_quality.verdict.confirmation import settle
from vllm_quality.verdict.types import Finding, Repeat, Status, Verdict
from vllm_quality_tests.report.html_page import whole

ANY = st.floats(-1e4, 1e4, allow_nan=False)
SCORE = Finding(
    metric="eval/gsm8k/exact_match",
    area="quality",
    status="worse",
    current=0.57,
    baseline=0.62,
    change=-0.0806,
    limit=0.1,
    higher_is_better=True,
    unit="",
    reason="-5 points; by chance that happens less than once in 2,000 such releases.",
    detector="items",
    rule_says_worse=False,
    effect=-0.05,
    low=-0.07,
    high=-0.03,
    p_value=1e-5,
    p_adjusted=0.0005,
    mde=0.017,
    matters=0.02,
    n=1319,
    method="McNemar",
)
LATENCY = replace(
    SCORE,
    metric="load/baseline/main/ttft_p99_s",
    area="performance",
    current=0.12,
    baseline=0.1,
    change=0.2,
    higher_is_better=False,
    unit="s",
    effect=0.2,
    low=0.1,
    high=0.3,
    matters=0.1,
    mde=0.18,
    rule_says_worse=True,
)


def test_worse_is_to_the_left_whichever_direction_is_good() -> None:
    score, latency = spot_of(SCORE), spot_of(LATENCY)
    assert score == Spot(-0.05, -0.07, -0.03, 0.02, 0.017, "worse")
    assert latency == Spot(-0.2, -0.3, -0.1, 0.1, 0.18, "worse")


def test_without_a_test_the_bare_difference_stands_without_an_interval() -> None:
    bare = replace(SCORE, effect=None, low=None, high=None, mde=None, matters=None)
    spot = spot_of(bare)
    assert spot is not None
    assert (round(spot.gain, 6), spot.worst, spot.best) == (-0.05, None, None)
    assert spot_of(replace(bare, change=None)) is None


@given(st.lists(st.tuples(ANY, ANY, ANY, st.none() | ANY), max_size=8), st.floats(1e-4, 10))
def test_rows_stay_on_the_axis(numbers: list[tuple[float, float, float, float | None]], matters: float) -> None:
    statuses: list[Status] = ["worse", "better", "pass", "underpowered"]
    spots = [
        Spot(gain, min(a, b), max(a, b), matters, None if mde is None else abs(mde), statuses[index % 4])
        for index, (gain, a, b, mde) in enumerate(numbers)
    ]
    axis = ForestAxis.over(spots, matters, 50.0)
    assert 2 * matters <= axis.reach <= 8 * matters or axis.reach == 50.0
    assert 'aria-hidden="true"' in whole(axis.scale(" %"))
    for spot in spots:
        drawing = whole(axis.row(spot))
        assert all(-0.1 <= float(x) <= 260.1 for x in re.findall(r'(?:x[12]?|cx)="(-?[\d.]+)"', drawing))
        assert ("<circle" in drawing) == (spot.status != "worse" and abs(spot.gain) <= axis.reach)


def test_what_is_worst_comes_first() -> None:
    floor = replace(SCORE, metric="eval/z/acc", effect=None, change=None, low=None, high=None)
    little = replace(SCORE, metric="eval/b/acc", effect=-0.03)
    weak = replace(SCORE, metric="eval/c/acc", status="underpowered", effect=-0.2)
    fine = replace(SCORE, metric="eval/a/acc", status="pass", effect=0.0)
    unmoved = replace(floor, metric="eval/0/acc", status="pass")
    order = [finding.metric for finding in in_order([unmoved, fine, weak, little, LATENCY, SCORE, floor])]
    assert order == [f.metric for f in (floor, SCORE, LATENCY, little, weak, fine, unmoved)]


def test_a_row_in_words() -> None:
    (quality, speed) = comparisons([SCORE, LATENCY], 20)
    (row,) = quality.rows
    assert (row.title, row.place, row.status_words) == ("exact match", "gsm8k", "Worse")
    assert (row.effect, row.interval, row.mde) == ("−5.0 points", "−7.0 to −3.0", "1.7 points")
    assert row.values.replace("\N{NO-BREAK SPACE}", " ") == "62.0 % → 57.0 %"
    assert row.note == "By chance that happens less than once in 2,000 such releases."
    assert row.rule.replace("\N{NO-BREAK SPACE}", " ") == "fine, −8.1 % with a limit of 10 %"
    assert (speed.title, speed.rows[0].effect, speed.rows[0].rule_says_worse) == ("Speed", "+20.0 %", True)


def test_an_untested_score_moved_by_points_and_is_said_to_be_untested() -> None:
    bare = replace(SCORE, effect=None, low=None, high=None, mde=None, matters=None, reason="-8.1 %; the limit is 10 %.")
    (row,) = comparisons([bare], 20)[0].rows
    assert (row.effect, row.interval, row.mde) == ("−5.0 points", "not tested", "–")
    assert row.note == "-8.1 %; the limit is 10 %."


def test_what_could_not_be_compared_is_left_out_and_long_tables_are_cut() -> None:
    untold = replace(SCORE, status="no_baseline")
    many = [replace(SCORE, metric=f"eval/s{index}/acc") for index in range(30)]
    (group,) = comparisons([untold, *many], 20)
    assert (len(group.rows), len(group.rest)) == (20, 10)
    assert comparisons([untold], 20) == []


def test_a_part_of_a_suite_is_named() -> None:
    (group,) = comparisons([replace(SCORE, metric="eval/mmlu/acc[physics/high school]")], 20)
    assert (group.rows[0].title, group.rows[0].place) == ("acc", "mmlu, physics/high school")


LOGPROB = replace(
    SCORE,
    metric="eval/arc/gold_logprob",
    unit="nats/byte",
    current=-1.122,
    baseline=-1.1,
    change=-0.02,
    effect=-0.022,
    low=-0.033,
    high=-0.011,
    matters=0.022,
    mde=0.0055,
    budget=0.011,
)


def test_what_is_no_share_has_an_axis_of_its_own_relative_to_what_was_before() -> None:
    spot = spot_of(LOGPROB)
    assert spot is not None
    assert [round(value or 0, 9) for value in (spot.gain, spot.worst, spot.best, spot.matters, spot.mde)] == [
        -0.02,
        -0.03,
        -0.01,
        0.02,
        0.005,
    ]
    points, other = comparisons([LOGPROB, SCORE], 20)
    assert [row.title for row in points.rows] == ["exact match"]
    (row,) = other.rows
    assert (other.unit, row.effect, row.interval, row.mde) == ("relative", "−2.0 %", "−3.0 to −1.0", "0.5 %")
    assert row.values.replace("\N{NO-BREAK SPACE}", " ") == "−1.100 → −1.122 nats/byte"
    assert " %</text>" in other.axis
    loss = replace(SCORE, metric="eval/wiki/bits_per_byte", current=0.9, baseline=0.8, higher_is_better=False)
    assert comparisons([replace(loss, effect=0.1)], 20)[0].rows[0].effect == "+12.5 %"


def test_losses_of_different_units_are_ordered_by_what_matters() -> None:
    # 3 times what matters of something near 0; the score lost 2.5 times of it.
    logprob = replace(LOGPROB, current=-0.106, baseline=-0.1, effect=-0.006, matters=0.002)
    assert in_order([SCORE, logprob]) == [logprob, SCORE]
    less = replace(logprob, effect=-0.004)
    assert in_order([less, SCORE]) == [SCORE, less]


@pytest.mark.parametrize(
    ("repeat", "status", "words", "note"),
    [
        (
            "confirmed",
            "worse",
            "measured twice",
            "By chance that happens less than once in 90 such releases. The first time: -5 points.",
        ),
        ("refuted", "pass", "measured again, not borne out", "The first time: -5 points."),
    ],
)
def test_what_was_measured_again_says_so_and_what_it_was_the_first_time(
    repeat: Repeat, status: Status, words: str, note: str
) -> None:
    again = replace(
        SCORE, status=status, reason="-4 points; by chance that happens less than once in 90 such releases."
    )
    verdict = settle(Verdict("worse", (SCORE,), (), ""), Verdict(status, (again,), (), ""), [SCORE], {})
    (row,) = comparisons(verdict.findings, 20)[0].rows
    assert (row.marks, row.note) == ([(repeat, words)], note)


def test_a_second_measurement_that_failed_says_why() -> None:
    verdict = settle(
        Verdict("worse", (SCORE,), (), ""), Verdict("pass", (), (), ""), [SCORE], {"eval/gsm8k": "no answer."}
    )
    (row,) = comparisons(verdict.findings, 20)[0].rows
    assert row.marks == [("failed", "second measurement failed")]
    assert row.note.endswith("A second measurement says nothing: no answer.")


def test_drift_is_named_with_the_runs_it_is_against() -> None:
    reason = "a loss in small steps: against the oldest of the last 20 accepted runs, -3 points; by chance that happens never."
    drift = replace(SCORE, detector="drift", reason=reason)
    (row,) = comparisons([drift], 20)[0].rows
    assert (row.marks, row.note) == ([("drift", "drift")], f"A{reason[1:]}")
    verdict = settle(
        Verdict("worse", (drift,), (), ""), Verdict("pass", (replace(SCORE, status="pass"),), (), ""), [drift], {}
    )
    assert comparisons(verdict.findings, 20)[0].rows[0].note == (
        "The first time: a loss in small steps: against the oldest of the last 20 accepted runs, -3 points."
    )


def test_what_was_measured_again_stays_in_view() -> None:
    many = [replace(SCORE, metric=f"eval/s{index}/acc", status="pass") for index in range(9)]
    refuted = replace(SCORE, metric="eval/z/acc", status="pass", effect=0.0, repeat="refuted")
    (group,) = comparisons([*many, refuted], 4)
    assert [row.metric for row in group.rows][4:] == ["eval/z/acc"]
    assert len(group.rest) == 5
