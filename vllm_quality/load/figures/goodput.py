"""Which requests were good: ended ok, and within every limit of the scenario's SLO (DistServe, arXiv:2401.09670)."""

import polars as pl

from vllm_quality.load.scenario import Slo


def origin_of(*, open_loop: bool) -> pl.Expr:
    """When a request began for whoever waits for it, see `metrics`. Where it was never sent: when it was taken up."""
    return pl.coalesce("due_s", "dispatched_s") if open_loop else pl.coalesce("sent_s", "dispatched_s")


def good(slo: Slo, *, open_loop: bool) -> pl.Expr:
    """Whether each request of a frame (`records.RECORD_SCHEMA`) was good; never null.

    ttft and e2e count from the origin, see `metrics`. itl is the mean of the request's own inter-token latencies, as in
    aiperf, and differs from tpot only where the first event brought several tokens. An answer of one token has neither,
    and cannot break their limits, as in vLLM's bench. One that was not streamed has its first token at its end.
    """
    origin = origin_of(open_loop=open_loop)
    first, last, end = pl.col("first_token_s"), pl.col("last_token_s"), pl.col("end_s")
    values = {
        "ttft": pl.coalesce(first, end) - origin,
        "tpot": tpot(),
        "itl": pl.when(pl.col("itl_values") > 0).then((last - first) / pl.col("itl_values")),
        "e2e": pl.coalesce(last, end) - origin,
    }
    limits = {name: limit for name in values if (limit := getattr(slo, name)) is not None}
    kept = [(values[name] <= limit).fill_null(True) for name, limit in limits.items()]
    return pl.all_horizontal(pl.col("outcome") == "ok", *kept)


def tpot() -> pl.Expr:
    """Time per output token of each request; null where its tokens came in one event, which has no time between them."""
    first, last, output = pl.col("first_token_s"), pl.col("last_token_s"), pl.col("output_tokens").cast(pl.Float64)
    return pl.when((pl.col("chunks") > 1) & (output > 1)).then((last - first) / (output - 1))
