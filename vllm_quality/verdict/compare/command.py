"""`vllm-quality compare`: the verdict on two releases as a table, or as JSON."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from vllm_quality.results.database import ResultStore
from vllm_quality.settings import load_settings
from vllm_quality.verdict.compare.comparison import Compared, Comparison, compare
from vllm_quality.verdict.compare.scores import CompareError
from vllm_quality.verdict.compare.stored import find_scores
from vllm_quality.verdict.statistics.decide import Rule

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COLOURS = {"pass": "green", "better": "green", "worse": "red"}  # what could not be told is yellow
_MOST_SLICES = 10


def run_compare(
    console: "Console",
    baseline: str,
    candidate: str,
    *,
    alpha: float,
    matters: float,
    budget: float,
    as_json: bool,
) -> int:
    """Compare what the two names stand for and print it; the exit code (see `Comparison`). Raises `CompareError`."""
    if budget >= matters:
        raise CompareError(f"--budget {budget:g} is not below --matters {matters:g}; accept less than what matters.")
    store = ResultStore(load_settings().results)
    found = compare(find_scores(baseline, store), find_scores(candidate, store), Rule(alpha, matters, budget))
    if as_json:
        console.file.write(json.dumps(asdict(found), ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    else:
        _show(console, found)
    return found.exit_code


def _show(console: "Console", found: Comparison) -> None:
    from rich.text import Text

    console.print(_table(found.metrics))
    if found.slices:
        console.print(Text("\nWorst slices", "bold"))
        console.print(_table(found.slices[:_MOST_SLICES]))
    if found.flipped:
        console.print(Text("\nItems that lost most", "bold"))
        for flip in found.flipped[:_MOST_SLICES]:
            console.print(Text(f"{flip.item}: {flip.baseline:g} → {flip.current:g} ({flip.metric})"), soft_wrap=True)
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
        interval = "" if row.ci_low is None or row.ci_high is None else f"{row.ci_low:+.4f} … {row.ci_high:+.4f}"
        table.add_row(
            Text(row.name),
            f"{row.n:,}" if row.n else "",
            _number(row.baseline, ".4f"),
            _number(row.current, ".4f"),
            _number(row.effect, "+.4f"),
            interval,
            _number(row.p_adjusted, ".2g"),
            _number(row.mde, ".4f"),
            Text(row.verdict.replace("_", " "), _COLOURS.get(row.verdict, "yellow")),
            Text(row.reason),
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
