"""A server as a process group of its own: waited for, and always stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from vllm_quality_tests.live.cache import Command, cache_folder, child_environment, tail

_PAUSE_S = 0.2


class ServerError(Exception):
    """A server did not come up; its text ends with the last lines of the server's log."""


@contextmanager
def running(
    name: str,
    command: Command,
    *,
    ready: Callable[[], bool],
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    grace_s: float = 10.0,
) -> Iterator[Path]:
    """Run a server for as long as the block lasts; yields its log, `logs/NAME.log` in the cache.

    ready    whether it answers; asked five times a second
    grace_s  seconds from SIGTERM to SIGKILL, both sent to the whole group
    Raises `ServerError` when it ends, or is not ready in time.
    """
    log = cache_folder() / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=child_environment(environment),
            start_new_session=True,  # a group of its own: Ctrl-C reaches only us, and we stop it with all its children
        )
    try:
        _wait(name, process, log, ready, timeout_s)
        yield log
    finally:
        _stop(process, grace_s)


def _wait(
    name: str, process: "subprocess.Popen[bytes]", log: Path, ready: Callable[[], bool], timeout_s: float
) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        if process.poll() is not None:
            what = f"ended with {process.returncode}"
        elif time.monotonic() > deadline:
            what = f"was not ready within {timeout_s:.0f} s"
        else:
            time.sleep(_PAUSE_S)
            continue
        raise ServerError(f"{name} {what}; its log {log} ends with:\n{tail(log.read_text(errors='replace'))}")


def _stop(process: "subprocess.Popen[bytes]", grace_s: float) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
        os.killpg(process.pid, signal.SIGKILL)  # its children too, which may outlive it
    process.wait(grace_s)
