"""The figures of a stage. Pure: from its requests to name -> value, in seconds, 1/s, ratios and counts.

All latencies are of the requests that ended ok; how many did not stands beside them (`success_ratio`).

ttft   time to first token: from the request's origin to its first event that brought a token. vLLM's bench takes the
       first event with a `choices`, which in a chat is the empty role delta; this one waits for a token.
tpot   time per output token: (last token - first token) / (output tokens - 1), one value per request; as in vLLM's bench
       and its server's histogram.
itl    inter-token latency: the gap between two consecutive events that brought tokens, over the tokens that the later one
       brought, one value per such token, all requests pooled. Equal to vLLM's where each event brings one token.
e2e    request latency: from the origin to the last token (to the end, where the answer is not streamed); as vLLM's.
requests_per_s, output_tokens_per_s
       what ended ok, over the window from the stage's start to the end of its last request; as vLLM's bench.
send_lag
       from when a request was due to when the client took it up: how late the client itself was (open loop only).

The origin of a request is when it was due (open loop), so that neither a stalled server nor a stalled client can hide what
its users would have waited (coordinated omission: Tene, "How NOT to measure latency"; vLLM's bench starts at the sending).
In a closed loop nothing is due, and it is when the request was sent.

Percentiles interpolate linearly between the two nearest values (numpy's default). One is given only where at least one
value lies beyond it on average (p90 from 10 values on, p95 from 20, p99 from 100): the p99 of 16 values is their maximum.
"""

from array import array

import polars as pl

from vllm_quality.load.wire.exchange import OUTCOMES

DEFINITIONS = 1
"""Goes up when a definition above changes: values of different definitions are not comparable."""
_PERCENTILES = (50, 90, 95, 99)


def stage_metrics(frame: pl.DataFrame, itl_s: "array[float]", *, open_loop: bool) -> dict[str, float]:
    """The figures of one stage by their last names (`ttft_p50_s`), without the `load/<scenario>/<stage>/` before them.

    frame: `records.RECORD_SCHEMA`. A figure that does not exist, such as a latency where nothing succeeded, is absent: no value is ever NaN.
    """
    import numpy as np

    ok = frame.filter(pl.col("outcome") == "ok")
    origin = pl.col("due_s") if open_loop else pl.col("sent_s")
    metrics = latency_metrics(ok, origin)
    metrics |= statistics("itl", itl_s)
    if open_loop and frame.height:
        lag = (frame["dispatched_s"] - frame["due_s"]).to_numpy()
        told = {"mean": lag.mean(), "p99": np.percentile(lag, 99), "max": lag.max()}
        metrics |= {f"send_lag_{name}_s": float(value) for name, value in told.items()}
    metrics |= {f"{outcome}_count": float((frame["outcome"] == outcome).sum()) for outcome in OUTCOMES}
    metrics["requests_count"] = float(frame.height)
    if frame.height:
        metrics["success_ratio"] = ok.height / frame.height
    window = window_s(frame)
    if window > 0:
        metrics["requests_per_s"] = ok.height / window
        metrics["output_tokens_per_s"] = float(ok["output_tokens"].sum()) / window
    return metrics


def latency_metrics(ok: pl.DataFrame, origin: pl.Expr) -> dict[str, float]:
    """ttft, tpot and e2e of the requests given, from an origin of one's choice."""
    first, last, output = pl.col("first_token_s"), pl.col("last_token_s"), pl.col("output_tokens").cast(pl.Float64)
    # An answer that came in one event has no time between tokens, whatever number of them it brought.
    tpot = pl.when((pl.col("chunks") > 1) & (output > 1)).then((last - first) / (output - 1))
    values = ok.select(ttft=first - origin, tpot=tpot, e2e=pl.coalesce(last, "end_s") - origin)
    metrics: dict[str, float] = {}
    for name in values.columns:
        metrics |= statistics(name, values[name].drop_nulls())
    return metrics


def window_s(frame: pl.DataFrame) -> float:
    """Seconds from the stage's start to the end of its last request; 0 without one."""
    end = frame["end_s"].max()
    return float(end) if isinstance(end, float) else 0.0


def statistics(name: str, values: "pl.Series | array[float]") -> dict[str, float]:
    """`<name>_mean_s` and the percentiles that so many values have."""
    import numpy as np

    if not len(values):
        return {}
    numbers = np.asarray(values)  # of an array a view: there may be hundreds of millions
    shares = [share for share in _PERCENTILES if len(values) * (100 - share) >= 100]
    found = {f"{name}_mean_s": float(numbers.mean(dtype=np.float64))}
    for share, point in zip(shares, np.percentile(numbers, shares) if shares else (), strict=True):
        found[f"{name}_p{share}_s"] = float(point)
    return found


def stage_facts(frame: pl.DataFrame, *, output_tokens: int) -> dict[str, object]:
    """What a person may want to know beside the figures; JSON-able.

    from_sending        the latencies counted from the sending, whatever the load's kind
    shorter_answers     answers that ended ok with fewer tokens than asked for
    uncounted_answers   answers whose tokens the server did not count: one was taken per event
    tokens_per_event    1.0 where every event brought one token; tpot and itl differ where it is more
    errors              what was said, by how often, the five most frequent
    """
    ok = frame.filter(pl.col("outcome") == "ok")
    failed = frame.filter(pl.col("outcome") != "ok").group_by("outcome", "error").len()
    events = int(ok["chunks"].sum())
    return {
        "window_s": window_s(frame),
        "from_sending": latency_metrics(ok, pl.col("sent_s")),
        "shorter_answers": ok.filter(pl.col("output_tokens") < output_tokens).height,
        "uncounted_answers": ok.filter(~pl.col("counted")).height,
        "tokens_per_event": float(ok["output_tokens"].sum()) / events if events else None,
        "prompt_tokens_mean": ok["prompt_tokens"].cast(pl.Float64).mean(),
        "errors": {
            f"{outcome}: {error}": count
            for outcome, error, count in failed.sort("len", "outcome", "error", descending=[True, False, False]).rows()[
                :5
            ]
        },
    }
