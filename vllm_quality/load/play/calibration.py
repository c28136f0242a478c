"""What this client measures where the truth is known: a moment of the run's load on a server of ours, just before the run.

Its error is the client's alone. Where it is too large, the run's figures would be the client's as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vllm_quality.load.figures.records import RecordsFiles, merge_records
from vllm_quality.load.figures.trust import lag_p99_s
from vllm_quality.load.play.crew import Crew
from vllm_quality.load.play.live import Live
from vllm_quality.load.play.paced import PacedServer
from vllm_quality.load.play.warmup import Warmth
from vllm_quality.load.result import Calibration
from vllm_quality.load.schedule import ClosedLoop, Concurrency, Load

_TTFT_S = 0.05
_REQUEST_S = 0.5
_DURATION_S = 1.5
_LEAST_GAP_S = 0.001
_MOST_STREAMS = 2048
# Beyond this a server of ours on the same machine is as much of a bottleneck as the client.
_MOST_CHUNKS_PER_S = 25_000


@dataclass(frozen=True)
class CalibrationLoad:
    """What to play: a closed loop, on a server that answers so."""

    load: Concurrency
    gap_s: float
    output_tokens: int


def calibration_load(loads: Sequence[Load], warmth: Warmth, workers: int) -> CalibrationLoad:
    """The most streams that any of the loads has in flight, each with the pace of the warm-up's answer."""
    streams = min(_MOST_STREAMS, max(in_flight(load, warmth.length_s) for load in loads))
    streams = max(streams, workers)
    gap = max(warmth.tpot_s, _LEAST_GAP_S, streams / (_MOST_CHUNKS_PER_S * workers))
    tokens = max(2, round((_REQUEST_S - _TTFT_S) / gap))
    load = Concurrency(type="concurrency", streams=streams, duration_s=_DURATION_S, name="calibration")
    return CalibrationLoad(load, gap, tokens)


def in_flight(load: Load, request_s: float) -> int:
    """How many streams a load will have in flight, as long as requests take so long (Little's law)."""
    if isinstance(load, ClosedLoop):
        return load.streams
    due_s = load.due_s("calibration")
    return max(1, round(len(due_s) / max(due_s[-1], request_s) * request_s))


def calibrate(crew: Crew, wanted: CalibrationLoad, folder: Path, live: Live) -> Calibration:
    """Play it, and hold what the client measured against the server's own times."""
    with PacedServer(ttft=_TTFT_S, itl=wanted.gap_s) as server:
        crew.ask(
            {
                "do": "prepare",
                "what": "calibration",
                "load": wanted.load.model_dump(mode="json"),
                "output_tokens": wanted.output_tokens,
                "url": server.url,
            }
        )
        _, answers = crew.play(folder, _REQUEST_S, live.hear, live.poll)
        truth = server.truth()
    frame, _ = merge_records([RecordsFiles.from_json(answer["files"]) for answer in answers])
    ok = frame.filter(pl.col("outcome") == "ok")
    told = ok.select(
        ttft=pl.col("first_token_s") - pl.col("sent_s"),
        tpot=(pl.col("last_token_s") - pl.col("first_token_s")) / (pl.col("output_tokens").cast(pl.Float64) - 1),
    )
    true = truth.select(
        ttft=pl.col("first_s") - pl.col("received_s"),
        tpot=(pl.col("last_s") - pl.col("first_s")) / (pl.col("tokens").cast(pl.Float64) - 1),
    )
    chunks = int(ok["chunks"].sum())
    length = float(ok["end_s"].max() or 0.0)  # type: ignore[arg-type]  # a number, or None without requests
    return Calibration(
        streams=wanted.load.streams,
        chunks_per_s=chunks / length if length else 0.0,
        requests=ok.height,
        ttft_error_mean_s=_mean(told["ttft"]) - _mean(true["ttft"]),
        ttft_error_p99_s=_p99(told["ttft"]) - _p99(true["ttft"]),
        tpot_error_mean_s=_mean(told["tpot"]) - _mean(true["tpot"]),
        lag_p99_s=lag_p99_s([lag for answer in answers for lag in answer["lags"]]),
        cpu_us_per_chunk=sum(answer["cpu_s"] for answer in answers) / max(1, chunks) * 1e6,
    )


def _mean(values: pl.Series) -> float:
    mean = values.mean()
    return mean if isinstance(mean, float) else 0.0


def _p99(values: pl.Series) -> float:
    return values.quantile(0.99, "linear") or 0.0
