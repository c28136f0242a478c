"""Throughput against latency: only loads and releases that can be held against each other."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.report.curves import Curve, Point, curve_chart, ladders
from vllm_quality_tests.report.html_page import whole
from vllm_quality_tests.report.judged import judged_release
from vllm_quality_tests.report.releases import release

POINTS = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e3)), max_size=12)


@given(POINTS, st.lists(POINTS, max_size=3))
def test_a_chart(now: list[tuple[float, float]], past: list[list[tuple[float, float]]]) -> None:
    def curve(numbers: list[tuple[float, float]]) -> Curve:
        return Curve("<tag>", tuple(Point(f"c{index}", *pair) for index, pair in enumerate(numbers)))

    svg = whole(curve_chart(curve(now), [curve(numbers) for numbers in past], "a & b"))
    assert svg.count("<circle") == len(now) + sum(map(len, past))
    assert ("earlier run" in svg) == bool(past)


def test_a_ladder_against_the_window() -> None:
    (ladder,) = ladders(judged_release(slower=1.2, asked={"gsm8k": 200}))
    assert ladder.scenario == "sweep"
    assert ladder.against == ("release-1.3.8", "release-1.3.7", "release-1.3.6", "release-1.3.5")
    assert [title for title, _ in ladder.charts] == ["TTFT p99", "TPOT p50"]
    assert [row.stage for row in ladder.rows] == ["c1", "c2", "c4", "c8", "c16", "c32"]
    (throughput, *_) = ladder.rows[-1].figures
    assert throughput[2].startswith("−")
    assert "c32: " in ladder.charts[0][1]


def test_where_the_tail_has_too_few_requests_the_median_stands_in() -> None:
    data = judged_release(asked={"gsm8k": 200})
    base, sweep, *others = data.measurements
    without = {name: value for name, value in sweep.metrics.items() if "ttft_p99" not in name}
    (ladder,) = ladders(replace(data, measurements=[base, replace(sweep, metrics=without), *others]))
    assert [title for title, _ in ladder.charts] == ["TTFT p50", "TPOT p50"]


def test_releases_measured_otherwise_are_not_drawn() -> None:
    data = judged_release(asked={"gsm8k": 200})
    base, sweep, *others = data.measurements
    (ladder,) = ladders(replace(data, measurements=[base, replace(sweep, comparable="other"), *others]))
    assert ladder.against == ()
    assert "earlier run" not in ladder.charts[0][1]
    assert ladder.rows[0].figures[0][1] == "–"


def test_one_load_is_no_curve() -> None:
    assert ladders(release()) == []
