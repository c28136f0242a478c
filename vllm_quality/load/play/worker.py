"""A worker process: plays its share of each stage, told what to do in JSON lines on its standard input.

It answers in JSON lines on its standard output. A process of its own, so that nothing else in the caller's (a live table, a
notebook, Dagster's threads) holds the interpreter while reads are stamped; it ends when its input does, as when its caller
dies. The API key comes in the first line, which is neither in its arguments nor in its environment.
"""

import asyncio
import dataclasses
import gc
import json
import os
import resource
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from time import process_time
from typing import Any

from vllm_quality.load.errors import LoadError
from vllm_quality.load.figures.records import Records
from vllm_quality.load.play.loop import loop_factory, loop_name, watch_lag
from vllm_quality.load.play.parts import Part, calibration_part, probe_part, stage_part
from vllm_quality.load.play.player import Control, Player
from vllm_quality.load.play.warmup import warm_up
from vllm_quality.load.scenario import Timeouts
from vllm_quality.load.schedule import ClosedLoop, Concurrency, Poisson
from vllm_quality.load.tape import Tape, open_tape
from vllm_quality.load.wire.client import Client
from vllm_quality.load.wire.target import Target

_TELL_S = 0.25
_SPARE_FILES = 64
Message = dict[str, Any]


class Worker:
    """One worker's state. Each `do_…` method carries out one command and returns the answer."""

    def __init__(self, tell: Callable[[Message], None]) -> None:
        self._tell = tell
        self._lags: list[float] = []
        self._control = Control()
        self._client: Client | None = None
        self._part: Part | None = None
        self._playing: Client | None = None

    async def do_set_up(self, command: Message) -> Message:
        """Open the tape and connect to the target. Answers why it cannot be reached, if so."""
        self._setup = command
        self._lane, self._lanes = command["lane"], command["lanes"]
        if command["cpu"] is not None:
            os.sched_setaffinity(0, {command["cpu"]})
        self._tape: Tape = open_tape(Path(command["tape"]))
        self._watch = asyncio.create_task(watch_lag(self._lags))
        target, timeouts = Target(**command["target"]), Timeouts(**command["timeouts"])
        self._client = Client(target, timeouts)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        gc.collect()
        gc.freeze()
        return {"refusal": await self._client.open(), "event_loop": loop_name()}

    async def do_warm_up(self, command: Message) -> Message:
        """Send the warm-up requests; the extras that the endpoint takes and the seconds that the last one took."""
        client = self._client_now()
        warm = await warm_up(client, self._tape, command["offers"])
        return {"extras": dict(client.target.extras), **dataclasses.asdict(warm)}

    async def do_take_extras(self, command: Message) -> Message:
        """Send these extras with every request from now on."""
        client = self._client_now()
        client.target = client.target.with_extras(command["extras"])
        return {}

    async def do_prepare(self, command: Message) -> Message:
        """Get ready to play a stage of the tape, a probe of a rate, or a calibration on a server of ours."""
        client = self._client_now()
        match command["what"]:
            case "stage":
                part = stage_part(self._tape, command["number"])
            case "probe":
                part = probe_part(self._tape, Poisson.model_validate(command["load"]), command["offset"])
            case _:
                part = calibration_part(Concurrency.model_validate(command["load"]), command["output_tokens"])
                target = Target(command["url"], "/v1/completions", "paced")
                client = Client(target, Timeouts(**self._setup["timeouts"]))
                if (refusal := await client.open()) is not None:
                    raise LoadError(f"The calibration server cannot be reached ({refusal}); try again.")
        if "cache_salt" in client.target.extras:
            # Stages may share prompts, where the data do not suffice for all: each begins with a cold cache.
            client.target = client.target.with_extras({**client.target.extras, "cache_salt": command["salt"]})
        self._part = dataclasses.replace(part, lane=self._lane, lanes=self._lanes)
        self._playing = client
        if isinstance(part.load, ClosedLoop):
            streams = -(-part.load.streams // self._lanes)
            _check_files(streams)
            await client.warm(streams)
        return {}

    async def do_play(self, command: Message) -> Message:
        """Play what was prepared from a common start on; the files that it left, and how the client fared."""
        part, client = self._part, self._playing
        assert part is not None and client is not None  # noqa: S101, PT018  # the crew prepares first
        self._lags.clear()
        start, cpu = command["start"], process_time()
        records = Records(self._setup["scenario"], part.label, start, Path(command["folder"]))
        player = Player(
            client,
            part,
            records,
            self._control,
            streaming=self._tape.streaming,
            patience=self._setup["patience"],
        )
        telling = asyncio.create_task(self._tell_progress(player))
        try:
            await player.play(start, command["spread_s"])
        finally:
            telling.cancel()
        cpu = process_time() - cpu
        if client is not self._client:
            await client.close()
        return {
            "files": records.finish().as_json(),
            "lags": self._lags,
            "stop": self._control.stop,
            "abandoned": self._control.abandoned,
            "cpu_s": cpu,
        }

    def stop(self, reason: str) -> None:
        """End the run early, now."""
        if self._control.stop is None:
            self._control.stop = reason

    async def close(self) -> None:
        """Give back every connection."""
        if self._client is not None:
            await self._client.close()

    def _client_now(self) -> Client:
        assert self._client is not None  # noqa: S101  # the crew sets up first
        return self._client

    async def _tell_progress(self, player: Player) -> None:
        control, lags_told = self._control, 0
        while True:
            await asyncio.sleep(_TELL_S)
            lags, lags_told = self._lags[lags_told:], len(self._lags)
            self._tell(
                {
                    "event": "progress",
                    "sent": control.sent,
                    "in_flight": control.in_flight,
                    "ended": dict(control.ended),
                    "recent": player.peek(),
                    "lags": lags,
                }
            )


def _check_files(streams: int) -> None:
    """Raise `LoadError` where the system does not allow this process so many connections."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and streams + _SPARE_FILES > allowed:
        raise LoadError(
            f"{streams} streams need {streams + _SPARE_FILES} open files, and this system allows a process {allowed}; use "
            "more --workers, or raise the limit (ulimit -Hn)."
        )


def _tell(message: Message) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def _answer(carry_out: Callable[[Message], Awaitable[Message]], command: Message) -> None:
    try:
        answer = {"event": "done", **await carry_out(command)}
    except LoadError as error:
        answer = {"event": "failed", "error": str(error)}
    except Exception:
        # A bug. The crew sees this process end and tells the traceback's last line.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    _tell(answer)


async def main() -> None:
    """Carry out commands until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    worker = Worker(_tell)
    running: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        command = json.loads(line)
        name = command.pop("do")
        if name == "stop":
            worker.stop(command["reason"])
            continue
        task = asyncio.create_task(_answer(getattr(worker, f"do_{name}"), command))
        running.add(task)
        task.add_done_callback(running.discard)
    worker.stop("its caller is gone")
    for task in running:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await worker.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())
