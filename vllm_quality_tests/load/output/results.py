"""A load run's result made by hand: a ladder of loads with a server that saturates, failures, server figures, a capacity search."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from vllm_quality.load.figures.records import RECORD_SCHEMA
from vllm_quality.load.result import (
    Calibration,
    Capacity,
    Distribution,
    Figures,
    Gaps,
    LoadResult,
    Plateau,
    Probe,
    ServerFigures,
    StageResult,
)
from vllm_quality.load.scenario import Scenario
from vllm_quality.results.rows import REQUEST_SCHEMA
from vllm_quality.serving.endpoint import Endpoint

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROBLEM = "client_bound: this client itself was 31.0 ms late (p99; 10 ms are allowed)."
CALIBRATION = Calibration(16, 1600.0, 64, 0.0004, 0.0021, 0.0001, 0.0008, 3.2)
_ERRORS = (
    ("http_error", 429, "429 Too Many Requests: slow down"),
    ("timeout", None, "first token: none within 120 s"),
    ("connect_error", None, "connection refused"),
)


def endpoint() -> Endpoint:
    """A vLLM on loopback."""
    return Endpoint("http://127.0.0.1:8000", "qwen3-8b", "vllm", "0.11.0", ("chat", "completions"), 32768)


def scenario(stages: list[dict[str, Any]], **settings: Any) -> Scenario:
    """A scenario of these stages."""
    base = {"name": "ladder", "profile": "standard", "title": "A rising ladder", "seed": 7}
    return Scenario.model_validate(
        base | {"input_tokens": 128, "output_tokens": 32, "stages": stages} | settings, strict=False
    )


def distribution(values: Any) -> Distribution:
    """What the figures would hold of these values."""
    import numpy as np

    if not len(values):
        return Distribution(0, None, None, None, None, None, None)
    p50, p90, p95, p99 = (float(value) for value in np.percentile(values, (50, 90, 95, 99)))
    return Distribution(len(values), float(np.mean(values)), p50, p90, p95, p99, float(np.max(values)))


def frame(stage: str, *, requests: int, streams: int, ttft: float, tpot: float, failed: int, rate: float | None) -> Any:
    """A stage's requests: `streams` at a time, or `rate` a second; every so-many-th one failed."""
    import numpy as np

    random = np.random.default_rng(requests + streams)
    first = ttft * random.lognormal(0, 0.25, requests)
    per_token = tpot * random.lognormal(0, 0.08, requests)
    length = first + 31 * per_token
    if rate is None:
        sent = np.empty(requests)
        free = np.linspace(0, float(length[:streams].mean()), streams)
        for index in range(requests):
            stream = int(free.argmin())
            sent[index] = free[stream]
            free[stream] += length[index] + 0.001
    else:
        sent = np.arange(requests) / rate
    bad = np.zeros(requests, bool)
    if failed:
        bad[:: max(1, requests // failed)] = True
    causes = [_ERRORS[index % len(_ERRORS)] if is_bad else None for index, is_bad in enumerate(bad)]
    numbers = {
        "request_index": np.arange(requests),
        "due_s": sent if rate is not None else [None] * requests,
        "dispatched_s": sent,
        "sent_s": sent + 0.0001,
        "headers_s": sent + first * 0.5,
        "first_token_s": sent + first,
        "last_token_s": sent + length,
        "end_s": sent + length + 0.0005,
    }
    values = {
        "scenario": ["ladder"] * requests,
        "stage": [stage] * requests,
        "prompt_tokens": [128] * requests,
        "output_tokens": [32] * requests,
        "outcome": [cause[0] if cause else "ok" for cause in causes],
        "http_status": [cause[1] if cause else 200 for cause in causes],
        "error": [cause[2] if cause else "" for cause in causes],
        "item": [f"item-{index}" for index in range(requests)],
        "chunks": [32] * requests,
        "counted": [True] * requests,
        "itl_values": [0 if cause else 31 for cause in causes],
        "chunk_values": [0 if cause else 31 for cause in causes],
        "asked_tokens": [32] * requests,
        "session": list(range(requests)),
        "turn": [0] * requests,
        "lap": [0] * requests,
    }
    known = pl.DataFrame({name: column for name, column in (numbers | values).items() if name in RECORD_SCHEMA})
    return known.select(pl.col(name).cast(dtype) for name, dtype in RECORD_SCHEMA.items())


def figures(rows: pl.DataFrame, gaps: Any, start: float, end: float, *, open_loop: bool) -> Figures:
    """A window's figures."""
    import numpy as np

    ok = rows.filter(pl.col("outcome") == "ok")

    def latencies(origin: str) -> dict[str, Distribution]:
        first, last = (ok[name].to_numpy() for name in ("first_token_s", "last_token_s"))
        begin = ok[origin].to_numpy()
        return {
            "ttft": distribution(first - begin),
            "tpot": distribution((last - first) / 31),
            "e2e": distribution(last - begin),
            "ntpot": distribution((last - begin) / 32),
        }

    outcomes = dict(rows.group_by("outcome").len().rows())
    window = end - start
    return Figures(
        window_s=(start, end),
        **latencies("due_s" if open_loop else "sent_s"),
        itl=distribution(gaps),
        chunk_gap=distribution(gaps),
        from_sending=latencies("sent_s"),
        send_lag=distribution(np.full(len(rows), 0.0001)) if open_loop else None,
        sent=len(rows),
        ok=len(ok),
        by_outcome=outcomes,
        requests_per_s=len(ok) / window,
        output_tokens_per_s=len(ok) * 32 / window,
        input_tokens_per_s=len(ok) * 128 / window,
        goodput=len(ok) / len(rows) * 0.97 if len(rows) else None,
        goodput_per_s=len(ok) / window * 0.97,
    )


def stage(load: Any, *, began: datetime, requests: int, ttft: float, tpot: float, failed: int = 0) -> StageResult:
    """One stage, with what a server would have said about it."""
    import numpy as np

    streams, rate = getattr(load, "streams", 16), getattr(load, "rate", None)
    rows = frame(load.label, requests=requests, streams=streams, ttft=ttft, tpot=tpot, failed=failed, rate=rate)
    gaps = np.repeat(np.full(rows.filter(pl.col("outcome") == "ok").height, tpot, dtype=np.float32), 31)
    end = float(rows["end_s"].to_numpy().max())
    whole = figures(rows, gaps, 0.0, end, open_loop=rate is not None)
    inside = rows.filter(pl.col("sent_s") > end * 0.1, pl.col("end_s") < end * 0.9)
    scrapes = np.arange(0, end, 1.0)
    waves = streams * (0.9 + 0.1 * np.sin(scrapes))
    server = ServerFigures(
        requests=len(rows) - failed,
        ttft_mean_s=(whole.ttft.mean or ttft) * 0.97,
        queue_mean_s=0.002,
        e2e_mean_s=(whole.e2e.mean or 1) * 0.99,
        itl_mean_s=tpot,
        output_tokens=32 * (len(rows) - failed),
        running_max=float(min(streams, 32)),
        waiting_max=float(max(0, streams - 32)),
        kv_cache_max=0.42,
        series={
            "at_s": scrapes.tolist(),
            "running": np.minimum(waves, 32).tolist(),
            "waiting": np.maximum(0, waves - 32).tolist(),
            "kv_cache": [None, *np.linspace(0.1, 0.42, len(scrapes)).tolist()[1:]],
        },
        ttft_buckets=((0.02, 1.0), (0.05, float(len(rows) // 2)), (float("inf"), float(len(rows)))),
        disagreement=None,
    )
    return StageResult(
        name=load.label,
        load=load,
        started_at=began,
        frame=rows,
        gaps=Gaps(gaps, gaps),
        whole=whole,
        steady=figures(inside, gaps[: inside.height * 31], end * 0.1, end * 0.9, open_loop=rate is not None)
        if inside.height
        else None,
        unsteady=None if inside.height else "the stage was too short to have a steady window",
        server=server,
    )


def load_result(
    stages: list[dict[str, Any]] | None = None, *, requests: int = 400, problem: str | None = None, **changes: Any
) -> LoadResult:
    """A whole run. The server has room for 32 streams: beyond them only latency grows."""
    planned = stages or [{"type": "concurrency", "streams": n, "requests": requests} for n in (8, 32, 64)]
    told = scenario(planned, slo={"ttft": 0.5, "tpot": 0.05})
    began, played = BEGAN, []
    for load in told.stages:
        streams = getattr(load, "streams", 16)
        count = getattr(load, "requests", None) or requests
        queue = max(0, streams - 32) * 0.02
        made = stage(
            load,
            began=began,
            requests=count,
            ttft=0.045 + queue,
            tpot=0.010 + min(streams, 32) * 2e-4,
            failed=count // 40,
        )
        began += timedelta(seconds=made.whole.window_s[1] + 2)
        played.append(made)
    table = pl.concat([stage.frame.select(REQUEST_SCHEMA.keys()) for stage in played])
    top = max(played, key=lambda one: one.whole.output_tokens_per_s)
    settings: dict[str, Any] = {
        "step": told.step,
        "scenario": told,
        "endpoint": endpoint(),
        "stages": tuple(played),
        "metrics": {f"load/ladder/{played[0].name}/ttft_p50_s": played[0].whole.ttft.p50},
        "requests": table,
        "comparable": "c0ffee" * 10 + "abcd",
        "problem": problem,
        "interrupted": False,
        "plateau": Plateau(
            "concurrency",
            True,
            30.5,
            64,
            top.whole.requests_per_s,
            top.whole.output_tokens_per_s,
            "saturated at 31 streams.",
        )
        if len(played) > 1
        else None,
        "capacity": None,
        "calibration": CALIBRATION,
        "workers": 1,
        "tape_sha256": "5eed" * 16,
        "details": {"event_loop": "uvloop"},
    }
    return LoadResult(**(settings | changes))


def capacity() -> Capacity:
    """A search that ended."""
    probes = (
        Probe(4, 120, 120, 1.0, 0.969, 1.0, False, True),
        Probe(16, 300, 200, 0.667, 0.61, 0.72, True, False),
        Probe(8, 240, 238, 0.992, 0.97, 0.998, False, True),
        Probe(11, 300, 280, 0.933, 0.899, 0.957, True, False),
    )
    return Capacity(8.0, 11.0, 0.95, 0.95, probes, "8 requests/s hold the SLO for 95 % of requests; 11 do not.")
