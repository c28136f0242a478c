"""Leads a crew of workers through a run: warm-up, calibration, then the stages of a tape one after the other."""

import secrets
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import polars as pl

from vllm_quality.load.data.tokens import CountTokens
from vllm_quality.load.errors import LoadError
from vllm_quality.load.figures.records import RecordsFiles, merge_records
from vllm_quality.load.figures.recount import read_texts, recount
from vllm_quality.load.play.calibration import calibrate, calibration_load
from vllm_quality.load.play.crew import Crew, pinned
from vllm_quality.load.play.live import Live, OnProgress
from vllm_quality.load.play.scrape import Scraper
from vllm_quality.load.play.warmup import Warmth
from vllm_quality.load.result import Calibration, Gaps
from vllm_quality.load.scenario import Scenario
from vllm_quality.load.schedule import Load
from vllm_quality.load.tape import Tape
from vllm_quality.load.wire.target import Target, candidate_extras


@dataclass(frozen=True)
class Played:
    """A stage as it was played, before it is judged.

    started     `perf_counter` seconds of its start, the zero of the frame's clocks; ended: of its end
    lags        how late the workers' loops were, sampled
    stop        why it ended early; None when it did not
    abandoned   requests in flight that were not waited for
    """

    label: str
    load: Load
    started_at: datetime
    started: float
    ended: float
    frame: pl.DataFrame
    gaps: Gaps
    lags: list[float]
    stop: str | None
    abandoned: int


class Conductor:
    """One run's crew at work. Use in this order: `set_up`, `warm_up`, then as many stages and probes as wanted."""

    def __init__(
        self,
        crew: Crew,
        scraper: Scraper,
        scenario: Scenario,
        tape: Tape,
        folder: Path,
        *,
        workers: int,
        tell: OnProgress | None,
        count_text: CountTokens | None,
    ) -> None:
        self._crew, self._scraper, self._scenario, self._tape = crew, scraper, scenario, tape
        self._folder, self._workers, self._tell, self._count_text = folder, workers, tell, count_text
        self._parts = 0
        self.event_loop = ""

    def set_up(self, target: Target) -> None:
        """Have every worker open the tape and connect. Raises `LoadError` where the endpoint is not reached."""
        timeouts = self._scenario.timeouts
        if not self._tape.streaming:
            # An answer in one piece has no first token of its own.
            timeouts = timeouts.model_copy(update={"first_token": timeouts.total, "stall": timeouts.total})
        command = {
            "do": "set_up",
            "target": asdict(target),
            "timeouts": timeouts.model_dump(),
            "tape": str(self._tape.folder),
            "lanes": self._workers,
            "scenario": self._scenario.name,
            "patience": self._scenario.abort_after_connect_errors,
        }
        own = [{"lane": lane, "cpu": cpu} for lane, cpu in enumerate(pinned(self._workers))]
        answers = self._crew.ask(command, own)
        self.event_loop = answers[0]["event_loop"]
        refusal = next((answer["refusal"] for answer in answers if answer["refusal"] is not None), None)
        if refusal is not None:
            raise LoadError(
                f"{target.base_url} cannot be reached ({refusal}); check the address and that the server is up."
            )

    def warm_up(self, engine: str) -> dict[str, Any]:
        """Send the warm-up requests from the first worker; the extras that the endpoint took and that all will send."""
        offers = candidate_extras(engine, secrets.token_hex(8), streaming=self._tape.streaming)
        live = self._live("warm-up", 0, None, len(self._tape.warmup))
        (answer,) = self._crew.ask({"do": "warm_up", "offers": offers}, lanes=[0], poll=live.poll)
        extras: dict[str, Any] = answer["extras"]
        others = range(1, self._workers)
        if others:
            self._crew.ask({"do": "take_extras", "extras": extras}, lanes=others)
        self.warmth = Warmth(answer["length_s"], answer["ttft_s"], answer["tpot_s"], answer["output_tokens"])
        return extras

    def calibrate(self, loads: list[Load]) -> Calibration:
        """What this client measures where the truth is known, at the heaviest of the loads."""
        wanted = calibration_load(loads, self.warmth, self._workers)
        live = self._live("calibration", 0, None, None)
        return calibrate(self._crew, wanted, self._part_folder(), live)

    def play_stage(self, number: int) -> Played:
        """Play a stage of the tape."""
        stage = self._tape.stages[number]
        planned = len(stage.entries) if stage.load.open_loop or stage.load.limit_s is None else None
        live = self._live(stage.load.label, number + 1, len(self._tape.stages), planned)
        self._prepare("stage", number=number)
        return self._play(stage.load.label, stage.load, live)

    def play_probe(self, load: Load, number: int, offset: int) -> Played:
        """Play the tape's pool from a place in it on, as a load wants it."""
        live = self._live(load.label, number, None, None)
        self._prepare("probe", load=load.model_dump(mode="json"), offset=offset)
        return self._play(load.label, load, live)

    def _prepare(self, what: str, **command: Any) -> None:
        self._crew.ask({"do": "prepare", "what": what, "salt": secrets.token_hex(8), **command})

    def _play(self, label: str, load: Load, live: Live) -> Played:
        folder = self._part_folder()
        self._scraper.now()
        started_at, before = datetime.now(UTC), perf_counter()
        started, answers = self._crew.play(folder, self.warmth.length_s, live.hear, live.poll)
        self._scraper.now()
        ended = perf_counter()
        files = [RecordsFiles.from_json(answer["files"]) for answer in answers]
        frame, gaps = merge_records(files)
        frame = recount(frame, read_texts(files), self._count_text)
        shutil.rmtree(folder)  # what is mapped from it stays until it is no longer used
        return Played(
            label,
            load,
            started_at + timedelta(seconds=started - before),
            started,
            ended,
            frame,
            gaps,
            [lag for answer in answers for lag in answer["lags"]],
            next((answer["stop"] for answer in answers if answer["stop"] is not None), None),
            sum(answer["abandoned"] for answer in answers),
        )

    def _live(self, part: str, number: int, parts: int | None, planned: int | None) -> Live:
        return Live(self._tell, part, number, parts, planned)

    def _part_folder(self) -> Path:
        self._parts += 1
        folder = self._folder / f"part-{self._parts}"
        folder.mkdir(parents=True)
        return folder
