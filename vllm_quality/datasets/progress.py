"""How far long work has come: for a log, and as bars in a terminal."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[str, int, int], None]  # stage, done, of (0: not known)

_PAUSE_S = 2.0


def log_progress(log: logging.Logger) -> Progress:
    """Log "stage: done of total", at most every two seconds and at each stage's end: the event log is a database."""
    last, told = time.monotonic(), ""

    def report(stage: str, done: int, of: int) -> None:
        nonlocal last, told
        now, text = time.monotonic(), f"{stage}: {done:,}" + (f" of {of:,}" if of else "")
        if (now - last >= _PAUSE_S or done == of) and text != told:
            last, told = now, text
            log.info(text)

    return report


@contextmanager
def progress_bars(console: "Console") -> Iterator[Progress]:
    """A bar per stage while the block runs; nothing on a pipe."""
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, of: int) -> None:
            task = tasks.get(stage)
            if task is None:
                for earlier in tasks.values():
                    bars.stop_task(earlier)  # a stage begins when the one before has ended
                task = tasks[stage] = bars.add_task(stage, total=None)
            bars.update(task, completed=done, total=of or None)

        yield report
