"""Runs `def grade(sample, item) -> float` where it can do no harm: a process of its own per grade, shut in and killed in time.

Guards: CPU time, wall time, memory, file size and open files (rlimits); no network, no processes, no signals (seccomp); an
empty environment; Python's own files to read and one temporary folder to write (Landlock); its whole process group killed at
the end. Without seccomp (not Linux on x86-64 or ARM64) nothing is run. Without Landlock (before Linux 5.13, or switched off)
a grader can read and write the files that the evaluation's user can.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_ROOT = str(Path(__file__).parents[3])
_START = "import sys; sys.path.insert(0, {root!r}); from vllm_quality.eval.graders.python_child import main; main()"
_LONGEST_ANSWER = 64 * 1024
_GIVE_UP_AFTER = 3  # grades in a row that ran out of time: the others would as well
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class PythonGraderError(Exception):
    """The grader gave no grade; the text says why, in one sentence's part."""


@dataclass(frozen=True)
class PythonLimits:
    """What one grade may cost. OpenAI allows 2 GB and two minutes; here a grade that takes that long ends a suite."""

    cpu_s: int = 20
    wall_s: float = 30.0
    memory_bytes: int = 2 * 1024**3


class PythonGrader:
    """Grades with somebody's code; `at_once` processes at a time."""

    def __init__(self, source: str, limits: PythonLimits | None = None, *, at_once: int | None = None) -> None:
        self._source = source
        self._limits = limits or PythonLimits()
        self._slots = asyncio.Semaphore(at_once or os.cpu_count() or 1)
        self._slow = 0

    async def grade(self, sample: Mapping[str, Any], item: Mapping[str, Any]) -> float:
        """The grade, finite. Raises `PythonGraderError`."""
        async with self._slots:
            if self._slow >= _GIVE_UP_AFTER:
                raise PythonGraderError(f"it ran out of time {self._slow} times in a row and was not started again")
            request = {
                "source": self._source, "sample": sample, "item": item,
                "cpu_s": self._limits.cpu_s, "memory_bytes": self._limits.memory_bytes,
            }  # fmt: skip
            with TemporaryDirectory(prefix="grader-") as folder:
                raw, code = await self._run(json.dumps(request).encode(), folder)
            return self._read(raw, code)

    async def _run(self, request: bytes, folder: str) -> tuple[bytes, int]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", _START.format(root=_ROOT),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            cwd=folder, start_new_session=True,
            env={"PATH": os.defpath, "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", **_ONE_THREAD},
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._limits.wall_s):
                return await _talk(process, request)
        except TimeoutError:
            self._slow += 1
            raise PythonGraderError(f"it did not end within {self._limits.wall_s:g} s") from None
        finally:
            _kill(process)
            await process.wait()

    def _read(self, raw: bytes, code: int) -> float:
        if code == -signal.SIGXCPU or (code == -signal.SIGKILL and not raw):
            self._slow += 1
            raise PythonGraderError(f"it used more than {self._limits.cpu_s} s of CPU time")
        self._slow = 0
        try:
            answer = json.loads(raw)
            score = float(answer["score"]) if "score" in answer else None
            reason = str(answer.get("failed") or answer.get("closed") or "")
        except (ValueError, TypeError, AttributeError):
            raise PythonGraderError(f"it ended without a grade ({_how(code)})") from None
        if score is None:
            raise PythonGraderError(reason or "it gave no grade")
        if score != score or score in (float("inf"), float("-inf")):
            raise PythonGraderError(f"it returned {score}")
        return score


async def _talk(process: asyncio.subprocess.Process, request: bytes) -> tuple[bytes, int]:
    assert process.stdin is not None  # noqa: S101  # for the type checker: both are pipes
    assert process.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError, ConnectionResetError):  # it is dead already, and its end is what counts
        process.stdin.write(request)
        await process.stdin.drain()
        process.stdin.close()
    raw = b""
    while len(raw) <= _LONGEST_ANSWER and (piece := await process.stdout.read(_LONGEST_ANSWER)):
        raw += piece
    if len(raw) > _LONGEST_ANSWER:
        raise PythonGraderError(f"it wrote more than {_LONGEST_ANSWER} bytes where its grade belongs")
    return raw, await process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
