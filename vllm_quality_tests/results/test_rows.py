"""What must not be stored is refused before it is sent, in one sentence."""

import math
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from vllm_quality.results.rows import (
    REQUEST_SCHEMA,
    SAMPLE_SCHEMA,
    ResultRow,
    ResultsError,
    check_requests,
    check_results,
    check_samples,
)
from vllm_quality_tests.results.samples import NOON, requests_frame, samples_frame


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ResultsError, match=r"Metric 'eval/piqa/acc' of run a is (nan|inf|-inf)"):
        check_results([ResultRow("a", "t", "eval/piqa/acc", value, NOON)])


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ResultsError, match="time without a zone; give it one"):
        check_results([ResultRow("a", "t", "m", 1.0, datetime(2026, 1, 1))])  # noqa: DTZ001
    check_results([ResultRow("a", "t", "m", 1.0, datetime(2026, 1, 1, tzinfo=UTC))])


def test_a_metric_is_given_once_and_by_name() -> None:
    row = ResultRow("a", "t", "m", 1.0, NOON)
    check_results([row, ResultRow("b", "t", "m", 1.0, NOON)])
    with pytest.raises(ResultsError, match="'m' of run a is given twice"):
        check_results([row, row])
    with pytest.raises(ResultsError, match="has no name"):
        check_results([ResultRow("a", "t", "", 1.0, NOON)])


def test_frames_get_their_columns_in_order_and_their_types() -> None:
    shuffled = (
        samples_frame().select(reversed(list(SAMPLE_SCHEMA))).with_columns(pl.col("prompt_tokens").cast(pl.Int64))
    )
    assert dict(check_samples(shuffled).schema) == SAMPLE_SCHEMA
    assert dict(check_requests(pl.DataFrame(schema=REQUEST_SCHEMA)).schema) == REQUEST_SCHEMA
    assert dict(check_requests(requests_frame().with_columns(first_token_s=None)).schema) == REQUEST_SCHEMA


def test_an_unknown_text_is_stored_empty() -> None:
    samples = check_samples(samples_frame([{"finish_reason": None, "judge": None, "prompt_hash": None}]))
    assert samples.select("finish_reason", "judge", "prompt_hash").row(0) == ("", "", "")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"status": "judge_error"}, "score for item a1 although its status is judge_error"),
        ({"status": "infra_error", "score": 0.0}, "must be null"),
        ({"status": "failed"}, "status 'failed'; it is one of ok, model_error"),
        ({"score": math.nan}, "score that is no finite number"),
        ({"score": math.inf}, "score that is no finite number"),
        ({"item_hash": None}, "empty item_hash"),
        ({"status": None}, "empty status"),
    ],
)
def test_samples_that_do_not_fit_are_refused(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ResultsError, match=sentence):
        check_samples(samples_frame([{}, row]))


@pytest.mark.parametrize("status", ["ok", "model_error", "truncated", "infra_error", "judge_error"])
def test_a_sample_without_a_score_fits_any_status(status: str) -> None:
    assert check_samples(samples_frame([{"status": status, "score": None}])).height == 1


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({}, "number 0 of baseline/0 twice"),
        ({"request_index": 1, "end_s": math.nan}, "end_s that is no finite number"),
        ({"request_index": 1, "outcome": "fine"}, "outcome 'fine'; it is one of ok, http_error"),
        ({"request_index": None}, "empty request_index"),
    ],
)
def test_requests_that_do_not_fit_are_refused(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ResultsError, match=sentence):
        check_requests(requests_frame([{}, row]))


def test_columns_that_do_not_fit_are_named() -> None:
    with pytest.raises(ResultsError, match=r"lacks the columns \['judge'\] and has \['who'\] too many"):
        check_samples(samples_frame().rename({"judge": "who"}))
    negative = requests_frame().with_columns(pl.lit(-1).alias("output_tokens"))
    with pytest.raises(ResultsError, match="does not fit its column"):
        check_requests(negative)
