"""A server whose timing is known: what a client measures on it, less what it did, is the client's own error.

It speaks vLLM's OpenAI protocol on loopback, paces its tokens and keeps, per request, when its last byte had come and when
its first and last chunk were handed to the kernel, on CLOCK_MONOTONIC: the clock of `time.perf_counter` in every process
of the machine. By hand: `python -m vllm_quality.load.play.paced --port 8000 --ttft 0.05 --itl 0.01`; the first line it
prints is its URL, and GET /truth tells what it did.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self, cast
from urllib.request import ProxyHandler, build_opener

from vllm_quality.first_line import first_line
from vllm_quality.load.errors import LoadError
from vllm_quality.load.play.paced_engine import Engine, Pace
from vllm_quality.load.play.paced_protocol import Connection

if TYPE_CHECKING:
    import polars as pl

_START_S = 30.0
_STOP_S = 5.0


class PacedServer:
    """The server in a process of its own, while the block runs; options are those of `Pace`.

    It is stopped with the block, and also when this process dies. Raises `LoadError` when it does not start.
    """

    def __init__(self, **pace: float) -> None:
        self.pace = Pace(**pace)  # type: ignore[arg-type] # whole numbers are whole
        self.url = ""

    def __enter__(self) -> Self:
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(self.pace).items()]
        # Its input's end, which comes with this process's too, ends it; Ctrl-C is for this process only.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "vllm_quality.load.play.paced", "--until-eof", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            self.url = self._first_line()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def truth(self) -> "pl.DataFrame":
        """The requests served to their ends so far: id, received_s, first_s, last_s (`perf_counter` seconds), tokens.

        id: their number, in the order of their last bytes' arrival, from 0.
        """
        import polars as pl

        with build_opener(ProxyHandler({})).open(f"{self.url}/truth", timeout=60) as answer:
            columns = json.load(answer)
        schema = {"id": pl.UInt64, "received_s": pl.Float64, "first_s": pl.Float64, "last_s": pl.Float64}
        return pl.DataFrame(columns, schema={**schema, "tokens": pl.UInt32}).sort("id")

    def _first_line(self) -> str:
        try:
            return first_line(cast(IO[bytes], self._process.stdout), _START_S)
        except (TimeoutError, EOFError):
            raise LoadError(
                f"The known-timing server did not start within {_START_S:g} s; try again on a less busy machine."
            ) from None

    def _stop(self) -> None:
        process = self._process
        cast(IO[bytes], process.stdin).close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        cast(IO[bytes], process.stdout).close()


def main(arguments: list[str] | None = None) -> None:
    """Serve as the flags say until SIGINT or SIGTERM, or with --until-eof until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m vllm_quality.load.play.paced", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--log", type=Path, help="where to leave, at the end, what GET /truth tells")
    parser.add_argument("--until-eof", action="store_true", help="end with standard input")
    for option in fields(Pace):
        kind = type(option.default)
        parser.add_argument(f"--{option.name.replace('_', '-')}", type=kind, default=option.default)
    options = parser.parse_args(arguments)
    pace = Pace(**{option.name: getattr(options, option.name) for option in fields(Pace)})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, 65536), hard))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        engine = runner.run(_serve(pace, options.port, until_eof=options.until_eof))
    if options.log is not None:
        options.log.write_text(json.dumps(engine.truth.columns()), encoding="utf-8")


async def _serve(pace: Pace, port: int, *, until_eof: bool) -> Engine:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)

    def read_input() -> None:
        if not os.read(0, 4096):
            ended.set()

    if until_eof:
        loop.add_reader(0, read_input)
    engine = Engine(pace, loop)
    server = await loop.create_server(lambda: Connection(engine), "127.0.0.1", port, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await ended.wait()
    server.close()
    return engine


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
