"""Taking turns in one folder: an embedded database lets in one process at a time."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vllm_quality.results.rows import ResultsError

# The engine holds one folder per process, whichever it is, so the threads of this process wait for each other here.
_THREADS = threading.Lock()
_POLL_SECONDS = 0.02


@contextmanager
def turn(folder: Path, timeout_s: float) -> Iterator[None]:
    """Hold the folder alone among all threads and processes; it is made when it is missing.

    Raises `ResultsError` when the folder cannot be written, or when its turn has not come after `timeout_s` seconds: then
    it names who has it. A holder that is killed, even with SIGKILL, gives up its turn (the kernel drops the lock).
    """
    deadline = time.monotonic() + timeout_s
    holder_file = folder / "vllm_quality.holder"
    if not _THREADS.acquire(timeout=timeout_s):
        raise _refused(folder, timeout_s, f"another thread of this process ({os.getpid()})")
    try:
        lock = FileLock(folder / "vllm_quality.lock", poll_interval=_POLL_SECONDS)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
        except Timeout:
            raise _refused(folder, timeout_s, _holder(holder_file)) from None
        except OSError as error:
            raise ResultsError(
                f"The results folder {folder} cannot be written ({error.strerror}); "
                "set VLLM_QUALITY_RESULTS_URL or VLLM_QUALITY_HOME to a folder that can."
            ) from None
        try:
            with suppress(OSError):  # it only helps whoever waits too long
                holder_file.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield
        finally:
            lock.release()
    finally:
        _THREADS.release()


def _holder(holder_file: Path) -> str:
    with suppress(OSError):
        return holder_file.read_text(encoding="utf-8") or "another process"
    return "another process"


def _refused(folder: Path, timeout_s: float, holder: str) -> ResultsError:
    return ResultsError(
        f"The results folder {folder} has been in use by {holder} for {timeout_s:g} s; end that process, "
        "or set VLLM_QUALITY_RESULTS_URL to a ClickHouse server, which takes many writers."
    )
