"""Charts are valid SVG of bounded size, whatever the numbers are."""

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.report.charts import latency_distribution, latency_over_time, time_tick
from vllm_quality.report.figures import stage_charts
from vllm_quality.report.svg import Axis, nice_step
from vllm_quality_tests.report.html_page import whole
from vllm_quality_tests.report.releases import requests

FINITE = st.floats(0, 1e6, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FINITE, FINITE), max_size=80), st.lists(FINITE, max_size=5))
def test_latency_over_time(points: list[tuple[float, float]], failed: list[float]) -> None:
    svg = whole(latency_over_time(points, failed, "a <label>"))
    assert ("failed (" in svg) == bool(failed)


@settings(max_examples=60, deadline=None)
@given(st.lists(FINITE, max_size=80))
def test_latency_distribution(values: list[float]) -> None:
    svg = whole(latency_distribution([("one & all", values)], "label"))
    assert ("no request was answered" in svg) == (not any(values))


def test_many_requests_are_thinned_but_the_slowest_stay() -> None:
    points = [(float(index), 1.0) for index in range(100_000)]
    points[54_321] = (54_321.0, 5.0)
    svg = whole(latency_over_time(points, [], "label"))
    assert len(svg) < 60_000
    assert "of 100,000 drawn, the slowest among them" in svg
    assert svg == latency_over_time(points, [], "label")
    alone = [line for line in re.findall(r"M[\d.]+ ([\d.]+)h0", svg) if float(line) < 100]
    assert len(alone) == 1


def test_an_outlier_does_not_squeeze_the_others() -> None:
    points = [(float(index), 0.05 + index * 1e-3) for index in range(100)] + [(100.0, 30.0)]
    heights = [float(y) for y in re.findall(r"M[\d.]+ ([\d.]+)h0", latency_over_time(points, [], "label"))]
    assert max(heights[:-1]) - min(heights[:-1]) > 20


def test_clocks_run_from_when_a_request_was_due() -> None:
    open_loop, closed_loop = requests(failed=2), requests(open_loop=False)
    (late,) = stage_charts(open_loop.with_columns(pl.col("due_s") - 10))
    (prompt,) = stage_charts(open_loop)
    (closed,) = stage_charts(closed_loop)
    assert "failed (2)" in late.over_time
    assert late.distribution != prompt.distribution
    assert "20 s" in late.distribution + late.over_time or "10 s" in late.distribution
    assert "failed (" not in closed.over_time


def test_a_stage_without_an_answer() -> None:
    (charts,) = stage_charts(requests(5, failed=5))
    assert "failed (5)" in whole(charts.over_time)
    assert "no request was answered" in whole(charts.distribution)
    assert stage_charts(requests(5).clear()) == []


def test_ticks_are_round() -> None:
    assert [round(value, 6) for value in Axis(0, 0.93, 0, 1).ticks(5)] == [0, 0.2, 0.4, 0.6, 0.8]
    assert Axis(0.008, 1.3, 0, 1, log=True).ticks() == pytest.approx([0.01, 0.03, 0.1, 0.3, 1.0])
    assert [time_tick(value) for value in (0, 0.0005, 0.02, 1.5, 20)] == ["0", "500 µs", "20 ms", "1.5 s", "20 s"]
    assert [nice_step(value) for value in (0.0, 0.3, 1.0, 7.0)] == [1.0, 0.5, 1.0, 10.0]


def test_values_outside_of_an_axis_sit_on_its_edge() -> None:
    axis = Axis(1, 100, 0, 200, log=True)
    assert [round(axis.at(value)) for value in (0.0, 1, 10, 100, 1000)] == [0, 0, 100, 200, 200]
