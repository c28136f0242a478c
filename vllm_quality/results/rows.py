"""The five tables of ClickHouse as Python sees them: three kinds of rows and two frames, checked before they are written."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from vllm_quality.errors import UserError


class ResultsError(UserError):
    """The results store cannot be reached, or was given something it must not keep."""


@dataclass(frozen=True)
class ResultRow:
    """A row of `results`: one metric of one run. The value is finite, `ts` has a zone and is kept to the millisecond."""

    run_id: str
    model_tag: str
    metric: str
    value: float
    ts: datetime


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A row of `runs`: what was evaluated, with what, and how it ended. Times have a zone, kept to the millisecond.

    step_hashes  step -> `Measurement.comparable`; steps whose numbers cannot be trusted are left out
    finished_at  None while the run is under way; such a run is nobody's history
    verdict      "pass", "worse", "no_baseline", "invalid", or "" while there is none
    """

    run_id: str
    model_tag: str
    image_digest: str
    snapshot_hash: str
    suite_hash: str
    engine: str
    engine_version: str
    model: str
    hardware: str
    settings_hash: str
    step_hashes: Mapping[str, str]
    profile: str
    seen_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    verdict: str


@dataclass(frozen=True)
class AlertRow:
    """A row of `alerts`: what was sent for which run, when and through which channel."""

    run_id: str
    model_tag: str
    kind: str
    sent_at: datetime
    channel: str
    detail: str


@dataclass(frozen=True)
class PastRun:
    """A finished run with its metrics (full path -> value)."""

    run: RunRow
    metrics: Mapping[str, float]


# `samples`: one row per run, suite, item and metric. An item that occurs twice in a benchmark is one row. In both frames
# a number that is not known is null, and so may be a text that is not part of the key: it is stored empty.
SAMPLE_SCHEMA: dict[str, pl.DataType] = {
    "suite": pl.String(),
    "item_hash": pl.String(),
    "prompt_hash": pl.String(),
    "metric": pl.String(),
    "score": pl.Float64(),  # null unless the status is one of SCORED
    "status": pl.String(),  # one of SAMPLE_STATUSES
    "finish_reason": pl.String(),
    "prompt_tokens": pl.UInt32(),
    "output_tokens": pl.UInt32(),
    "judge": pl.String(),
    "cluster": pl.String(),  # what the item shares with others, such as a passage; "" where it stands alone
    "slices": pl.List(pl.String()),  # parts of the suite that it belongs to: "language=ko"
}
_SINCE_0002 = ("cluster", "slices")  # frames of before lack them
SCORED = ("ok", "model_error", "truncated")
SAMPLE_KEY = ("suite", "item_hash", "metric")
SAMPLE_STATUSES = (*SCORED, "infra_error", "judge_error")

# `requests`: one row per run, scenario, stage and request. Seconds count from the stage's start on the monotonic clock
# and are null where the thing did not happen.
REQUEST_SCHEMA: dict[str, pl.DataType] = {
    "scenario": pl.String(),
    "stage": pl.String(),
    "request_index": pl.UInt32(),
    "due_s": pl.Float64(),
    "sent_s": pl.Float64(),
    "headers_s": pl.Float64(),
    "first_token_s": pl.Float64(),
    "last_token_s": pl.Float64(),
    "end_s": pl.Float64(),
    "prompt_tokens": pl.UInt32(),
    "output_tokens": pl.UInt32(),
    "outcome": pl.String(),
    "http_status": pl.UInt16(),
    "error": pl.String(),
    "item": pl.String(),
}
OUTCOMES = ("ok", "http_error", "connect_error", "timeout", "stalled", "stream_error", "truncated", "invalid")
REQUEST_KEY = ("scenario", "stage", "request_index")


def check_results(rows: Sequence[ResultRow]) -> None:
    """Raise `ResultsError` at the first row that must not be stored: no number, no zone, no name, or there twice."""
    seen = set()
    for row in rows:
        place = f"Metric {row.metric!r} of run {row.run_id}"
        if not math.isfinite(row.value):
            raise ResultsError(f"{place} is {row.value}, which has no place in an average; leave it out or repair it.")
        if not row.metric:
            raise ResultsError(f"A metric of run {row.run_id} has no name; name it as `verdict/metrics.py` says.")
        if (row.run_id, row.metric) in seen:
            raise ResultsError(f"{place} is given twice; a run has one value per metric.")
        seen.add((row.run_id, row.metric))
        check_times(place, [row.ts])
        check_times(place, [row.ts])


def check_times(place: str, times: Iterable[datetime | None]) -> None:
    """Raise `ResultsError` when a time of day has no zone: it would be stored as whatever the machine's zone makes of it."""
    if any(time is not None and time.utcoffset() is None for time in times):
        raise ResultsError(f"{place} has a time without a zone; give it one, such as UTC.")


def check_samples(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in `SAMPLE_SCHEMA`'s columns and types. Raises `ResultsError` when it does not fit."""
    older = [name for name in _SINCE_0002 if name not in frame.columns]
    frame = frame.with_columns(pl.lit(None, dtype=SAMPLE_SCHEMA[name]).alias(name) for name in older)
    samples = _conform("samples", frame, SAMPLE_SCHEMA, (*SAMPLE_KEY, "status"))
    _only("samples", samples, "status", SAMPLE_STATUSES)
    unscored = samples.filter(~pl.col("status").is_in(SCORED) & pl.col("score").is_not_null())
    if unscored.height:
        item, status = unscored.row(0, named=True)["item_hash"], unscored.row(0, named=True)["status"]
        raise ResultsError(
            f"The samples have a score for item {item} although its status is {status}; it must be null."
        )
    return samples


def check_requests(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in `REQUEST_SCHEMA`'s columns and types. Raises `ResultsError` when it does not fit."""
    requests = _conform("requests", frame, REQUEST_SCHEMA, (*REQUEST_KEY, "outcome"))
    _only("requests", requests, "outcome", OUTCOMES)
    twice = requests.filter(pl.struct(REQUEST_KEY).is_duplicated())
    if twice.height:
        scenario, stage, index = twice.select(REQUEST_KEY).row(0)
        raise ResultsError(f"The requests have number {index} of {scenario}/{stage} twice; number them one by one.")
    return requests


def _conform(
    table: str, frame: pl.DataFrame, schema: Mapping[str, pl.DataType], required: Sequence[str]
) -> pl.DataFrame:
    if set(frame.columns) != set(schema):
        missing, unknown = sorted(set(schema) - set(frame.columns)), sorted(set(frame.columns) - set(schema))
        raise ResultsError(f"The {table} frame lacks the columns {missing} and has {unknown} too many.")
    try:
        typed = frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise ResultsError(f"The {table} frame has a value that does not fit its column: {reason}.") from None
    for name, dtype in schema.items():
        if name in required and typed[name].null_count():
            raise ResultsError(f"The {table} frame has an empty {name}; fill it in.")
        if dtype.is_float() and not typed[name].drop_nulls().is_finite().all():
            raise ResultsError(
                f"The {table} frame has a {name} that is no finite number; use null where there is none."
            )
    return typed.with_columns(pl.col(pl.String).fill_null(""), pl.col(pl.List(pl.String)).fill_null([]))


def _only(table: str, frame: pl.DataFrame, column: str, allowed: Sequence[str]) -> None:
    unknown = set(frame[column].unique()) - set(allowed)
    if unknown:
        raise ResultsError(f"The {table} frame has {column} {min(unknown)!r}; it is one of {', '.join(allowed)}.")
