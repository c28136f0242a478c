"""What a person sees while a load test runs: a live table in a terminal or notebook, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vllm_quality.load.result import Snapshot
from vllm_quality.report.units import NONE, human_duration, scale_for

_TABLE_EVERY_S, _LINE_EVERY_S = 0.5, 5.0
_BAR = 30


@contextmanager
def live_view(console: Console) -> Iterator[Callable[[Snapshot], None]]:
    """A callback that shows each snapshot it is given; drawing is kept rare, since the clock is running."""
    if not (console.is_terminal or console.is_jupyter):
        lines = Lines(console)
        try:
            yield lines.show
        finally:
            lines.end()
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        drawn = -_TABLE_EVERY_S

        def show(snapshot: Snapshot) -> None:
            nonlocal drawn
            if monotonic() - drawn >= _TABLE_EVERY_S:
                drawn = monotonic()
                live.update(live_table(snapshot), refresh=True)

        yield show


class Lines:
    """A line every few seconds of each part of a run, and one for how the part ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: Snapshot | None = None
        self._told: Snapshot | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Print the lines that are due."""
        last = self._last
        if last is not None and (last.part, last.part_number) != (snapshot.part, snapshot.part_number):
            self.end()
            self._told = None
        self._last = snapshot
        if snapshot.elapsed_s - (self._told.elapsed_s if self._told else 0.0) >= _LINE_EVERY_S:
            self._tell(snapshot)

    def end(self) -> None:
        """Print how the last part ended."""
        if self._last is not None and self._last is not self._told:
            self._tell(self._last)

    def _tell(self, snapshot: Snapshot) -> None:
        self._told = snapshot
        self._console.print(Text(line(snapshot)), soft_wrap=True)


def line(snapshot: Snapshot) -> str:
    """The snapshot in one line."""
    parts = [
        heading(snapshot),
        _seconds(snapshot.elapsed_s),
        progress(snapshot),
        f"{snapshot.in_flight:,} in flight",
        f"{snapshot.requests_per_s:.1f} req/s",
    ]
    if snapshot.output_tokens_per_s:
        parts.append(f"{snapshot.output_tokens_per_s:,.0f} tok/s")
    for name, low, high in _latencies(snapshot):
        if low != NONE:
            parts.append(f"{name} p50 {low} p99 {high}")
    failed = failures(snapshot)
    return ", ".join([*parts, *([f"failed: {failed}"] if failed else [])])


def heading(snapshot: Snapshot) -> str:
    """Which part of the run this is: "concurrency-8 (2 of 3)"."""
    if snapshot.parts is None or snapshot.parts < 2:
        return snapshot.part
    return f"{snapshot.part} ({snapshot.part_number} of {snapshot.parts})"


def progress(snapshot: Snapshot) -> str:
    """How far it is: "120 of 400 done", or only how many where time ends it."""
    return f"{snapshot.done:,} done" if snapshot.planned is None else f"{snapshot.done:,} of {snapshot.planned:,} done"


def failures(snapshot: Snapshot) -> str:
    """The failures so far by class, the most frequent first: "timeout 3, http_error 1"; empty without any."""
    bad = {name: count for name, count in snapshot.by_outcome.items() if name != "ok" and count}
    return ", ".join(f"{name} {count:,}" for name, count in sorted(bad.items(), key=lambda item: (-item[1], item[0])))


def live_table(snapshot: Snapshot) -> Table:
    """The snapshot as a small table."""
    table = Table.grid(padding=(0, 2))
    table.add_row(Text(heading(snapshot), "bold cyan"), Text(f"{_seconds(snapshot.elapsed_s)}, {progress(snapshot)}"))
    if snapshot.planned:
        filled = round(_BAR * min(1.0, snapshot.done / snapshot.planned))
        table.add_row("", Text.assemble(("━" * filled, "green"), ("━" * (_BAR - filled), "dim")))
    rates = f"{snapshot.requests_per_s:.1f} req/s, {snapshot.output_tokens_per_s:,.0f} tok/s"
    table.add_row("rate", Text(f"{rates}, {snapshot.in_flight:,} in flight"))
    for name, low, high in _latencies(snapshot):
        table.add_row(name, Text(f"p50 {low}, p99 {high}, of the last seconds"))
    failed = failures(snapshot)
    table.add_row("failed", Text(failed or "none", "red" if failed else "green"))
    if snapshot.lag_p99_s is not None:
        table.add_row("client", Text(f"late by {snapshot.lag_p99_s * 1000:.1f} ms (p99)", "dim"))
    return table


def _latencies(snapshot: Snapshot) -> list[tuple[str, str, str]]:
    told = []
    for name, low, high in (
        ("TTFT", snapshot.ttft_p50_s, snapshot.ttft_p99_s),
        ("TPOT", snapshot.tpot_p50_s, snapshot.tpot_p99_s),
    ):
        scale = scale_for("", "s", (low, high))
        told.append((name, scale.text(low), scale.text(high)))
    return told


def _seconds(elapsed_s: float) -> str:
    return f"{elapsed_s:.0f} s" if elapsed_s < 60 else human_duration(elapsed_s)
