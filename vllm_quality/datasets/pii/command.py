"""`vllm-quality anonymise`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from vllm_quality.datasets.pii.anonymise import Anonymised
    from vllm_quality.datasets.pii.anonymiser import Anonymiser

_PIPE_WIDTH = 160
_MOST_SHOWN = 10


@click.command("anonymise")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File: .jsonl, .json, .csv or .parquet.")
@click.option("--format", metavar="F", help="sharegpt, openai_chat, alpaca, …  [default: told from the rows]")
@click.option("--dataset", metavar="NAME", help="Pseudonyms are equal within it.  [default: IN's name]")
def anonymise_command(source: Path, out: Path, format: str | None, dataset: str | None) -> int:
    """Replace personal data and secrets in the rows of IN: every string of rows with `id` and `text`, or of any format.

    With VLLM_QUALITY_PII_KEY equal values get equal pseudonyms, such as <PHONE_k7q2mwx3ab>; without it all become <PHONE>.
    What was found in a row is listed in its field `entities`: type, field, and place in the text as it was; never the value.
    """
    from rich.console import Console

    from vllm_quality.datasets.formats import FORMATS
    from vllm_quality.datasets.pii.anonymise import anonymise_file
    from vllm_quality.datasets.pii.anonymiser import build_anonymiser
    from vllm_quality.datasets.progress import progress_bars
    from vllm_quality.settings import load_settings

    known = next((name for name in FORMATS if name == format), None)
    if format is not None and known is None:
        raise click.UsageError(f"--format is {format!r}; it can be {', '.join(FORMATS)}.")
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    anonymiser = build_anonymiser(load_settings().pii_key, dataset or source.stem)
    with progress_bars(console) as progress:
        done = anonymise_file(source, out, anonymiser, known, progress)
    _print_summary(console, out, done, anonymiser)
    return 0


def _print_summary(console: "Console", out: Path, done: "Anonymised", anonymiser: "Anonymiser") -> None:
    from rich.table import Table

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)

    say(f"{done.rows:,} rows written to {out}; something was found in {done.touched:,} of them.")
    if done.bad_rows:
        say(f"{done.bad_rows:,} rows were left out:", "yellow")
        for bad in done.listed[:_MOST_SHOWN]:
            say(f"  {bad.file} row {bad.line} {bad.why}", "yellow")
        if done.bad_rows > _MOST_SHOWN:
            say(f"  and {done.bad_rows - _MOST_SHOWN:,} more", "yellow")
    if done.entities:
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("replaced")
        table.add_column("times", justify="right")
        for kind, count in done.entities.most_common():
            table.add_row(kind, f"{count:,}")
        console.print(table)
    about = anonymiser.about
    key = (
        f" under the key {about['key_fingerprint']}"
        if about["key_fingerprint"]
        else "; VLLM_QUALITY_PII_KEY is not set"
    )
    say(f"By {about['replaced_by']}{key}. {about['rules']}.")
    say(about["not_found_by_rules"])
