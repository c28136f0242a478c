"""A comparison as a person reads it."""

from typing import TYPE_CHECKING

from vllm_quality.report.moved import moved_rows
from vllm_quality.verdict.compare.outcome import Compared, Comparison

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COLOURS = {"pass": "green", "better": "green", "worse": "red"}  # what could not be told is yellow
_MOST_SLICES = 10
_MOST_FLIPPED = 10


def show(console: "Console", found: Comparison) -> None:
    """Print the metrics, the worst slices, the items that lost most, what moved, and the verdict."""
    from rich.text import Text

    console.print(Text(f"{found.baseline} → {found.candidate}\n"), soft_wrap=True)
    console.print(_table(found.metrics))
    if found.slices:
        console.print(Text("\nWorst slices", "bold"))
        console.print(_table(found.slices[:_MOST_SLICES]))
    if found.flipped:
        console.print(Text("\nItems that lost most", "bold"))
        for flip in found.flipped[:_MOST_FLIPPED]:
            console.print(Text(f"{flip.item}: {flip.baseline:g} → {flip.current:g} ({flip.metric})"), soft_wrap=True)
    if found.moved:
        console.print(Text("\nWhat else has changed in the answers; nothing is worse for it", "bold"))
        for row in moved_rows(found.moved):
            console.print(Text(f"{row.place}, {row.title} {row.values} ({row.change})"), soft_wrap=True)
    console.print(Text(f"\n{found.verdict.replace('_', ' ')}", f"bold {_COLOURS.get(found.verdict, 'yellow')}"))


def _table(rows: "tuple[Compared, ...]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("metric", overflow="fold")
    for heading in ("n", "before", "now", "change", "95 % interval", "p", "would show"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in rows:
        value, change, size = (".4g", "+.1%", ".1%") if row.relative else (".4f", "+.4f", ".4f")
        ends = _number(row.ci_low, change), _number(row.ci_high, change)
        table.add_row(
            Text(row.name),
            f"{row.n:,}" if row.n else "",
            _number(row.baseline, value),
            _number(row.current, value),
            _number(row.effect, change),
            " … ".join(ends) if all(ends) else "",
            _number(row.p_adjusted, ".2g"),
            _number(row.mde, size),
            Text(row.verdict.replace("_", " "), _COLOURS.get(row.verdict, "yellow")),
            Text(row.reason),
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form).replace("%", " %")
