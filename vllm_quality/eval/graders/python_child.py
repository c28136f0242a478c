"""The process in which a python grader runs: it shuts itself in, calls `grade(sample, item)` once, and says what came of it.

Reads one JSON object from standard input, writes one to standard output: {"score": …}, {"failed": …} or {"closed": …} (where
it could not be shut in, and nothing was run).
"""

import json
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, SupportsFloat

from vllm_quality.eval.graders.landlock import fence
from vllm_quality.eval.graders.seccomp import install_filter

_NOBODY = 65534
_FILE_BYTES = 64 * 1024 * 1024
_OPEN_FILES = 64
_LONGEST_REASON = 300


def main() -> None:
    """Grade, and leave without waiting for anything that the grader left behind."""
    request = json.load(sys.stdin)
    answer_to = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    _limit(request["cpu_s"], request["memory_bytes"])
    _give_up_root()
    fence(str(Path.cwd()))
    answer = _grade(request) if install_filter() else {"closed": "this system has no seccomp filter"}
    os.write(answer_to, json.dumps(answer).encode())
    os._exit(0)


def _limit(cpu_s: int, memory_bytes: int) -> None:
    for what, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _give_up_root() -> None:
    """Where the evaluation runs as root, the grader does not, unless it could then not read Python's own library."""
    if os.geteuid() != 0 or not all(_open_to_all(place) for place in (os.__file__, __file__, json.__file__)):
        return
    os.chown(".", _NOBODY, _NOBODY)
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)


def _open_to_all(file: str) -> bool:
    path = Path(file).resolve()
    return bool(path.stat().st_mode & 0o004) and all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _grade(request: Mapping[str, Any]) -> dict[str, object]:
    try:
        space: dict[str, Any] = {"__name__": "grader"}
        exec(compile(request["source"], "<grader>", "exec"), space)  # noqa: S102  # this is what the process is for
        found = space["grade"](request["sample"], request["item"])
        if not isinstance(found, SupportsFloat):  # numpy's numbers count, texts do not
            return {"failed": f"it returned {type(found).__name__}, no number"}
        return {"score": float(found)}
    except MemoryError:
        return {"failed": "it needs more memory than it may have"}
    except BaseException as error:
        if isinstance(error, PermissionError | BlockingIOError):
            return {
                "failed": f"it tried what a grader may not do (network, processes or files: {error})"[:_LONGEST_REASON]
            }
        return {"failed": " ".join(f"it raised {type(error).__name__}: {error}".split())[:_LONGEST_REASON]}


if __name__ == "__main__":
    main()
