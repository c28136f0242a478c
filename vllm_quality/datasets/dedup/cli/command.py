"""`vllm-quality dedup`: files of rows, without their duplicates."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from vllm_quality.datasets.dedup.cli.options import DedupOptions

FINE, ALARM = 0, 1
_PIPE_WIDTH = 160
_FILES = click.Path(path_type=Path, dir_okay=False, exists=True)
_GUARDS = click.Choice(["strict", "usual", "lenient", "off"])


@click.command("dedup")
@click.argument("files", metavar="IN…", nargs=-1, required=True, type=_FILES)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the results; a new one.")
@click.option("--threshold", default="0.2", show_default=True, help="Near is below this share of the longer text.")
@click.option(
    "--policy", metavar="A:B=P", multiple=True, help="Of two sets: drop-a, drop-b, flag; flag or drop for all."
)
@click.option("--within", metavar="[A=]P", multiple=True, help="Within sets: drop or flag.  [default: drop]")
@click.option("--priority", metavar="A=N", multiple=True, help="The higher one keeps its row.  [default: by order]")
@click.option(
    "--role", metavar="A=ROLE", multiple=True, help="benchmark (is flag only), golden, regression or traffic."
)
@click.option("--guard", type=_GUARDS, help="How far a difference in meaning protects.  [default: usual, or by role]")
@click.option(
    "--most-removed",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Alarm where a set loses a larger share of its rows.",
)
@click.option("--format", metavar="F", help="rows (id and text), jsonl, openai_chat, …  [default: told from the rows]")
@click.option("--columns", metavar="LIST", help="Where rows have what: input=question,reference=answer.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of signatures and of the sample.")
@click.option(
    "--comparisons", type=click.IntRange(1), help="Most comparisons for the certificate.  [default: 30 million]"
)
@click.option(
    "--anonymise", is_flag=True, help="Replace personal data in all but ids first; key: VLLM_QUALITY_PII_KEY."
)
@click.option("--overwrite", is_flag=True, help="Replace the folder that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest instead of tables.")
def dedup(**typed: Any) -> int:
    """Remove exact and near duplicates from files IN, each a set named after it.

    Rows have id and text (JSON lines, JSON, CSV, parquet), or are of any format that data sets have. DIR gets kept.parquet,
    removed.parquet, pairs.parquet (every pair with what was decided and why) and manifest.json with a certificate of recall.
    Pairs that differ in meaning (numbers, negation, options, operators, …) are told, not removed.

    \b
    Exit codes:
      0  done
      1  done, but a set loses too much, or the certificate failed: look at the pairs
      2  the files or options cannot be used; nothing was written
    """
    from rich.console import Console

    from vllm_quality.datasets.dedup.cli.options import DedupOptions

    options = DedupOptions(**typed)
    return run_dedup(options, Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH))


def run_dedup(options: "DedupOptions", console: "Console") -> int:
    """Do what the options say, and print it; the exit code. Raises `DatasetError`, before anything is written."""
    import json

    from vllm_quality.datasets.catalogue.detect import parse_columns
    from vllm_quality.datasets.dedup.certificate import MOST_COMPARISONS
    from vllm_quality.datasets.dedup.cli.inputs import read_files
    from vllm_quality.datasets.dedup.cli.options import policy_from
    from vllm_quality.datasets.dedup.cli.outputs import whole_folder, write_outcome
    from vllm_quality.datasets.dedup.cli.summary import print_summary
    from vllm_quality.datasets.dedup.run import deduplicate
    from vllm_quality.datasets.dedup.threshold import Threshold
    from vllm_quality.datasets.progress import progress_bars

    threshold = Threshold.parse(options.threshold)
    policy = policy_from(options, [path.stem for path in options.files])
    policy.levels(path.stem for path in options.files)
    with (
        whole_folder(options.out, overwrite=options.overwrite) as folder,
        tempfile.TemporaryDirectory(prefix=".work-", dir=folder) as work,
        progress_bars(console) as progress,
    ):
        rows = read_files(
            options.files,
            Path(work),
            wanted=options.format,
            columns=parse_columns(options.columns),
            clean=_cleaner if options.anonymise else None,
            progress=progress,
        )
        outcome = deduplicate(
            rows.corpus,
            policy,
            threshold,
            seed=options.seed,
            comparisons=options.comparisons or MOST_COMPARISONS,
            progress=progress,
        )
        manifest = write_outcome(folder, rows, policy, outcome)
    if options.as_json:
        click.echo(json.dumps(manifest, ensure_ascii=False, indent=1))
    else:
        print_summary(console, rows, policy, outcome, options.out)
    return ALARM if outcome.alarms or outcome.certificate.verdict == "fail" else FINE


def _cleaner(dataset: str) -> Any:
    """What replaces personal data in a row of a set: in all its strings but its id."""
    from vllm_quality.datasets.pii.anonymiser import build_anonymiser
    from vllm_quality.settings import load_settings

    anonymiser = build_anonymiser(load_settings().pii_key, dataset)

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return anonymiser.text(value)[0]
        if isinstance(value, list):
            return [clean(one) for one in value]
        if isinstance(value, dict):
            return {clean(name): one if name == "id" else clean(one) for name, one in value.items()}
        return value

    return clean
