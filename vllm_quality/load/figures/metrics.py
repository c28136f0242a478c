"""The figures of a stage. Pure: from its requests to name -> value, in seconds, 1/s, ratios and counts.

All latencies are of the requests that ended ok; how many did not stands beside them (`success_ratio`).

ttft   time to first token: from the request's origin to its first event that brought a token. vLLM's bench takes the
       first event with a `choices`, which in a chat is the empty role delta; this one waits for a token.
tpot   time per output token: (last token - first token) / (output tokens - 1), one value per request; as in vLLM's bench
       and its server's histogram.
itl    inter-token latency: the gap between two consecutive events that brought tokens, over the tokens that the later one
       brought, one value per such token, all requests pooled. Equal to vLLM's where each event brings one token, or where
       the server does not tell how many an event brought.
chunk_gap
       that gap itself, one value per event, all requests pooled: what somebody who reads along sees. vLLM's bench calls
       this ITL.
e2e    request latency: from the origin to the last token (to the end, where the answer is not streamed); as vLLM's.
ntpot  normalised time per output token: e2e / output tokens, one value per request; none where there is no token.
requests_per_s, output_tokens_per_s, input_tokens_per_s
       what ended ok, over the window from the stage's start to the end of its last request; as vLLM's bench.
goodput
       the share of all requests, failed ones included, that ended ok within the SLO; see `goodput.good`.
send_lag
       from when a request was due to when the client took it up: how late the client itself was (open loop only).

The origin of a request is when it was due (open loop), so that neither a stalled server nor a stalled client can hide what
its users would have waited (coordinated omission: Tene, "How NOT to measure latency"; vLLM's bench starts at the sending).
In a closed loop nothing is due, and it is when the request was sent. The latencies from the sending stand beside it.

Output tokens are the server's own count; one per event where it gives none, or what a tokenizer makes of the answer's text
where there is one (`records.recount`).

Of a window within the stage (`steady.steady_window`), the latencies, gaps and goodput are of the requests whose origin lies
in it, and what is counted per second is what ended in it: a request counts whole where it ended, which neither gains nor
loses as long as the load is steady.

Percentiles interpolate linearly between the two nearest values (numpy's default). As a row of the results one is given only
where at least one value lies beyond it on average (p90 from 10 values on, p95 from 20, p99 from 100): the p99 of 16 values
is their maximum.
"""

import polars as pl

from vllm_quality.load.figures.distribution import SHARES, distribution, gap_distribution
from vllm_quality.load.figures.goodput import good, origin_of, tpot
from vllm_quality.load.result import Distribution, Figures, Gaps
from vllm_quality.load.scenario import Slo
from vllm_quality.load.wire.exchange import OUTCOMES

DEFINITIONS = 2
"""Goes up when a definition above changes: values of different definitions are not comparable."""
LATENCIES = ("ttft", "tpot", "itl", "chunk_gap", "e2e", "ntpot")


def figures_of(
    frame: pl.DataFrame,
    gaps: Gaps,
    *,
    open_loop: bool,
    slo: Slo | None = None,
    window: tuple[float, float] | None = None,
) -> Figures:
    """A stage's figures over the whole of it, or over a window of it.

    frame    one stage, `records.RECORD_SCHEMA`; the `gaps` are in its order
    window   (start, end) in seconds from the stage's start; None: from the start to the end of the last request
    """
    origin = origin_of(open_loop=open_loop)
    told = frame.with_columns(
        origin=origin,
        good=good(slo, open_loop=open_loop) if slo is not None else pl.lit(None, pl.Boolean()),
        ok=pl.col("outcome") == "ok",
    )
    if window is None:
        start, end = 0.0, last_end_s(frame)
        told = told.with_columns(begun=pl.lit(True), ended=pl.lit(True))
    else:
        start, end = window
        told = told.with_columns(
            begun=pl.col("origin").is_between(start, end, closed="left"),
            ended=pl.col("end_s").is_between(start, end, closed="left"),
        )
    begun, ended = told.filter("begun"), told.filter("ok", "ended")
    measured = begun.filter("ok")
    chosen = (told["begun"] & told["ok"]).fill_null(value=False).to_numpy()
    itl = gap_distribution(gaps.itl, frame["itl_values"].to_numpy(), chosen)
    alike = gaps.chunk is gaps.itl
    length = end - start
    return Figures(
        window_s=(start, end),
        **latencies(measured, "origin"),
        itl=itl,
        chunk_gap=itl if alike else gap_distribution(gaps.chunk, frame["chunk_values"].to_numpy(), chosen),
        from_sending=latencies(measured, "sent_s"),
        send_lag=distribution((begun["dispatched_s"] - begun["due_s"]).drop_nulls()) if open_loop else None,
        sent=begun.height,
        ok=measured.height,
        by_outcome={outcome: begun.filter(pl.col("outcome") == outcome).height for outcome in OUTCOMES},
        requests_per_s=_per_s(ended.height, length),
        output_tokens_per_s=_per_s(_sum(ended["output_tokens"]), length),
        input_tokens_per_s=_per_s(_sum(ended["prompt_tokens"]), length),
        goodput=_sum(begun["good"]) / begun.height if slo is not None and begun.height else None,
        goodput_per_s=_per_s(_sum(ended["good"]), length) if slo is not None else None,
    )


def latencies(ok: pl.DataFrame, origin: str) -> dict[str, Distribution]:
    """ttft, tpot, e2e and ntpot of the requests given, counted from the column `origin`."""
    output = pl.col("output_tokens").cast(pl.Float64)
    e2e = pl.coalesce("last_token_s", "end_s") - pl.col(origin)
    values = ok.select(
        ttft=pl.col("first_token_s") - pl.col(origin),
        tpot=tpot(),
        e2e=e2e,
        ntpot=pl.when(output > 0).then(e2e / output),
    )
    return {name: distribution(values[name].drop_nulls()) for name in values.columns}


def last_end_s(frame: pl.DataFrame) -> float:
    """Seconds from the stage's start to the end of its last request; 0 without one."""
    end = frame["end_s"].max()
    return float(end) if isinstance(end, float) else 0.0


def _per_s(count: float, length_s: float) -> float:
    return count / length_s if length_s > 0 else 0.0


def _sum(values: pl.Series) -> float:
    return float(values.sum())


def stage_metrics(whole: Figures, steady: Figures | None = None) -> dict[str, float]:
    """The figures of one stage by their last names (`ttft_p50_s`), without the `load/<scenario>/<stage>/` before them.

    Those of the whole stage, and the few that matter most of its steady window too (`steady_…`). A figure that does not
    exist, such as a latency where nothing succeeded, is absent: no value is ever NaN.
    """
    metrics: dict[str, float] = {}
    for name in LATENCIES:
        metrics |= rows_of(name, getattr(whole, name))
    if whole.send_lag is not None and whole.send_lag.count:
        lag = {"mean": whole.send_lag.mean, "p99": whole.send_lag.p99, "max": whole.send_lag.max}
        metrics |= {f"send_lag_{name}_s": value for name, value in lag.items() if value is not None}
    metrics |= {f"{outcome}_count": float(count) for outcome, count in whole.by_outcome.items()}
    metrics["requests_count"] = float(whole.sent)
    if whole.sent:
        metrics["success_ratio"] = whole.ok / whole.sent
    if whole.goodput is not None:
        metrics["goodput_ratio"] = whole.goodput
    metrics |= _throughput(whole)
    if steady is not None:
        few = rows_of("ttft", steady.ttft) | rows_of("tpot", steady.tpot) | _throughput(steady)
        metrics |= {f"steady_{name}": value for name, value in few.items() if not name.endswith(("p90_s", "p95_s"))}
    return metrics


def rows_of(name: str, values: Distribution) -> dict[str, float]:
    """`<name>_mean_s` and the percentiles that so many values have."""
    points = {"mean": values.mean} | {
        f"p{share}": getattr(values, f"p{share}") for share in SHARES if values.count * (100 - share) >= 100
    }
    return {f"{name}_{point}_s": value for point, value in points.items() if value is not None}


def _throughput(figures: Figures) -> dict[str, float]:
    start, end = figures.window_s
    if end <= start:
        return {}
    return {"requests_per_s": figures.requests_per_s, "output_tokens_per_s": figures.output_tokens_per_s}


def stage_facts(frame: pl.DataFrame) -> dict[str, object]:
    """What a person may want to know beside the figures; JSON-able.

    shorter_answers     answers that ended ok with fewer tokens than asked for
    uncounted_answers   answers whose tokens the server did not count
    tokens_per_event    1.0 where every event brought one token; chunk_gap and itl differ where it is more
    prompt_tokens_mean  of the answers that ended ok
    errors              what was said, by how often, the five most frequent
    """
    ok = frame.filter(pl.col("outcome") == "ok")
    failed = frame.filter(pl.col("outcome") != "ok").group_by("outcome", "error").len()
    frequent = failed.sort("len", "outcome", "error", descending=[True, False, False]).head(5)
    events = int(ok["chunks"].sum())
    return {
        "shorter_answers": ok.filter(pl.col("output_tokens") < pl.col("asked_tokens")).height,
        "uncounted_answers": ok.filter(~pl.col("counted")).height,
        "tokens_per_event": float(ok["output_tokens"].sum()) / events if events else None,
        "prompt_tokens_mean": ok["prompt_tokens"].cast(pl.Float64).mean(),
        "errors": {f"{outcome}: {error}": count for outcome, error, count in frequent.rows()},
    }
