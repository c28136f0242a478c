"""Figures against values worked out by hand."""

import math
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.load.figures.metrics import stage_facts, stage_metrics
from vllm_quality.load.scenario import Slo
from vllm_quality.load.wire.exchange import OUTCOMES
from vllm_quality.verdict.metrics import definition_of
from vllm_quality_tests.load.figures.recording import Recorder, three


def test_latencies_count_from_when_a_request_was_due(tmp_path: Path) -> None:
    metrics = three(tmp_path).metrics()
    assert metrics["ttft_mean_s"] == pytest.approx((0.1 + 0.3) / 2)
    assert metrics["ttft_p50_s"] == pytest.approx(0.2)
    # (last - first) / (output - 1): 0.3 / 2 and 0.7 / 4
    assert metrics["tpot_mean_s"] == pytest.approx((0.15 + 0.175) / 2)
    assert metrics["e2e_mean_s"] == pytest.approx((0.4 + 1.0) / 2)
    assert metrics["ntpot_mean_s"] == pytest.approx((0.4 / 3 + 1.0 / 5) / 2)
    # Pooled gaps: .1 .2 | .1 .1 .1 .4
    assert metrics["itl_mean_s"] == pytest.approx(1.0 / 6)
    assert metrics["itl_p50_s"] == pytest.approx(0.1)


def test_in_a_closed_loop_they_count_from_the_sending(tmp_path: Path) -> None:
    metrics = three(tmp_path).metrics(open_loop=False)
    assert metrics["ttft_mean_s"] == pytest.approx((0.098 + 0.1) / 2)
    assert metrics["e2e_mean_s"] == pytest.approx((0.398 + 0.8) / 2)
    assert not any(name.startswith("send_lag") for name in metrics)


def test_both_origins_stand_side_by_side(tmp_path: Path) -> None:
    figures = three(tmp_path).figures()
    assert figures.ttft.mean == pytest.approx(0.2)
    assert figures.from_sending["ttft"].mean == pytest.approx((0.098 + 0.1) / 2)
    assert set(figures.from_sending) == {"ttft", "tpot", "e2e", "ntpot"}
    assert figures.from_sending["tpot"] == figures.tpot


def test_rates_are_over_the_window_to_the_last_requests_end(tmp_path: Path) -> None:
    figures = three(tmp_path).figures()
    assert figures.window_s == (0.0, 2.5)
    assert figures.requests_per_s == pytest.approx(2 / 2.5)
    assert figures.output_tokens_per_s == pytest.approx(8 / 2.5)
    assert figures.input_tokens_per_s == pytest.approx(14 / 2.5)


def test_counts_add_up(tmp_path: Path) -> None:
    metrics = three(tmp_path).metrics()
    assert metrics["requests_count"] == 3
    assert sum(metrics[f"{outcome}_count"] for outcome in OUTCOMES) == 3
    assert (metrics["ok_count"], metrics["truncated_count"]) == (2, 1)
    assert metrics["success_ratio"] == pytest.approx(2 / 3)


def test_send_lag_is_the_clients_own_lateness(tmp_path: Path) -> None:
    metrics = three(tmp_path).metrics()
    assert metrics["send_lag_p99_s"] == pytest.approx(0.001)
    assert metrics["send_lag_max_s"] == pytest.approx(0.001)


def test_goodput_is_a_share_of_all_requests(tmp_path: Path) -> None:
    figures = three(tmp_path).figures(slo=Slo(ttft=0.2))
    assert figures.goodput == pytest.approx(1 / 3)
    assert figures.goodput_per_s == pytest.approx(1 / 2.5)
    assert stage_metrics(figures)["goodput_ratio"] == pytest.approx(1 / 3)
    assert three(tmp_path / "none").figures().goodput is None


def test_a_window_has_the_latencies_of_what_began_and_the_throughput_of_what_ended_in_it(tmp_path: Path) -> None:
    figures = three(tmp_path).figures(window=(0.3, 1.3), slo=Slo(e2e=5))
    # Begun in it: the second. Ended in it: the first.
    assert (figures.sent, figures.ok) == (1, 1)
    assert figures.ttft.mean == pytest.approx(0.3)
    assert figures.itl.count == figures.chunk_gap.count == 4
    assert figures.itl.max == pytest.approx(0.4)
    assert figures.requests_per_s == pytest.approx(1 / 1.0)
    assert figures.output_tokens_per_s == pytest.approx(3 / 1.0)
    assert (figures.goodput, figures.goodput_per_s) == pytest.approx((1.0, 1.0))


def test_every_metric_is_in_the_registry(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for index in range(200):
        recorder.add(index, [index + 0.1, index + 0.2, index + 0.3])
    figures = recorder.figures(slo=Slo(ttft=1))
    names = stage_metrics(figures, figures)
    assert {"chunk_gap_p99_s", "ntpot_p50_s", "goodput_ratio", "steady_ttft_p99_s", "steady_requests_per_s"} <= set(
        names
    )
    for name in (*names, "rate_per_s"):
        assert definition_of(f"load/s/rate-1/{name}") is not None, name


def test_of_the_steady_window_there_are_few_rows(tmp_path: Path) -> None:
    figures = three(tmp_path).figures()
    steady = {name for name in stage_metrics(figures, figures) if name.startswith("steady")}
    assert steady == {
        f"steady_{name}"
        for name in (
            "ttft_mean_s",
            "ttft_p50_s",
            "tpot_mean_s",
            "tpot_p50_s",
            "requests_per_s",
            "output_tokens_per_s",
        )
    }


def test_several_tokens_in_one_event_are_one_gap_and_several_latencies(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(0, [0.1, 0.4, 0.5], counts=[2, 3, 1], output=6)
    figures = recorder.figures()
    assert (figures.itl.count, figures.itl.max) == pytest.approx((4, 0.1))
    assert (figures.chunk_gap.count, figures.chunk_gap.max) == pytest.approx((2, 0.3))
    assert figures.tpot.mean == pytest.approx(0.4 / 5)
    assert stage_facts(recorder.merged()[0])["tokens_per_event"] == 2.0


def test_percentiles_are_given_as_rows_only_where_values_lie_beyond_them(tmp_path: Path) -> None:
    def named(count: int) -> dict[str, float]:
        recorder = Recorder(tmp_path / str(count))
        for index in range(count):
            recorder.add(0, [(index + 1) / 100, 9.0])
        return recorder.metrics()

    assert not {"ttft_p90_s", "ttft_p95_s", "ttft_p99_s"} & named(9).keys()
    assert "ttft_p50_s" not in named(1)
    assert named(10)["ttft_p90_s"] == pytest.approx(0.091)
    hundred = named(100)
    assert hundred["ttft_p50_s"] == pytest.approx(0.505)
    assert hundred["ttft_p95_s"] == pytest.approx(0.9505)
    assert hundred["ttft_p99_s"] == pytest.approx(0.9901)


def test_what_does_not_exist_is_absent_and_nothing_is_nan(tmp_path: Path) -> None:
    failed, single, none = (Recorder(tmp_path / name) for name in ("failed", "single", "none"))
    failed.add(0, outcome="http_error")
    single.add(0, [0.1])  # one token has no time between tokens
    for recorder in (failed, single, none):
        metrics = recorder.metrics()
        assert all(map(math.isfinite, metrics.values()))
        assert not any(name.startswith(("tpot", "itl", "chunk_gap")) for name in metrics)
    assert failed.metrics()["success_ratio"] == 0
    assert "ttft_mean_s" not in failed.metrics()
    assert "success_ratio" not in none.metrics()
    assert none.figures(slo=Slo(ttft=1)).goodput is None


def test_no_token_has_no_normalised_time(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(0, output=0)
    recorder.add(0, output=5)
    figures = recorder.figures()
    assert (figures.ntpot.count, figures.ntpot.mean) == pytest.approx((1, 0.1))


def test_an_answer_in_one_event_has_no_tpot_however_many_tokens_it_brought(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(0, [0.1], counts=[5], output=5)
    assert "tpot_mean_s" not in recorder.metrics()


def test_facts_name_the_most_frequent_errors_and_short_answers(tmp_path: Path) -> None:
    recorder = three(tmp_path)
    recorder.add(3.0, outcome="http_error", error="500: boom")
    recorder.add(4.0, outcome="http_error", error="500: boom")
    recorder.add(5.0, [5.1, 5.2])  # two of three tokens asked for
    facts: dict[str, Any] = stage_facts(recorder.merged()[0])
    assert list(facts["errors"].items()) == [("http_error: 500: boom", 2), ("truncated: cut", 1)]
    assert facts["shorter_answers"] == 1
    assert facts["uncounted_answers"] == 3
