"""summary.json: a load run's figures for machines, described by `summary.schema.json` beside this file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import polars as pl

from vllm_quality.load.figures.metrics import DEFINITIONS
from vllm_quality.load.result import Figures, LoadResult, ServerFigures, StageResult

SCHEMA_VERSION = 1
"""Goes up when a key changes its meaning or goes; new keys do not raise it."""
_LATENCIES = ("ttft", "tpot", "itl", "chunk_gap", "e2e", "ntpot")
_MOST_ERRORS = 20


def summary(result: LoadResult) -> dict[str, Any]:
    """What summary.json holds: seconds, 1/s, shares of 1 and counts, all finite; null where there is no value."""
    began, ended = time_span(result.stages)
    told = {
        "schema_version": SCHEMA_VERSION,
        "definitions_version": DEFINITIONS,
        "scenario": result.scenario.model_dump(mode="json"),
        "endpoint": result.endpoint.as_json() | {"base_url": without_credentials(result.endpoint.base_url)},
        "started_at": began.isoformat() if began else None,
        "ended_at": ended.isoformat() if ended else None,
        "seed": result.scenario.seed,
        "tape_sha256": result.tape_sha256,
        "comparable": result.comparable,
        "workers": result.workers,
        "trusted": result.problem is None and not result.interrupted,
        "client_bound": is_client_bound(result.problem),
        "problem": result.problem,
        "interrupted": result.interrupted,
        "calibration": asdict(result.calibration) if result.calibration else None,
        "stages": [_stage(stage) for stage in result.stages],
        "plateau": asdict(result.plateau) if result.plateau else None,
        "capacity": asdict(result.capacity) if result.capacity else None,
        "errors": error_table(result.requests)[:_MOST_ERRORS],
        "details": result.details,
    }
    cleaned: dict[str, Any] = _finite(told)
    return cleaned


def is_client_bound(problem: str | None) -> bool:
    """Whether the client, not the endpoint, set the figures."""
    return problem is not None and "client_bound" in problem


def without_credentials(url: str) -> str:
    """An address as it may be shown: no user, no password, no query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def time_span(stages: Sequence[StageResult]) -> tuple[datetime | None, datetime | None]:
    """When the first stage began and the last one ended, UTC."""
    if not stages:
        return None, None
    ended = max(stage.started_at + timedelta(seconds=stage.whole.window_s[1]) for stage in stages)
    return stages[0].started_at.astimezone(UTC), ended.astimezone(UTC)


def error_table(requests: pl.DataFrame) -> list[dict[str, Any]]:
    """Failures by stage, class, status and text, the most frequent first: stage, class, http_status, text, count, first_s."""
    failed = requests.filter(pl.col("outcome") != "ok")
    keys = ["stage", "outcome", "http_status", "error"]
    counted = failed.group_by(keys).agg(pl.len().alias("count"), pl.col("sent_s").min().alias("first_s"))
    ordered = counted.sort("count", *keys, descending=[True, *[False] * len(keys)], nulls_last=True)
    return ordered.rename({"outcome": "class", "error": "text"}).to_dicts()


def _stage(stage: StageResult) -> dict[str, Any]:
    refused = stage.frame.filter(pl.col("outcome") == "http_error", pl.col("http_status").is_not_null())
    by_status = {
        str(status): count for status, count in refused.group_by("http_status").len().sort("http_status").rows()
    }
    whole = _figures(stage.whole)
    whole["requests"]["by_status"] = by_status
    return {
        "name": stage.name,
        "load": stage.load.model_dump(mode="json"),
        "started_at": stage.started_at.astimezone(UTC).isoformat(),
        **whole,
        "steady": _figures(stage.steady) if stage.steady else None,
        "unsteady": stage.unsteady,
        "server": _server(stage.server) if stage.server else None,
        "probe": stage.probe,
    }


def _figures(figures: Figures) -> dict[str, Any]:
    start, end = figures.window_s
    by_class = {name: count for name, count in sorted(figures.by_outcome.items()) if name != "ok"}
    return {
        "window": {"start_s": start, "end_s": end, "length_s": end - start},
        **{f"{name}_s": asdict(getattr(figures, name)) for name in _LATENCIES},
        "from_sending": {f"{name}_s": asdict(values) for name, values in figures.from_sending.items()},
        "send_lag_s": asdict(figures.send_lag) if figures.send_lag else None,
        "requests": {"sent": figures.sent, "ok": figures.ok, "failed": figures.sent - figures.ok, "by_class": by_class},
        "throughput": {
            "requests_per_s": figures.requests_per_s,
            "output_tokens_per_s": figures.output_tokens_per_s,
            "input_tokens_per_s": figures.input_tokens_per_s,
        },
        "goodput": None
        if figures.goodput is None
        else {"share": figures.goodput, "requests_per_s": figures.goodput_per_s},
    }


def _server(server: ServerFigures) -> dict[str, Any]:
    told = {name: value for name, value in vars(server).items() if name not in ("series", "ttft_buckets")}
    # The last bucket has no upper bound: null, since JSON knows no infinity.
    return told | {"ttft_buckets": [{"le_s": bound, "count": count} for bound, count in server.ttft_buckets]}


def _finite(value: Any) -> Any:
    """The value as JSON has it; what is no finite number becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, bool | str | int | None):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value)
