"""What a load test prints when it is over: a row per stage, what was found, whether to believe it, where the files are."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vllm_quality.load.output.page_tables import stage_rows
from vllm_quality.load.output.summary import error_table
from vllm_quality.load.output.words import requests_words
from vllm_quality.load.result import LoadResult

_HEADINGS = (
    "req/s",
    "tok/s",
    "TTFT p50",
    "p90",
    "p99",
    "TPOT p50",
    "p99",
    "ITL p99",
    "latency p50",
    "p99",
    "goodput",
)
# Of the headings, those of a terminal that has not room for all: rates, TTFT p50 and p99, TPOT p50, goodput.
_NARROW = (0, 1, 2, 4, 5, 10)
_WIDE = 125
_MOST_ERRORS = 5


def result_table(result: LoadResult, width: int = _WIDE) -> Table:
    """A row per stage, of the whole stage; the figures that fit into so many columns of text, the most asked for first.

    Goodput only where the scenario has an SLO.
    """
    with_goodput = any(stage.whole.goodput is not None for stage in result.stages)
    shown = [
        (index, heading)
        for index, heading in enumerate(_HEADINGS)
        if (width >= _WIDE or index in _NARROW) and (with_goodput or heading != "goodput")
    ]
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=width < _WIDE)
    table.add_column("stage", no_wrap=True)
    for heading in ("ok", "failed", *(heading for _, heading in shown)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in stage_rows(result.stages):
        failed = Text(f"{row.failed:,}", "red" if row.failed else "")
        table.add_row(row.name, f"{row.sent - row.failed:,}", failed, *(row.cells[index][0] for index, _ in shown))
    return table


def print_result(console: Console, result: LoadResult, files: Iterable[Path] = ()) -> None:
    """The table; then errors, plateau, capacity, what is wrong with the figures, and the files."""
    if result.stages:
        console.print(result_table(result, console.width))
        console.print()
    console.print(Text(requests_words(result)), soft_wrap=True)
    for error in error_table(result.requests)[:_MOST_ERRORS]:
        said = f": {error['text']}" if error["text"] else ""
        console.print(Text(f"  {error['count']:,} × {error['class']} in {error['stage']}{said}", "red"), soft_wrap=True)
    for found in (result.plateau, result.capacity):
        if found is not None:
            console.print(Text(found.sentence, "bold"), soft_wrap=True)
    for stage in result.stages:
        if stage.server is not None and stage.server.disagreement is not None:
            console.print(Text(f"{stage.name}: {stage.server.disagreement}", "yellow"), soft_wrap=True)
    if result.problem is not None:
        colour = "bold red" if not any(stage.whole.ok for stage in result.stages) else "bold yellow"
        console.print(Text(f"Not to be compared. {result.problem}", colour), soft_wrap=True)
    if result.interrupted:
        console.print(Text("Interrupted: the figures are of what was sent until then.", "bold yellow"))
    for path in files:
        if path.name in _NAMES:
            console.print(Text(f"{_NAMES[path.name]}: {path}"), soft_wrap=True)


# The others of the folder need no line of their own.
_NAMES = {"summary.json": "Figures", "report.html": "Report", "requests.parquet": "Requests", "tape": "Tape"}
