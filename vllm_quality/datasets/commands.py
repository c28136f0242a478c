"""`vllm-quality datasets …`: what the command line says, handed to `catalogue/`."""

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from vllm_quality.datasets.catalogue.adding import SourceOptions

_PIPE_WIDTH = 200
_FILES = click.Path(path_type=Path, dir_okay=False, exists=True)
_ROLES = click.Choice(["benchmark", "golden", "regression", "traffic"])


def _described(command: Any) -> Any:
    """The options that say what a data set is."""
    options = (
        click.option("--format", metavar="F", help="jsonl, openai_chat, sharegpt, …  [default: told from the rows]"),
        click.option(
            "--columns", metavar="LIST", help="Where rows have what: input=question,reference=answer,metadata=a+b"
        ),
        click.option("--language", metavar="CODE", help="Such as ko, en or mul.  [default: told from the text]"),
        click.option("--description", default="", help="One sentence about the set."),
        click.option(
            "--priority", type=int, default=0, help="Of two equal items, the set with the higher one keeps its own."
        ),
        click.option(
            "--pii", type=click.Choice(["anonymise", "redact", "keep"]), help="Personal data.  [default: by role]"
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("list")
@click.option("--snapshots", is_flag=True, help="List frozen snapshots instead of sets.")
def list_command(snapshots: bool) -> int:
    """List the registered data sets: packaged, in the object store, and in VLLM_QUALITY_DATASETS_DIR."""
    from vllm_quality.datasets.catalogue.listing import list_sets, list_stored_snapshots
    from vllm_quality.settings import load_settings

    return (list_stored_snapshots if snapshots else list_sets)(load_settings(), _console())


@click.command("show")
@click.argument("name", metavar="NAME|SNAPSHOT")
def show_command(name: str) -> int:
    """Show a data set (its first items anonymised, its bad rows by reason) or a snapshot by its hash."""
    from vllm_quality.datasets.catalogue.showing import show
    from vllm_quality.settings import load_settings

    return show(load_settings(), name, _console())


@click.command("add")
@click.argument("name")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=_FILES)
@click.option("--role", type=_ROLES, default="golden", show_default=True, help="What it is for.")
@click.option("--licence", required=True, help="Such as CC-BY-4.0 or internal.")
@_described
def add_command(name: str, paths: tuple[Path, ...], **given: Any) -> int:
    """Register files as the data set NAME in VLLM_QUALITY_DATASETS_DIR, after reading all of their rows."""
    from vllm_quality.datasets.catalogue.adding import add_set
    from vllm_quality.settings import load_settings

    return add_set(load_settings(), name, paths, _options(**given), _console())


@click.command("import")
@click.argument("name")
@click.argument("sources", metavar="[FILE…]", nargs=-1, type=_FILES)
@click.option("--from-queries", "day", type=click.DateTime(["%Y-%m-%d"]), help="Take a frozen day of service queries.")
@click.option("--lm-eval", "task", metavar="TASK", help="Take the documents of an lm-eval task.")
@click.option("--role", type=_ROLES, help="[default: golden; regression with --from-queries, benchmark with --lm-eval]")
@click.option("--licence", help="Needed, but for --from-queries.")
@click.option("--sample", type=click.IntRange(1), help="Take so many rows, drawn by a hash of their content.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of --sample.")
@_described
def import_command(
    name: str,
    sources: tuple[Path, ...],
    day: dt.datetime | None,
    task: str | None,
    sample: int | None,
    seed: int,
    **given: Any,
) -> int:
    """Store rows as the shared data set NAME in VLLM_QUALITY_OBJECTS_URL: anonymised, in one schema.

    A set that is there already gets its next version; snapshots that were frozen before stay as they are.
    """
    from vllm_quality.datasets.catalogue.import_command import run_import
    from vllm_quality.datasets.description import Sample
    from vllm_quality.settings import load_settings

    if (bool(sources), day is not None, task is not None).count(True) != 1:
        raise click.UsageError("Give files, --from-queries or --lm-eval, and only one of them.")
    given["role"] = given["role"] or ("regression" if day else "benchmark" if task else "golden")
    given["licence"] = given["licence"] or ("internal" if day else None)
    if given["licence"] is None:
        raise click.UsageError("Give --licence, such as CC-BY-4.0 or internal.")
    drawn = Sample(size=sample, seed=seed) if sample else None
    return run_import(
        load_settings(),
        name,
        _options(**given),
        drawn,
        _console(),
        paths=sources,
        day=day.date() if day else None,
        task=task,
    )


@click.command("freeze")
def freeze_command() -> int:
    """Freeze all registered data sets into a snapshot, as an evaluation does, and show it."""
    from vllm_quality.datasets.catalogue.freezing import run_freeze
    from vllm_quality.settings import load_settings

    return run_freeze(load_settings(), _console())


COMMANDS = (list_command, show_command, add_command, import_command, freeze_command)


def _console() -> "Console":
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _options(**given: Any) -> "SourceOptions":
    from vllm_quality.datasets.catalogue.adding import SourceOptions
    from vllm_quality.datasets.formats import FORMATS

    if given["format"] not in (None, *FORMATS):
        raise click.UsageError(f"--format is {given['format']!r}; it can be {', '.join(FORMATS)}.")
    return SourceOptions(**given)
