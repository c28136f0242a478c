"""What a person sees of a deduplication."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vllm_quality.datasets.dedup.cli.inputs import Rows
from vllm_quality.datasets.dedup.policy import Policy
from vllm_quality.datasets.dedup.run import Deduplication

_COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow"}


def print_summary(console: Console, rows: Rows, policy: Policy, outcome: Deduplication, out: Path) -> None:
    """The sets, what was found in them, and what to look at."""
    console.print(_table(rows, policy, outcome))
    console.print()
    bad = [(source.path.name, row) for source in rows.sets for row in source.quarantined]
    if bad:
        name, row = bad[0]
        total = sum(source.bad_rows for source in rows.sets)
        console.print(
            Text(f"{total:,} rows were left out, such as {name} row {row.line}, which {row.why}.", "yellow"),
            soft_wrap=True,
        )
    certificate = outcome.certificate
    console.print(Text(certificate.sentence, _COLOURS[certificate.verdict]), soft_wrap=True)
    if outcome.method["incomplete"] is not None:
        console.print(Text(str(outcome.method["incomplete"]), "yellow"), soft_wrap=True)
    contaminated = outcome.contamination.select("golden_set", "golden_id").n_unique()
    if contaminated:
        console.print(Text(f"{contaminated:,} goldens are in a benchmark, too.", "yellow"), soft_wrap=True)
    for alarm in outcome.alarms:
        console.print(Text(f"Alarm: {alarm}", "red"), soft_wrap=True)
    console.print(Text(f"Written: {out}"), soft_wrap=True)


def _table(rows: Rows, policy: Policy, outcome: Deduplication) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("set", overflow="fold")
    table.add_column("role")
    for heading in ("rows", "unusable", "exact", "near", "kept", "flagged", "held back"):
        table.add_column(heading, justify="right", no_wrap=True)
    for source in rows.sets:
        counts = outcome.sets[source.name]
        numbers = (
            source.rows,
            source.bad_rows,
            counts.exact,
            counts.near,
            counts.kept,
            counts.flagged,
            counts.held_back,
        )
        table.add_row(Text(source.name), policy.roles.get(source.name, "–"), *(f"{number:,}" for number in numbers))
    return table
