"""inference-perf's files: its names, and numbers that its own definitions give."""

import json
from dataclasses import replace

import polars as pl
import pytest

from vllm_quality.load.output.lifecycle import lifecycle_reports
from vllm_quality_tests.load.output.results import load_result

NAMES = {"mean", "min", "max", "median", "p0.1", "p1", "p5", "p10", "p25", "p75", "p90", "p95", "p99", "p99.9"}


def test_a_summary_and_a_file_per_stage_counted_from_0() -> None:
    reports = lifecycle_reports(load_result())
    assert list(reports) == [
        "summary_lifecycle_metrics.json",
        *(f"stage_{number}_lifecycle_metrics.json" for number in range(3)),
    ]
    json.dumps(reports, allow_nan=False)


def test_keys_are_inference_perfs() -> None:
    report = lifecycle_reports(load_result())["stage_1_lifecycle_metrics.json"]
    assert set(report) == {"benchmark_time_seconds", "load_summary", "successes", "failures"}
    assert report["load_summary"]["concurrency"] == 32
    assert set(report["successes"]["latency"]) == {
        "request_latency",
        "normalized_time_per_output_token",
        "time_per_output_token",
        "time_to_first_token",
        "inter_token_latency",
    }
    assert all(set(values) == NAMES for values in report["successes"]["latency"].values())
    assert set(report["successes"]["throughput"]) == {
        "input_tokens_per_sec",
        "output_tokens_per_sec",
        "total_tokens_per_sec",
        "requests_per_sec",
    }
    assert {"429 - Rate Limit", "Timeout", "Connection Error"} == set(report["failures"]["by_label"])


def test_latencies_count_from_when_the_client_took_a_request_up_not_from_when_it_was_due() -> None:
    result = load_result([{"type": "constant", "rate": 20, "duration_s": 5}], requests=100)
    (stage,) = result.stages
    late = replace(stage, frame=stage.frame.with_columns(due_s=pl.col("dispatched_s") - 1))
    report = lifecycle_reports(replace(result, stages=(late,)))["stage_0_lifecycle_metrics.json"]
    assert report["load_summary"]["schedule_delay"]["median"] == pytest.approx(1)
    assert report["load_summary"]["requested_rate"] == 20
    assert report["load_summary"]["achieved_rate"] == pytest.approx(20)
    assert report["successes"]["latency"]["time_to_first_token"]["max"] < 0.5


def test_the_summary_is_of_all_stages_on_one_clock() -> None:
    result = load_result()
    summary = lifecycle_reports(result)["summary_lifecycle_metrics.json"]
    assert summary["load_summary"]["count"] == result.requests.height
    assert summary["successes"]["count"] + summary["failures"]["count"] == result.requests.height
    lengths = sum(stage.whole.window_s[1] for stage in result.stages)
    assert summary["benchmark_time_seconds"] > lengths - 1


def test_nothing_sent_is_no_report() -> None:
    assert lifecycle_reports(replace(load_result(), stages=())) == {}
