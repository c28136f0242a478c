"""Runs a load scenario against an endpoint, from tape to figures."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from vllm_quality.load.data.tokens import CountTokens, folder_counter, token_counter
from vllm_quality.load.errors import LoadError
from vllm_quality.load.figures.capacity import CapacitySearch, probe_outcome
from vllm_quality.load.figures.metrics import DEFINITIONS, figures_of, stage_facts
from vllm_quality.load.figures.plateau import LoadPoint, Over, find_plateau, load_point, stop_here
from vllm_quality.load.figures.records import requests_table
from vllm_quality.load.figures.rows import result_metrics
from vllm_quality.load.figures.server import server_figures
from vllm_quality.load.figures.steady import steady_window
from vllm_quality.load.figures.trust import lag_p99_s, problem_of
from vllm_quality.load.play.conductor import Conductor, Played
from vllm_quality.load.play.crew import start_crew
from vllm_quality.load.play.live import OnProgress
from vllm_quality.load.play.scrape import Scraper, scraping
from vllm_quality.load.result import Calibration, Capacity, LoadResult, Plateau, StageResult
from vllm_quality.load.scenario import Api, CapacitySettings, Scenario
from vllm_quality.load.schedule import ClosedLoop, Concurrency, Constant, Gamma, Load, Poisson
from vllm_quality.load.tape import PATHS, Tape, build_tape, open_tape
from vllm_quality.load.wire.target import Target, target_of
from vllm_quality.serving.endpoint import Endpoint


def run_scenario(
    scenario: Scenario,
    endpoint: Endpoint,
    api_key: str | None,
    *,
    hardware: str = "unknown",
    workers: int = 1,
    tokenizer: Path | None = None,
    tape: Path | None = None,
    calibrate: bool = True,
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
) -> LoadResult:
    """Measure an endpoint under a scenario's load. Blocks; runs anywhere, also beside a running event loop.

    workers       processes that share the load
    tokenizer     a folder to count tokens with, where the endpoint does not count them
    tape          the folder of a saved tape to replay; built from the scenario when None
    calibrate     measure the client itself first, on a server whose timing is known
    folder        where the tape and what the workers keep go; a temporary one when None
    on_progress   called in this thread a few times a second

    Ctrl-C (KeyboardInterrupt) while a stage is played ends the run in order: what was measured is returned, `interrupted`.
    Raises `LoadError` when nothing can be measured: the endpoint is not reached, or refuses the key or the requests. An
    endpoint that goes away during the run ends it early; what was measured is in the result, with its `problem`.
    """
    if scenario.api not in endpoint.capabilities:
        raise LoadError(
            f"{endpoint.base_url} does not answer {PATHS[scenario.api]}, which the scenario {scenario.name!r} asks for; "
            "set its key 'api' to one that it does."
        )
    with ExitStack() as opened:
        if folder is None:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="vllm-quality-load-")))
        patience = scenario.timeouts.first_token

        @cache
        def counter(api: Api) -> CountTokens | None:
            if tokenizer is not None:
                return folder_counter(tokenizer, api)
            return opened.enter_context(token_counter(endpoint, api, api_key, patience))

        played = (
            open_tape(tape, verify=True)
            if tape is not None
            else build_tape(scenario, counter(scenario.api), folder / "tape", max_model_len=endpoint.max_model_len)
        )
        team = opened.enter_context(start_crew(workers, folder))
        scraper = opened.enter_context(scraping(endpoint, api_key))
        conductor = Conductor(
            team,
            scraper,
            scenario,
            played,
            folder,
            workers=workers,
            tell=on_progress,
            # What the model said is counted as it stands, without a chat's template around it.
            count_text=counter("completions"),
        )
        run = _Run(scenario, endpoint, played, conductor, scraper)
        run.measure(target_of(endpoint, played.path, api_key), calibrate=calibrate)
        return run.result(hardware, workers, interrupted=team.interrupted)


class _Run:
    """One run's state: `measure`, then `result`."""

    def __init__(
        self, scenario: Scenario, endpoint: Endpoint, tape: Tape, conductor: Conductor, scraper: Scraper
    ) -> None:
        self._scenario, self._endpoint, self._tape = scenario, endpoint, tape
        self._conductor, self._scraper = conductor, scraper
        self._played: list[Played] = []
        self._stages: list[StageResult] = []
        self._ladder: list[LoadPoint] = []
        self._calibration: Calibration | None = None
        self._capacity: Capacity | None = None
        self._extras: Mapping[str, Any] = {}

    def measure(self, target: Target, *, calibrate: bool) -> None:
        """Warm up, calibrate, play every stage, look for the capacity."""
        conductor, scenario = self._conductor, self._scenario
        conductor.set_up(target)
        self._extras = conductor.warm_up(self._endpoint.engine)
        if calibrate:
            self._calibration = conductor.calibrate(self._loads())
        for number, stage in enumerate(self._tape.stages):
            if self._stop is not None or self._beyond_plateau():
                break
            played = conductor.play_stage(number)
            self._take(played)
            if scenario.sweep is not None:
                point = load_point(_height(stage.load), played.frame, open_loop=stage.load.open_loop)
                self._ladder.append(point)
        if scenario.capacity is not None and self._stop is None:
            self._search_capacity(scenario.capacity)

    def result(self, hardware: str, workers: int, *, interrupted: bool) -> LoadResult:
        """What was measured so far."""
        step, plateau = self._scenario.step, self._plateau()
        requests = pl.concat([stage.frame for stage in self._stages])
        lags = [lag for played in self._played for lag in played.lags]
        return LoadResult(
            step=step,
            scenario=self._scenario,
            endpoint=self._endpoint,
            stages=tuple(self._stages),
            metrics=result_metrics(step, self._stages, plateau, self._capacity),
            requests=requests_table(requests),
            comparable=comparable_hash(self._scenario, self._tape, hardware),
            problem=problem_of(self._stages, lags, self._scenario.trust, self._calibration, self._stop),
            interrupted=interrupted,
            plateau=plateau,
            capacity=self._capacity,
            calibration=self._calibration,
            workers=workers,
            tape_sha256=self._tape.sha256,
            details={
                "stages": {stage.name: stage_facts(stage.frame) for stage in self._stages},
                "extras": dict(self._extras),
                "event_loop": self._conductor.event_loop,
                "loop_lag_p99_s": lag_p99_s(lags),
                "abandoned": sum(played.abandoned for played in self._played),
                "repeated": self._tape.repeated,
                "left_out": self._tape.left_out,
                "shortened": self._tape.shortened,
                "data": self._tape.data,
            },
        )

    @property
    def _stop(self) -> str | None:
        return self._played[-1].stop if self._played else None

    def _take(self, played: Played, *, probe: bool = False) -> StageResult:
        """Judge a stage and keep it."""
        open_loop, slo = played.load.open_loop, self._scenario.slo
        whole = figures_of(played.frame, played.gaps, open_loop=open_loop, slo=slo)
        window, unsteady = steady_window(played.frame, open_loop=open_loop)
        steady = None
        if window is not None:
            steady = figures_of(played.frame, played.gaps, open_loop=open_loop, slo=slo, window=window)
        stage = StageResult(
            name=played.label,
            load=played.load,
            started_at=played.started_at,
            frame=played.frame,
            gaps=played.gaps,
            whole=whole,
            steady=steady,
            unsteady=unsteady,
            server=server_figures(self._scraper.scrapes, played.started, played.ended, played.frame),
            probe=probe,
        )
        self._played.append(played)
        self._stages.append(stage)
        return stage

    def _search_capacity(self, spec: CapacitySettings) -> None:
        slo = self._scenario.slo
        assert slo is not None  # noqa: S101  # a scenario with a capacity has one
        search = CapacitySearch(spec, slo)
        number = offset = 0
        while self._stop is None and (probe := search.next()) is not None:
            number += 1
            load = Poisson(type="poisson", rate=probe.rate, duration_s=probe.duration_s, name=f"probe-{number}")
            played = self._conductor.play_probe(load, number, offset)
            offset += played.frame.height
            self._take(played, probe=True)
            if played.stop is None:
                search.take(probe_outcome(played.frame, slo))
        self._capacity = search.result()

    def _loads(self) -> list[Load]:
        """Every load that may be played."""
        loads = [stage.load for stage in self._tape.stages]
        if (spec := self._scenario.capacity) is not None:
            loads.append(Poisson(type="poisson", rate=spec.highest, duration_s=spec.probe_s))
        return loads

    def _plateau(self) -> Plateau | None:
        return find_plateau(self._ladder, self._over) if self._ladder else None

    def _beyond_plateau(self) -> bool:
        sweep = self._scenario.sweep
        return sweep is not None and sweep.stop_at_plateau and stop_here(self._ladder, self._over)

    @property
    def _over(self) -> Over:
        return "concurrency" if isinstance(self._tape.stages[0].load, ClosedLoop) else "rate"


def _height(load: Load) -> float:
    """A stage's place on its ladder: streams or requests/s. The scenario has made sure that there is one."""
    match load:
        case Concurrency(streams=height) | Constant(rate=height) | Poisson(rate=height) | Gamma(rate=height):
            return float(height)
        case _:
            raise ValueError(f"{load.label} has no place on a ladder")


def comparable_hash(scenario: Scenario, tape: Tape, hardware: str) -> str:
    """SHA-256 of everything but the release that shapes the figures."""
    shaping = {
        "scenario": scenario.shaping(),  # the profile is in it
        "tape": tape.sha256,
        "hardware": hardware,
        "definitions": DEFINITIONS,
    }
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()
