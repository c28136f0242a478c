"""inference-perf's lifecycle reports, for those who parse them: its file and key names, its definitions, all in seconds.

Latencies count from when the client took a request up, as there; the delay to when it was due stands in `schedule_delay`
(null in a closed loop, where nothing is due). Throughput is of the successes, from the first sending to the last end.
Where these differ from inference-perf 0.7 it is on purpose: token counts are the server's where it tells them;
`inter_token_latency` shares the gap before an event among its tokens, where inference-perf gives all but one of them a zero;
`achieved_rate` is (count - 1) / send_duration, and a request without output has no normalized_time_per_output_token
instead of a zero. Images, video, audio and `request_size_bytes` have no counterpart here and are absent.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from vllm_quality.load.output.words import planned
from vllm_quality.load.result import LoadResult, StageResult

if TYPE_CHECKING:
    import numpy as np

_PERCENTILES = (0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9)
_STATUS_LABELS = {
    429: "Rate Limit",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_CLASS_LABELS = {
    "timeout": "Timeout",
    "stalled": "Timeout",
    "connect_error": "Connection Error",
    "invalid": "Invalid JSON",
}
_MOST_MESSAGES = 100


def lifecycle_reports(result: LoadResult) -> dict[str, dict[str, Any]]:
    """File name -> content: summary_lifecycle_metrics.json, and stage_N_lifecycle_metrics.json counted from 0."""
    played = planned(result.stages)
    stages = [stage for stage in played if stage.frame.height]
    if not stages:
        return {}
    reports = {"summary_lifecycle_metrics.json": _report(stages)}
    for number, stage in enumerate(played):
        if stage.frame.height:
            reports[f"stage_{number}_lifecycle_metrics.json"] = _stage_report(stage)
    return reports


def _stage_report(stage: StageResult) -> dict[str, Any]:
    report = _report([stage])
    started = stage.frame["dispatched_s"].drop_nulls()
    sending = float(started.to_numpy().max() - started.to_numpy().min()) if len(started) else 0.0
    report["load_summary"] |= {
        "send_duration": sending,
        "requested_rate": getattr(stage.load, "rate", None),
        "achieved_rate": (len(started) - 1) / sending if sending > 0 else 0.0,
    }
    streams = getattr(stage.load, "streams", None) or getattr(stage.load, "users", None)
    if streams is not None:
        report["load_summary"]["concurrency"] = streams
    return report


def _report(stages: Sequence[StageResult]) -> dict[str, Any]:
    # Each stage's clocks count from its own start; on one time line the whole run has one window.
    began = stages[0].started_at
    moved = [
        stage.frame.with_columns(
            pl.col("due_s", "dispatched_s", "first_token_s", "last_token_s", "end_s")
            + (stage.started_at - began).total_seconds()
        )
        for stage in stages
    ]
    rows = pl.concat(moved)
    ok, failed = rows.filter(pl.col("outcome") == "ok"), rows.filter(pl.col("outcome") != "ok")
    first, last = rows["dispatched_s"].to_numpy().min(), rows["end_s"].to_numpy().max()
    window = float(last - first)
    successes: dict[str, Any] = {
        "count": ok.height,
        "latency": _latencies(ok) | {"inter_token_latency": _pooled([stage.gaps.itl for stage in stages])},
        "throughput": _throughput(ok, window),
        "prompt_tokens": _tokens(ok, "prompt_tokens"),
        "prompt_len": _summarize(_known(ok["prompt_tokens"])),
        "output_len": _summarize(_known(ok["output_tokens"])),
        "output_tokens": _tokens(ok, "output_tokens"),
    }
    goodput = _goodput(stages, window)
    return {
        "benchmark_time_seconds": window,
        "load_summary": {
            "count": rows.height,
            "schedule_delay": _summarize(_known(rows["dispatched_s"] - rows["due_s"])),
        },
        "successes": successes | ({"goodput_metrics": goodput} if goodput else {}),
        "failures": {
            "count": failed.height,
            "request_latency": _summarize(_known(failed["end_s"] - failed["dispatched_s"])),
            "prompt_tokens": _tokens(failed, "prompt_tokens"),
            "by_label": _by_label(failed),
        },
    }


def _latencies(ok: pl.DataFrame) -> dict[str, Any]:
    first, last, output = pl.col("first_token_s"), pl.col("last_token_s"), pl.col("output_tokens").cast(pl.Float64)
    latency = pl.col("end_s") - pl.col("dispatched_s")
    several = (pl.col("chunks") > 1) & (output > 1)
    values = ok.select(
        request_latency=latency,
        normalized_time_per_output_token=pl.when(output > 0).then(latency / output),
        time_per_output_token=pl.when(several).then((last - first) / (output - 1)),
        time_to_first_token=first - pl.col("dispatched_s"),
    )
    return {column.name: _summarize(_known(column)) for column in values}


def _throughput(ok: pl.DataFrame, window: float) -> dict[str, float]:
    prompt, output = (int(ok[name].sum() or 0) for name in ("prompt_tokens", "output_tokens"))
    amounts = {
        "input_tokens_per_sec": prompt,
        "output_tokens_per_sec": output,
        "total_tokens_per_sec": prompt + output,
        "requests_per_sec": ok.height,
    }
    return {name: amount / window if window > 0 else 0.0 for name, amount in amounts.items()}


def _tokens(rows: pl.DataFrame, name: str) -> dict[str, float]:
    return {"total": float(rows[name].sum() or 0)} | (_summarize(_known(rows[name])) or {})


def _goodput(stages: Sequence[StageResult], window: float) -> dict[str, float] | None:
    told = [(stage.whole.goodput, stage.whole.sent) for stage in stages if stage.whole.goodput is not None]
    total = sum(sent for _, sent in told)
    if not total:
        return None
    good = round(sum((share or 0) * sent for share, sent in told))
    return {
        "goodput_percentage": good / total * 100,
        "request_goodput": good / window if window > 0 else 0.0,
        "good_requests": good,
        "total_requests": total,
    }


def _by_label(failed: pl.DataFrame) -> dict[str, Any]:
    counted = failed.group_by("outcome", "http_status", "error").len().sort("len", "error", descending=[True, False])
    labels: dict[str, dict[str, Any]] = {}
    for outcome, status, error, count in counted.rows():
        entry = labels.setdefault(_label(outcome, status), {"count": 0, "messages": []})
        entry["count"] += count
        if len(entry["messages"]) < _MOST_MESSAGES:
            entry["messages"].append({"message": error})
    return dict(sorted(labels.items(), key=lambda item: -item[1]["count"]))


def _label(outcome: str, status: int | None) -> str:
    if outcome == "http_error" and status is not None:
        return f"{status} - {_STATUS_LABELS.get(status, 'other')}"
    return _CLASS_LABELS.get(outcome, outcome.replace("_", " "))


def _known(values: pl.Series) -> "np.ndarray[Any, Any]":
    return values.drop_nulls().to_numpy()


def _pooled(parts: Iterable["np.ndarray[Any, Any]"]) -> dict[str, float] | None:
    import numpy as np

    # The one copy that the selection of percentiles needs: there may be hundreds of millions of values.
    return _summarize(np.concatenate([np.empty(0, np.float32), *parts]), ours=True)


def _summarize(values: "np.ndarray[Any, Any]", *, ours: bool = False) -> dict[str, float] | None:
    """Mean, least, largest and percentiles by inference-perf's names; None without a value. ours: may be reordered."""
    import numpy as np

    if not len(values):
        return None
    told = {"mean": values.mean(dtype=np.float64), "min": values.min(), "max": values.max()}
    points = np.percentile(values, _PERCENTILES, overwrite_input=ours)
    names = ("median" if share == 50 else f"p{share:g}" for share in _PERCENTILES)
    return {name: float(value) for name, value in [*told.items(), *zip(names, points, strict=True)]}
