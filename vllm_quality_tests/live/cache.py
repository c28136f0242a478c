"""Where the live tier keeps what it sets up, each part once: its recipe is what a part is made of, versions and all."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock
from filelock import Timeout as LockTimeoutError

VARIABLE = "VLLM_QUALITY_LIVE_CACHE"
_LONGEST_SETUP_S = 1200.0
_TAIL_LINES = 12

Command = Sequence[str | Path]


class Unavailable(Exception):  # noqa: N818 - a state of the machine, not a mistake
    """A part that cannot be had on this machine; its text says why."""


def cache_folder() -> Path:
    """The cache: VLLM_QUALITY_LIVE_CACHE, by default `vllm_quality_live` in the user's cache folder."""
    configured = os.environ.get(VARIABLE)
    if configured:
        return Path(configured).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vllm_quality_live"


def set_up(part: str, recipe: str, build: Callable[[Path], None]) -> Path:
    """The part's folder in the cache, built where it is missing, unfinished or of another recipe.

    Prints what it does and how long it took. Safe in several processes. Raises `Unavailable`.
    """
    folder = cache_folder() / part
    # A virtual environment stops working when its folder or its interpreter moves.
    wanted = "\n".join([str(folder), sys.base_prefix, platform.python_version(), recipe])
    stamp = folder / ".recipe"
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{folder}.lock", timeout=_LONGEST_SETUP_S):
            if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
                return folder
            say(f"{part}: setting up in {folder}")
            started = time.monotonic()
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            stamp.write_text(wanted, encoding="utf-8")
            say(f"{part}: set up in {time.monotonic() - started:.1f} s")
            return folder
    except LockTimeoutError:
        raise Unavailable(f"{part}: another process has been setting it up for {_LONGEST_SETUP_S:.0f} s") from None


def say(text: str) -> None:
    """One line for whoever watches."""
    print(f"live: {text}", flush=True)


def run(command: Command, *, timeout_s: float, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints. Raises `Unavailable` with the end of its output when it fails."""
    text = " ".join(shlex.quote(str(part)) for part in command)
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            env=child_environment(environment),
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"`{text}` did not end within {timeout_s:.0f} s") from None
    except OSError as error:
        raise Unavailable(f"`{text}` cannot be run: {error}") from None
    if done.returncode != 0:
        raise Unavailable(f"`{text}` failed with {done.returncode}:\n{tail(done.stdout)}")
    return done.stdout


def tail(output: str) -> str:
    """The last lines of a log."""
    return "\n".join(output.rstrip().splitlines()[-_TAIL_LINES:])


def child_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of what the live tier starts: this one without what belongs to this interpreter and its project."""
    kept = {
        name: value
        for name, value in os.environ.items()
        # PYTHONDONTWRITEBYTECODE would have vLLM's 5,000 modules compiled anew by each of its processes: 60 s a start.
        if not name.startswith(("VLLM_", "PYTHON")) and name != "VIRTUAL_ENV"
    }
    return kept | dict(more or {})
