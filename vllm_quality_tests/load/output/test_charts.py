"""The charts draw what they are given, within their frame, and bound what they draw."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.load.output.charts import LoadPoint, capacity_chart, distribution_curves, throughput_latency
from vllm_quality.load.output.timeline import clock_tick_for, timeline
from vllm_quality.load.result import Plateau
from vllm_quality_tests.load.output.results import capacity, load_result

LATENCY = st.floats(1e-6, 1e4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), LATENCY, LATENCY), min_size=1, max_size=12))
def test_every_point_is_inside_the_frame(values: list[tuple[float, float, float]]) -> None:
    points = [LoadPoint(str(n), n, tokens, low, high) for n, (tokens, low, high) in enumerate(values)]
    svg = throughput_latency(points, "streams", None, "a curve")
    for x, y in re.findall(r'<circle cx="([\d.-]+)" cy="([\d.-]+)"', svg):
        assert 0 <= float(x) <= 560
        assert 0 <= float(y) <= 280


def test_the_plateau_is_marked_only_where_it_was_reached() -> None:
    points = [LoadPoint("1", 1, 100, 0.1, 0.2), LoadPoint("2", 2, 150, 0.2, 0.4)]
    reached = Plateau("concurrency", True, 1.5, 2, 3, 150, "")
    assert "plateau 150 tok/s" in throughput_latency(points, "streams", reached, "")
    missed = Plateau("concurrency", False, None, 2, 3, 150, "")
    assert "plateau" not in throughput_latency(points, "streams", missed, "")


def test_a_million_values_are_a_few_hundred_points() -> None:
    import numpy as np

    svg = distribution_curves([("all", np.random.default_rng(0).lognormal(0, 1, 1_000_000))], "ttft")
    assert len(svg) < 12_000
    assert "time, logarithmic" in svg


def test_values_close_together_get_a_linear_axis_with_ticks() -> None:
    import numpy as np

    svg = distribution_curves([("all", np.linspace(0.048, 0.053, 100))], "ttft")
    assert "logarithmic" not in svg
    assert svg.count(" ms</text>") >= 3


def test_a_capacity_search_shows_each_probe_with_its_interval() -> None:
    svg = capacity_chart(capacity(), "goodput")
    assert svg.count("<circle") == 4
    assert "must hold: 95 %" in svg


def test_the_timeline_has_server_lines_only_where_a_server_told_them() -> None:
    result = load_result()
    assert [caption for caption, _ in timeline(result.stages)] == [
        "Requests in flight",
        "Requests per second",
        "Time to first token",
        "KV cache",
    ]
    assert timeline(()) == []


def test_moments_of_a_long_run_are_minutes() -> None:
    assert clock_tick_for(60)(20) == "20 s"
    assert clock_tick_for(3600)(90) == "1:30"
