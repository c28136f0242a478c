"""Whether a run's figures may be compared, told from the run itself."""

from collections.abc import Sequence

import polars as pl

from vllm_quality.load.scenario import Trust


def lag_p99_s(lags: Sequence[float]) -> float:
    """p99 of how late the client's loop was, seconds; 0 where it was never asked."""
    import numpy as np

    return float(np.percentile(lags, 99)) if len(lags) else 0.0


def problem_of(frame: pl.DataFrame, lags: Sequence[float], trust: Trust, stop: str | None, planned: int) -> str | None:
    """Why the figures must not be compared, one sentence; None when they can be.

    frame    all stages' requests (`records.RECORD_SCHEMA`)
    lags     seconds by which the client's loop was late, sampled over the run
    stop     why the run ended early, if it did
    planned  requests of the whole tape
    """
    sent = frame.height
    if stop is not None:
        return f"The run ended after {sent} of {planned} requests: {stop}."
    ok = frame.filter(pl.col("outcome") == "ok").height
    failed = sent - ok
    if ok < min(trust.min_ok, planned) or failed > trust.max_failed_share * sent:
        worst = frame.filter(pl.col("outcome") != "ok").group_by("outcome").len().sort("len", "outcome").tail(1)
        mostly = "".join(f" (mostly {outcome}, {count} times)" for outcome, count in worst.rows())
        return f"Only {ok} of {sent} requests succeeded{mostly}: too few to measure speed."
    behind = max(_send_lag_p99_s(frame), lag_p99_s(lags))
    if behind > trust.client_lag_p99_s:
        return (
            f"client_bound: this client itself was {behind * 1000:.1f} ms late (p99; {trust.client_lag_p99_s * 1000:g} ms "
            "are allowed), so its figures are not the endpoint's; run it on an idler machine or lower the load."
        )
    return None


def _send_lag_p99_s(frame: pl.DataFrame) -> float:
    """p99 over the stages' requests of dispatched - due, seconds; 0 in a closed loop by its nature.

    Left out below a hundred requests, where it is their worst one: the loop's own lag is sampled often enough to tell.
    """
    lag = (frame["dispatched_s"] - frame["due_s"]).quantile(0.99, "linear")
    return lag if lag is not None and frame.height >= 100 else 0.0
