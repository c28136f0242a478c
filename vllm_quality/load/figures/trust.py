"""Whether a run's figures may be compared, told from the run itself."""

from collections.abc import Sequence

import polars as pl

from vllm_quality.load.result import Calibration, StageResult
from vllm_quality.load.scenario import Trust

_ANY_ANSWER = {"max_failed_share": 1.0, "min_ok": 1}


def lag_p99_s(lags: Sequence[float]) -> float:
    """p99 of how late the client's loop was, seconds; 0 where it was never asked."""
    import numpy as np

    return float(np.percentile(lags, 99)) if len(lags) else 0.0


def problem_of(
    stages: Sequence[StageResult],
    lags: Sequence[float],
    trust: Trust,
    calibration: Calibration | None,
    stop: str | None,
) -> str | None:
    """Why a run's figures must not be compared, one sentence; None when they can be.

    stages        as they were played. The probes of a capacity search are meant to fail at some rate: of those, only the
                  client's own lateness counts
    lags          seconds by which the client's loops were late, sampled over the run
    calibration   None where the client was not held against a known truth
    stop          why the run ended early, if it did

    A stage that was not steady is no problem: that is what overload looks like.
    """
    frames = [stage.frame for stage in stages]
    sent = sum(frame.height for frame in frames)
    if stop is not None:
        return f"The run ended early, after {sent} requests: {stop}."
    if not sent:
        return "No request was sent, so nothing was measured."
    meant = [stage.frame for stage in stages if not stage.probe]
    # A run that only searches a capacity must at least have had an answer.
    failed = failure_problem(pl.concat(meant or frames), trust if meant else trust.model_copy(update=_ANY_ANSWER))
    return failed or client_problem(frames, lags, trust) or calibration_problem(calibration, trust)


def failure_problem(frame: pl.DataFrame, trust: Trust) -> str | None:
    """Whether too few requests succeeded to measure speed. frame: all requests of a stage or of a run."""
    sent, ok = frame.height, frame.filter(pl.col("outcome") == "ok").height
    if ok >= min(trust.min_ok, sent) and sent - ok <= trust.max_failed_share * sent:
        return None
    worst = frame.filter(pl.col("outcome") != "ok").group_by("outcome").len().sort("len", "outcome").tail(1)
    mostly = "".join(f" (mostly {outcome}, {count} times)" for outcome, count in worst.rows())
    return f"Only {ok} of {sent} requests succeeded{mostly}: too few to measure speed."


def client_problem(frames: Sequence[pl.DataFrame], lags: Sequence[float], trust: Trust) -> str | None:
    """Whether this client was late itself, in what it sent or in its loop. frames: one per stage."""
    behind = max((send_lag_p99_s(frame) for frame in frames), default=0.0)
    behind = max(behind, lag_p99_s(lags))
    if behind <= trust.client_lag_p99_s:
        return None
    return (
        f"client_bound: this client itself was {behind * 1000:.1f} ms late (p99; {trust.client_lag_p99_s * 1000:g} ms are "
        "allowed), so its figures are not the endpoint's; run it on an idler machine, with more workers, or lower the load."
    )


def calibration_problem(calibration: Calibration | None, trust: Trust) -> str | None:
    """Whether this client measured a server wrong whose timing is known. The limit is that of its lateness."""
    if calibration is None or not calibration.requests:
        return None
    error = max(abs(calibration.ttft_error_mean_s), abs(calibration.ttft_error_p99_s))
    if error <= trust.client_lag_p99_s:
        return None
    return (
        f"client_bound: before the run this client measured TTFT wrong by {error * 1000:.1f} ms on a server of known timing, "
        f"at {calibration.streams} streams ({trust.client_lag_p99_s * 1000:g} ms are allowed); run it on an idler machine, "
        "with more workers, or lower the load."
    )


def send_lag_p99_s(frame: pl.DataFrame) -> float:
    """p99 over a stage's requests of dispatched - due, seconds; 0 in a closed loop by its nature.

    Left out below a hundred requests, where it is their worst one: the loop's own lag is sampled often enough to tell.
    """
    lag = (frame["dispatched_s"] - frame["due_s"]).quantile(0.99, "linear")
    return lag if lag is not None and frame.height >= 100 else 0.0
