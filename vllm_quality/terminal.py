"""What a person sees in the terminal: live progress of a run, its verdict as a table."""

import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vllm_quality.eval.table import suite_table
from vllm_quality.evaluation import Evaluation, evaluate, open_instance
from vllm_quality.report.moved import moved_rows
from vllm_quality.report.units import human_change, scale_for
from vllm_quality.settings import load_settings
from vllm_quality.verdict.repeats import REPEAT_WORDS
from vllm_quality.verdict.types import Finding, Verdict

_MARKS = {"running": "[cyan]●[/]", "done": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[dim]–[/]"}
_PIPE_WIDTH = 140
_MOST_MOVED = 5  # the report has them all
_COLOURS = {"pass": "green", "better": "green", "worse": "red"}  # what could not be told is yellow


@dataclass
class _Step:
    state: str
    started: float
    ended: float | None = None
    note: str = ""


class _RunView:
    """The steps of a run as its event log tells them."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self._instance, self._run_id = instance, run_id
        self._steps: dict[str, _Step] = {}
        self._seen = 0

    def update(self) -> None:
        entries = self._instance.all_logs(self._run_id)
        for entry in entries[self._seen :]:
            self._take(entry)
        self._seen = len(entries)

    def _take(self, entry: dg.EventLogEntry) -> None:
        key = entry.step_key
        if key is None:
            return
        event = entry.dagster_event
        if event is None:
            if key in self._steps:
                self._steps[key].note = entry.user_message.partition("\n")[0]
        elif event.event_type is dg.DagsterEventType.STEP_START:
            self._steps[key] = _Step("running", entry.timestamp)
        elif event.event_type is dg.DagsterEventType.STEP_SKIPPED:
            self._steps[key] = _Step("skipped", entry.timestamp, entry.timestamp, "an earlier step failed")
        elif key in self._steps and event.event_type in (
            dg.DagsterEventType.STEP_SUCCESS,
            dg.DagsterEventType.STEP_FAILURE,
        ):
            step = self._steps[key]
            step.state = "done" if event.event_type is dg.DagsterEventType.STEP_SUCCESS else "failed"
            step.ended = entry.timestamp

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table.grid(padding=(0, 2))
        steps = dict(self._steps)
        room = max(0, options.max_width - max(map(len, steps), default=0) - 20)
        for name, step in steps.items():
            seconds = (step.ended or time.time()) - step.started
            mark, note = Text.from_markup(_MARKS[step.state]), Text(step.note[:room], "dim", no_wrap=True)
            table.add_row(mark, Text(name, no_wrap=True), Text(f"{seconds:.1f} s", justify="right", no_wrap=True), note)
        yield table


@contextmanager
def live_progress(console: Console, instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Show the steps of a run while the block executes it; on a pipe, only the final state."""
    view = _RunView(instance, run_id)
    stop = threading.Event()

    def follow() -> None:
        while not stop.wait(0.4):
            view.update()

    thread = threading.Thread(target=follow, name="progress", daemon=True)
    with Live(view, console=console, refresh_per_second=4, auto_refresh=console.is_terminal):
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            view.update()
    console.print()


def open_console() -> Console:
    """The terminal; on a pipe, wide enough that no line of a table is broken."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def verdict_table(verdict: Verdict) -> Table:
    """Every judged metric, worst first."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("metric", overflow="fold")
    for heading in ("current", "baseline", "change", "limit"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for finding in verdict.worst:
        scale = scale_for(finding.metric, finding.unit, (finding.current, finding.baseline))
        table.add_row(
            finding.metric,
            scale.text(finding.current),
            scale.text(finding.baseline),
            human_change(finding.change),
            "" if finding.limit is None else f"{finding.limit:.0%}",
            Text(_ended(finding), _COLOURS.get(finding.status, "yellow")),
        )
    return table


def _ended(finding: Finding) -> str:
    how = ("drift" if finding.detector == "drift" else "", REPEAT_WORDS.get(finding.repeat, ""))
    return ", ".join(filter(None, (finding.status.replace("_", " "), *how)))


def moved_lines(verdict: Verdict) -> list[Text]:
    """What else moved, a line per signal."""
    return [
        Text(f"Also moved: {row.place}, {row.title} {row.values} ({row.change})")
        for row in moved_rows(verdict.moved)[:_MOST_MOVED]
    ]


def watch_evaluation(console: Console, tag: str, overrides: Mapping[str, str], *, resume: bool = False) -> Evaluation:
    """Evaluate a tag (see `evaluation.evaluate`) with live progress, then print how it ended."""
    run_id = str(uuid.uuid4())
    with open_instance(load_settings(**overrides)) as instance:
        with live_progress(console, instance, run_id):
            evaluation = evaluate(instance, tag, overrides=overrides, dagster_run_id=run_id, resume=resume)
        print_evaluation(console, evaluation)
    return evaluation


def print_evaluation(console: Console, evaluation: Evaluation) -> None:
    """The outcome of an evaluation: its suites, what was judged, the verdict, where the report is."""
    if evaluation.suites:
        console.print(suite_table(evaluation.suites))
        console.print()
    if evaluation.verdict is not None:
        console.print(verdict_table(evaluation.verdict))
        console.print()
        status = evaluation.verdict.status
        console.print(
            Text(f"{evaluation.model_tag}: {status.replace('_', ' ')}", f"bold {_COLOURS.get(status, 'yellow')}"),
            Text(evaluation.verdict.summary),
        )
        for line in moved_lines(evaluation.verdict):
            console.print(line)
    if evaluation.error is not None:
        where = f" at {evaluation.failed_step}" if evaluation.failed_step else ""
        console.print(Text(f"{evaluation.model_tag}: failed{where}. {evaluation.error}", "red"))
    if evaluation.card_error is not None:
        console.print(Text(f"The card was not delivered. {evaluation.card_error}", "red"))
    if evaluation.report is not None:
        console.print(Text(f"Report: {evaluation.report}"), soft_wrap=True)
