"""What a load run leaves behind: one `LoadResult`, from which every report, table and row is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from vllm_quality.load.scenario import Scenario
from vllm_quality.load.schedule import Load
from vllm_quality.serving.endpoint import Endpoint

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Gaps:
    """The times between tokens of the requests that ended ok, seconds (float32), in the order of the stage's frame.

    itl    one value per token after a request's first, see `figures.metrics`
    chunk  one value per event after a request's first; the same array as `itl` where every event brought one token

    How many values belong to each row of the frame is in its columns `itl_values` and `chunk_values`. Both may be memory maps.
    """

    itl: "np.ndarray[Any, Any]"
    chunk: "np.ndarray[Any, Any]"


@dataclass(frozen=True)
class Distribution:
    """One latency's distribution over a stage, seconds. All None where there is no value."""

    count: int
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True)
class Figures:
    """A stage's figures over one window. Latencies are of the requests that ended ok; see `figures.metrics` for definitions.

    window_s        (start, end), seconds from the stage's start
    ttft … ntpot    from the origin: when a request was due in open loop, when it was sent in closed loop
    from_sending    ttft, tpot, e2e and ntpot by name, counted from the sending whatever the loop
    send_lag        how late the client itself was; None in a closed loop
    by_outcome      every outcome of `wire.exchange` -> how many requests
    goodput         share of all requests of the window that ended ok within the scenario's SLO; None without an SLO
    """

    window_s: tuple[float, float]
    ttft: Distribution
    tpot: Distribution
    itl: Distribution
    chunk_gap: Distribution
    e2e: Distribution
    ntpot: Distribution
    from_sending: Mapping[str, Distribution]
    send_lag: Distribution | None
    sent: int
    ok: int
    by_outcome: Mapping[str, int]
    requests_per_s: float
    output_tokens_per_s: float
    input_tokens_per_s: float
    goodput: float | None
    goodput_per_s: float | None


@dataclass(frozen=True)
class ServerFigures:
    """What the server itself said over the stage, from its /metrics: means in seconds, None where it does not tell.

    running_max, waiting_max, kv_cache_max   of the scrapes, one a second; kv_cache is a share of 1
    series         scrape by scrape: "at_s" (from the stage's start), "running", "waiting", "kv_cache"
    ttft_buckets   the stage's TTFT histogram: (upper bound in seconds, requests at or below it), ascending
    disagreement   one sentence where the client's figures and the server's cannot both be right; None otherwise
    """

    requests: int
    ttft_mean_s: float | None
    queue_mean_s: float | None
    e2e_mean_s: float | None
    itl_mean_s: float | None
    output_tokens: int | None
    running_max: float | None
    waiting_max: float | None
    kv_cache_max: float | None
    series: Mapping[str, list[float | None]]
    ttft_buckets: tuple[tuple[float, float], ...]
    disagreement: str | None


@dataclass(frozen=True)
class StageResult:
    """One stage, measured.

    frame          one row per request, `figures.records.RECORD_SCHEMA`; clocks in seconds from the stage's start
    whole, steady  the figures of the whole stage, and of its steady window; `unsteady` says why there is none
    probe          a rate tried by the capacity search, not a stage of the scenario
    """

    name: str
    load: Load
    started_at: datetime
    frame: pl.DataFrame
    gaps: Gaps
    whole: Figures
    steady: Figures | None
    unsteady: str | None
    server: ServerFigures | None
    probe: bool = False


@dataclass(frozen=True)
class Plateau:
    """Where throughput stops rising with the load.

    over              "concurrency" (streams in flight) or "rate" (requests/s offered)
    reached           False: throughput still rose at the highest load tried; then knee is None and the others are of that load
    knee              the load at which the rising line meets the plateau
    sentence          for a person: "saturated at 64 requests/s …" or "not reached by 128 streams"
    """

    over: str
    reached: bool
    knee: float | None
    highest_load: float
    requests_per_s: float
    output_tokens_per_s: float
    sentence: str


@dataclass(frozen=True)
class Probe:
    """One rate tried by the capacity search. low, high: Wilson interval of its goodput; holds: None while undecided."""

    rate: float
    requests: int
    good: int
    goodput: float
    low: float
    high: float
    queue_grew: bool
    holds: bool | None


@dataclass(frozen=True)
class Capacity:
    """The highest rate whose goodput holds.

    rate          highest rate that held, requests/s; None where none did
    refused_rate  lowest rate that did not hold; None where none was found: "not reached by …"
    confidence    of each probe's interval
    """

    rate: float | None
    refused_rate: float | None
    target: float
    confidence: float
    probes: tuple[Probe, ...]
    sentence: str


@dataclass(frozen=True)
class Calibration:
    """What this client measures on a server whose timing is known, at the run's load, just before it. Seconds."""

    streams: int
    chunks_per_s: float
    requests: int
    ttft_error_mean_s: float
    ttft_error_p99_s: float
    tpot_error_mean_s: float
    lag_p99_s: float
    cpu_us_per_chunk: float


@dataclass(frozen=True)
class LoadResult:
    """What one scenario measured.

    step         "load/<scenario>"
    metrics      `load/<scenario>/<stage>/<name>` -> value: the figures that become rows; see `figures.metrics`
    requests     one row per request, `results.rows.REQUEST_SCHEMA`
    comparable   SHA-256 of tape, settings, profile, hardware and definitions; not of the release
    problem      why the figures must not be compared, one sentence; None when they can be
    interrupted  ended by hand; the figures are of what was sent until then
    details      JSON-able facts for people
    """

    step: str
    scenario: Scenario
    endpoint: Endpoint
    stages: tuple[StageResult, ...]
    metrics: Mapping[str, float]
    requests: pl.DataFrame
    comparable: str
    problem: str | None
    interrupted: bool
    plateau: Plateau | None
    capacity: Capacity | None
    calibration: Calibration | None
    workers: int
    tape_sha256: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """A run while it goes on, a few times a second. Latencies are of the requests that ended in the last seconds; None without any.

    part       "warm-up", "calibration" or the stage's name
    planned    requests of the stage; None where time ends it
    by_outcome requests of the stage ended so far, by outcome
    """

    part: str
    part_number: int
    parts: int | None
    elapsed_s: float
    planned: int | None
    sent: int
    in_flight: int
    by_outcome: Mapping[str, int]
    requests_per_s: float
    output_tokens_per_s: float
    ttft_p50_s: float | None
    ttft_p99_s: float | None
    tpot_p50_s: float | None
    tpot_p99_s: float | None
    lag_p99_s: float | None

    @property
    def done(self) -> int:
        """Requests ended so far."""
        return sum(self.by_outcome.values())
