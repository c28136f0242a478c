"""Runs a load scenario against an endpoint, from tape to figures."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from vllm_quality.load.data.synthetic import token_counter
from vllm_quality.load.errors import LoadError
from vllm_quality.load.figures.metrics import DEFINITIONS, stage_facts, stage_metrics
from vllm_quality.load.figures.records import Records, requests_table
from vllm_quality.load.figures.trust import lag_p99_s, problem_of
from vllm_quality.load.play.engine import loop_name, run_in_thread, watch_lag
from vllm_quality.load.play.player import Control, Player
from vllm_quality.load.play.warmup import warm_up
from vllm_quality.load.scenario import Scenario
from vllm_quality.load.schedule import Constant
from vllm_quality.load.tape import PATHS, Tape, build_tape
from vllm_quality.load.wire.client import Client
from vllm_quality.load.wire.target import Target, candidate_extras, target_of
from vllm_quality.serving.endpoint import Endpoint

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class LoadResult:
    """What one scenario measured.

    step        "load/<scenario>"
    metrics     `load/<scenario>/<stage>/<name>` -> value; the names are defined in `metrics`
    requests    one row per request, `results.rows.REQUEST_SCHEMA`
    comparable  SHA-256 of tape, settings, profile, hardware and definitions; not of the release
    problem     why the figures must not be compared, one sentence; None when they can be
    details     JSON-able facts for people
    """

    step: str
    metrics: Mapping[str, float]
    requests: pl.DataFrame
    comparable: str
    problem: str | None
    details: Mapping[str, Any]


def run_scenario(
    scenario: Scenario,
    endpoint: Endpoint,
    api_key: str | None,
    *,
    hardware: str = "unknown",
    tape: Tape | None = None,
    on_progress: OnProgress | None = None,
) -> LoadResult:
    """Measure an endpoint under a scenario's load. Blocks; runs anywhere, also beside a running event loop.

    tape          a saved one to replay; built from the scenario when None
    on_progress   called in this thread with the requests done and the requests in all

    Raises `LoadError` when nothing can be measured: the endpoint is not reached, or refuses the key or the requests. An
    endpoint that goes away during the run ends it early; what was measured is in the result, with its `problem`.
    """
    target = target_of(endpoint, PATHS[scenario.api] if tape is None else tape.path, api_key)
    if scenario.api not in endpoint.capabilities:
        raise LoadError(
            f"{endpoint.base_url} does not answer {PATHS[scenario.api]}, which the scenario {scenario.name!r} asks for; "
            "set its key 'api' to one that it does."
        )
    if tape is None:
        with token_counter(endpoint, scenario.api, api_key, scenario.timeouts.first_token) as count_tokens:
            tape = build_tape(scenario, count_tokens)
    run = _Run(scenario, tape, target, endpoint.engine)
    total = sum(len(stage.entries) for stage in tape.stages)
    told = -1

    def poll() -> None:
        nonlocal told
        if on_progress is not None and run.control.done != told:
            told = run.control.done
            on_progress(told, total)

    run_in_thread(run.main, poll)
    return run.result(hardware)


class _Run:
    """One run's state: `main` in the engine's thread, then `result`."""

    def __init__(self, scenario: Scenario, tape: Tape, target: Target, engine: str) -> None:
        self._scenario, self._tape, self._target = scenario, tape, target
        self._salt = secrets.token_hex(8)
        self._offers = candidate_extras(engine, self._salt, streaming=tape.streaming)
        self._lags: list[float] = []
        self._played: list[tuple[bool, Records]] = []
        self.control = Control()

    async def main(self) -> None:
        scenario, timeouts = self._scenario, self._scenario.timeouts
        if not self._tape.streaming:
            # An answer in one piece has no first token of its own.
            timeouts = timeouts.model_copy(update={"first_token": timeouts.total, "stall": timeouts.total})
        client = Client(self._target, timeouts)
        watch: asyncio.Task[None] | None = None
        try:
            if (refusal := await client.open()) is not None:
                raise LoadError(
                    f"{self._target.base_url} cannot be reached ({refusal}); check the address and that the server is up."
                )
            length = await warm_up(client, self._tape, self._offers)
            self._target = client.target
            watch = asyncio.create_task(watch_lag(self._lags))
            for stage in self._tape.stages:
                if self.control.stop is None:
                    player = Player(
                        client,
                        stage,
                        scenario.name,
                        self.control,
                        streaming=self._tape.streaming,
                        patience=scenario.abort_after_connect_errors,
                    )
                    self._played.append((isinstance(stage.load, Constant), await player.play(length)))
        finally:
            if watch is not None:
                watch.cancel()
            await client.close()

    def result(self, hardware: str) -> LoadResult:
        metrics: dict[str, float] = {}
        frames, stages = [], {}
        for open_loop, records in self._played:
            frame = records.frame()
            stage = stage_metrics(frame, records.itl_s, open_loop=open_loop)
            metrics |= {f"{self._scenario.step}/{records.stage}/{name}": value for name, value in stage.items()}
            stages[records.stage] = stage_facts(frame, output_tokens=self._scenario.output_tokens)
            frames.append(frame)
        requests = pl.concat(frames)
        planned = sum(len(stage.entries) for stage in self._tape.stages)
        return LoadResult(
            step=self._scenario.step,
            metrics=metrics,
            requests=requests_table(requests),
            comparable=comparable_hash(self._scenario, self._tape, hardware),
            problem=problem_of(requests, self._lags, self._scenario.trust, self.control.stop, planned),
            details={
                "stages": stages,
                "tape_sha256": self._tape.sha256,
                "extras": dict(self._target.extras),
                "event_loop": loop_name(),
                "loop_lag_p99_s": lag_p99_s(self._lags),
                "abandoned": self.control.abandoned,
            },
        )


def comparable_hash(scenario: Scenario, tape: Tape, hardware: str) -> str:
    """SHA-256 of everything but the release that shapes the figures."""
    shaping = {
        "scenario": scenario.shaping(),  # the profile is in it
        "tape": tape.sha256,
        "hardware": hardware,
        "definitions": DEFINITIONS,
    }
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()
