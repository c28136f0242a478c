"""The worker processes of a run, as their caller sees them: started, told what to do together, and always ended.

There is no queue between them: worker i of n plays the sessions i, i + n, … of the tape that all of them open, at times that
count from one moment on the machine's clock. What they leave is files, which are merged and not averaged.

Over several machines the same holds with three things changed, none of them in a worker: the tape's folder is fetched from
the object store; worker i of n is worker i of n over all pods (`lane`, `lanes`); and the common start is a time of day, some
seconds ahead, which each pod turns into its own monotonic clock (with NTP's error of about a millisecond, which moves a
pod's requests by as much and no latency, since those are taken on one clock). The files go to the object store, and
`merge_records` puts them together there.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from vllm_quality.load.errors import LoadError

Message = dict[str, Any]
OnMessage = Callable[[int, Message], None]

_POLL_S = 0.25
_HEAD_START_S = 0.15  # from the command to play until the first request, so that every worker has read it
_QUIT_S = 5


class Crew:
    """W workers. Every method blocks until all of them have answered; a worker that dies raises `LoadError`."""

    def __init__(self, workers: Sequence["subprocess.Popen[bytes]"], folder: Path) -> None:
        self._workers = workers
        self._folder = folder
        self.interrupted = False
        self._heard: queue.SimpleQueue[tuple[int, Message | None]] = queue.SimpleQueue()
        self._listeners = [
            threading.Thread(target=self._listen, args=(lane, worker), name=f"worker-{lane}", daemon=True)
            for lane, worker in enumerate(workers)
        ]
        for listener in self._listeners:
            listener.start()

    def close(self) -> None:
        """End every worker."""
        for worker in self._workers:
            _end(worker)
        for listener in self._listeners:
            listener.join()

    def ask(
        self,
        command: Mapping[str, Any],
        own: Sequence[Mapping[str, Any]] | None = None,
        *,
        lanes: Sequence[int] | None = None,
        on_message: OnMessage | None = None,
        poll: Callable[[], None] | None = None,
    ) -> list[Message]:
        """Send a command and wait for each worker's answer, in their order.

        own          keys that differ between the workers
        lanes        the workers that are asked; all when None
        on_message   called with what they tell meanwhile
        poll         called a few times a second

        A Ctrl-C while they play has them stop in order, and what they measured is returned; the second one is raised.

        Raises `LoadError` when a worker could not carry it out, with its sentence.
        """
        asked = range(len(self._workers)) if lanes is None else lanes
        for lane in asked:
            self._write(lane, {**command, **(own[lane] if own else {})})
        answers: dict[int, Message] = {}
        while len(answers) < len(asked):
            try:
                lane, message = self._next(poll)
            except KeyboardInterrupt:
                if on_message is None or self.interrupted:
                    raise
                self.interrupted = True
                self.stop("it was ended by hand")
                continue
            if message["event"] in ("done", "failed"):
                answers[lane] = message
            elif on_message is not None:
                on_message(lane, message)
        for lane in asked:
            if answers[lane]["event"] == "failed":
                raise LoadError(answers[lane]["error"])
        return [answers[lane] for lane in asked]

    def play(
        self, folder: Path, spread_s: float, on_message: OnMessage, poll: Callable[[], None]
    ) -> tuple[float, list[Message]]:
        """Let all play what they prepared, from one moment on; (that moment in `perf_counter` seconds, their answers).

        The clock is the machine's (CLOCK_MONOTONIC), the same in every process.
        """
        start = perf_counter() + _HEAD_START_S
        folders = [{"folder": str(folder / f"worker-{lane}")} for lane in range(len(self._workers))]
        for own in folders:
            Path(own["folder"]).mkdir(parents=True, exist_ok=True)
        command = {"do": "play", "start": start, "spread_s": spread_s}
        return start, self.ask(command, folders, on_message=on_message, poll=poll)

    def stop(self, reason: str) -> None:
        """Have the run end early: nothing more is sent, and what is in flight is waited for shortly."""
        for lane in range(len(self._workers)):
            self._write(lane, {"do": "stop", "reason": reason})

    def _next(self, poll: Callable[[], None] | None) -> tuple[int, Message]:
        """The next thing that any worker says. Raises `LoadError` when one has died."""
        while True:
            try:
                lane, message = self._heard.get(timeout=_POLL_S)
            except queue.Empty:
                lane, message = -1, {}
            if poll is not None:
                poll()
            if message is None:
                raise LoadError(self._death(lane))
            if lane >= 0:
                return lane, message

    def _write(self, lane: int, command: Mapping[str, Any]) -> None:
        stream = self._workers[lane].stdin
        assert stream is not None  # noqa: S101  # opened as a pipe
        try:
            stream.write(json.dumps(command).encode() + b"\n")
            stream.flush()
        except OSError:
            raise LoadError(self._death(lane)) from None

    def _listen(self, lane: int, worker: "subprocess.Popen[bytes]") -> None:
        assert worker.stdout is not None  # noqa: S101  # opened as a pipe
        with worker.stdout as output:
            for line in output:
                self._heard.put((lane, json.loads(line)))
        self._heard.put((lane, None))

    def _death(self, lane: int) -> str:
        code = self._workers[lane].wait(_QUIT_S)
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        said = _log(self._folder, lane).read_text(errors="replace").strip().splitlines()
        why = f": {said[-1]}" if said else "; was there enough memory?"
        return f"Worker {lane} of the load test {how}{why}."


@contextmanager
def start_crew(workers: int, folder: Path) -> Iterator[Crew]:
    """Start the workers; end them whatever happens. folder: where their logs go."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for lane in range(workers):
            with _log(folder, lane).open("wb") as log:
                started.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "vllm_quality.load.play.worker"],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        # A Ctrl-C is for the caller alone, who has the workers stop in order.
                        start_new_session=True,
                    )
                )
        crew = Crew(started, folder)
    except BaseException:
        for worker in started:
            _end(worker)
        raise
    try:
        yield crew
    finally:
        crew.close()


def pinned(workers: int) -> list[int | None]:
    """The processor of each worker, so that they do not wander; none where there is one worker, or more than processors."""
    processors = sorted(os.sched_getaffinity(0))
    if workers == 1 or workers > len(processors):
        return [None] * workers
    return [processors[lane] for lane in range(workers)]


def _log(folder: Path, lane: int) -> Path:
    return folder / f"worker-{lane}.log"


def _end(worker: "subprocess.Popen[bytes]") -> None:
    try:
        if worker.stdin is not None:
            worker.stdin.close()
    except OSError:
        pass
    try:
        worker.wait(_QUIT_S)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
