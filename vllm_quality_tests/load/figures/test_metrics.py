"""Figures against values worked out by hand."""

import math
from array import array
from typing import Any

import polars as pl
import pytest

from vllm_quality.load.figures.metrics import latency_metrics, stage_facts, stage_metrics
from vllm_quality.load.figures.records import RECORD_SCHEMA, Records, requests_table
from vllm_quality.load.figures.trust import lag_p99_s, problem_of
from vllm_quality.load.scenario import Trust
from vllm_quality.load.tape import Entry
from vllm_quality.load.wire.answer import Answer
from vllm_quality.load.wire.exchange import OUTCOMES, Exchange, Outcome
from vllm_quality.results.rows import check_requests
from vllm_quality.verdict.metrics import definition_of

START = 1000.0


def record(
    records: Records,
    due: float,
    times: list[float] | None = None,
    *,
    sent: float | None = None,
    counts: list[int] | None = None,
    output: int | None = None,
    outcome: Outcome = "ok",
    error: str = "",
) -> None:
    """One request; times count from the stage's start, and it ends with its last token."""
    times = times or []
    index = records.frame().height
    exchange = Exchange(index, START + due, START + due + 0.001, b"", lambda _: None)
    exchange.sent = START + (due + 0.002 if sent is None else sent)
    exchange.end = START + (times[-1] if times else due + 0.5)
    exchange.status = 200
    answer = Answer(
        outcome=outcome,
        error=error,
        token_times=array("d", [START + time for time in times]),
        chunk_tokens=counts or [],
        prompt_tokens=None,
        output_tokens=len(times) or None if output is None else output,
        usage=output is not None or counts is not None,
        finish_reason=None,
        pieces=[],
    )
    records.add(Entry(due, f"item{index}", b"{}", 7), exchange, answer)


def metrics_of(records: Records, *, open_loop: bool = True) -> dict[str, float]:
    return stage_metrics(records.frame(), records.itl_s, open_loop=open_loop)


@pytest.fixture
def three() -> Records:
    """Two that succeeded and one that did not."""
    records = Records("s", "rate-1", START)
    record(records, 0.0, [0.1, 0.2, 0.4])
    record(records, 1.0, [1.3, 1.4, 1.5, 1.6, 2.0], sent=1.2)
    record(records, 2.0, [2.5], outcome="truncated", error="cut")
    return records


def test_latencies_count_from_when_a_request_was_due(three: Records) -> None:
    metrics = metrics_of(three)
    assert metrics["ttft_mean_s"] == pytest.approx((0.1 + 0.3) / 2)
    assert metrics["ttft_p50_s"] == pytest.approx(0.2)
    # (last - first) / (output - 1): 0.3 / 2 and 0.7 / 4
    assert metrics["tpot_mean_s"] == pytest.approx((0.15 + 0.175) / 2)
    assert metrics["e2e_mean_s"] == pytest.approx((0.4 + 1.0) / 2)
    # Pooled gaps: .1 .2 | .1 .1 .1 .4
    assert metrics["itl_mean_s"] == pytest.approx(1.0 / 6)
    assert metrics["itl_p50_s"] == pytest.approx(0.1)


def test_in_a_closed_loop_they_count_from_the_sending(three: Records) -> None:
    metrics = metrics_of(three, open_loop=False)
    assert metrics["ttft_mean_s"] == pytest.approx((0.098 + 0.1) / 2)
    assert metrics["e2e_mean_s"] == pytest.approx((0.398 + 0.8) / 2)
    assert not any(name.startswith("send_lag") for name in metrics)


def test_rates_are_over_the_window_to_the_last_requests_end(three: Records) -> None:
    metrics = metrics_of(three)
    assert metrics["requests_per_s"] == pytest.approx(2 / 2.5)
    assert metrics["output_tokens_per_s"] == pytest.approx(8 / 2.5)


def test_counts_add_up(three: Records) -> None:
    metrics = metrics_of(three)
    assert metrics["requests_count"] == 3
    assert sum(metrics[f"{outcome}_count"] for outcome in OUTCOMES) == 3
    assert (metrics["ok_count"], metrics["truncated_count"]) == (2, 1)
    assert metrics["success_ratio"] == pytest.approx(2 / 3)


def test_send_lag_is_the_clients_own_lateness(three: Records) -> None:
    metrics = metrics_of(three)
    assert metrics["send_lag_p99_s"] == pytest.approx(0.001)
    assert metrics["send_lag_max_s"] == pytest.approx(0.001)


def test_every_metric_is_in_the_registry(three: Records) -> None:
    for name in metrics_of(three):
        assert definition_of(f"load/s/rate-1/{name}") is not None, name


def test_several_tokens_in_one_event_share_its_gap() -> None:
    records = Records("s", "r", START)
    record(records, 0, [0.1, 0.4, 0.5], counts=[2, 3, 1], output=6)
    assert list(records.itl_s) == pytest.approx([0.1, 0.1, 0.1, 0.1])
    metrics = metrics_of(records)
    assert metrics["tpot_mean_s"] == pytest.approx(0.4 / 5)
    assert stage_facts(records.frame(), output_tokens=6)["tokens_per_event"] == 2.0


def test_percentiles_are_linear_and_given_only_where_values_lie_beyond_them() -> None:
    def named(count: int) -> dict[str, float]:
        records = Records("s", "r", START)
        for index in range(count):
            record(records, 0, [(index + 1) / 100, 9.0])
        return metrics_of(records)

    assert not {"ttft_p90_s", "ttft_p95_s", "ttft_p99_s"} & named(9).keys()
    assert "ttft_p50_s" not in named(1)
    assert named(10)["ttft_p90_s"] == pytest.approx(0.091)
    hundred = named(100)
    assert hundred["ttft_p50_s"] == pytest.approx(0.505)
    assert hundred["ttft_p95_s"] == pytest.approx(0.9505)
    assert hundred["ttft_p99_s"] == pytest.approx(0.9901)


def test_what_does_not_exist_is_absent_and_nothing_is_nan() -> None:
    failed = Records("s", "r", START)
    record(failed, 0, outcome="http_error")
    single = Records("s", "r", START)
    record(single, 0, [0.1])  # one token has no time between tokens
    for records in (failed, single, Records("s", "r", START)):
        metrics = metrics_of(records)
        assert all(map(math.isfinite, metrics.values()))
        assert not any(name.startswith(("tpot", "itl")) for name in metrics)
    assert metrics_of(failed)["success_ratio"] == 0
    assert "ttft_mean_s" not in metrics_of(failed)
    assert "success_ratio" not in metrics_of(Records("s", "r", START))


def test_an_answer_in_one_event_has_no_tpot_however_many_tokens_it_brought() -> None:
    records = Records("s", "r", START)
    record(records, 0, [0.1], counts=[5], output=5)
    assert "tpot_mean_s" not in metrics_of(records)


def test_the_frame_is_what_the_requests_table_takes(three: Records) -> None:
    frame = three.frame()
    assert dict(frame.schema) == RECORD_SCHEMA
    assert check_requests(requests_table(frame)).height == 3
    last = frame.row(2, named=True)
    assert (last["outcome"], last["error"], last["item"]) == ("truncated", "cut", "item2")
    assert last["first_token_s"] == pytest.approx(2.5)
    assert last["prompt_tokens"] == 7  # the tape's count, where the server gave none
    assert check_requests(requests_table(Records("s", "r", START).frame())).height == 0


def test_what_did_not_happen_is_null() -> None:
    records = Records("s", "r", START)
    record(records, 0, outcome="connect_error")
    row = records.frame().row(0, named=True)
    assert (row["headers_s"], row["first_token_s"], row["last_token_s"], row["output_tokens"]) == (None,) * 4


def test_rows_are_in_the_order_of_the_tape() -> None:
    records = Records("s", "r", START)
    exchanges = [Exchange(index, START, START, b"", lambda _: None) for index in (2, 0, 1)]
    answer = Answer("invalid", "", array("d"), [], None, None, False, None, [])
    for exchange in exchanges:
        records.add(Entry(0, f"item{exchange.index}", b"", None), exchange, answer)
    assert records.frame()["item"].to_list() == ["item0", "item1", "item2"]


def test_facts_name_the_most_frequent_errors_and_short_answers(three: Records) -> None:
    record(three, 3.0, outcome="http_error", error="500: boom")
    record(three, 4.0, outcome="http_error", error="500: boom")
    facts: dict[str, Any] = stage_facts(three.frame(), output_tokens=4)
    assert list(facts["errors"].items()) == [("http_error: 500: boom", 2), ("truncated: cut", 1)]
    assert facts["shorter_answers"] == 1
    assert facts["uncounted_answers"] == 2
    assert facts["from_sending"] == latency_metrics(three.frame().filter(pl.col("outcome") == "ok"), pl.col("sent_s"))


def test_a_good_run_has_no_problem(three: Records) -> None:
    assert problem_of(three.frame(), [0.0] * 100, Trust(min_ok=2), None, 3) is None


@pytest.mark.parametrize(
    ("trust", "lags", "stop", "sentence"),
    [
        (Trust(min_ok=3), [], None, "Only 2 of 3 requests succeeded (mostly truncated, 1 times)"),
        (Trust(min_ok=1, max_failed_share=0.2), [], None, "Only 2 of 3 requests succeeded"),
        (Trust(min_ok=1), [0.0] * 50 + [0.2] * 50, None, "client_bound: this client itself was 200.0 ms late"),
        (Trust(min_ok=1), [], "it was interrupted", "The run ended after 3 of 3 requests: it was interrupted."),
    ],
)
def test_why_figures_must_not_be_compared(
    three: Records, trust: Trust, lags: list[float], stop: str | None, sentence: str
) -> None:
    problem = problem_of(three.frame(), lags, trust, stop, 3)
    assert problem is not None
    assert problem.startswith(sentence)
    assert problem.endswith(".")


def test_requests_that_left_late_are_the_clients_fault() -> None:
    records = Records("s", "r", START)
    for index in range(100):
        record(records, index, [index + 0.1, index + 0.2])  # each dispatched 1 ms after it was due
    problem = problem_of(records.frame(), [0.0], Trust(client_lag_p99_s=0.0005), None, 100)
    assert problem is not None
    assert problem.startswith("client_bound: this client itself was 1.0 ms late (p99; 0.5 ms are allowed)")


def test_no_lag_was_seen_where_none_was_watched() -> None:
    assert lag_p99_s([]) == 0.0
