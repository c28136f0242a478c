"""`vllm-quality datasets import`."""

import datetime as dt
import getpass
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vllm_quality.datasets.catalogue.adding import SourceOptions
from vllm_quality.datasets.catalogue.importing import Imported, Importing, import_set
from vllm_quality.datasets.catalogue.sources import from_files, from_queries, from_task
from vllm_quality.datasets.catalogue.tally import print_reasons, tally_bad
from vllm_quality.datasets.description import Sample
from vllm_quality.datasets.progress import progress_bars
from vllm_quality.results.objects import ObjectStore, open_objects
from vllm_quality.settings import Settings


def run_import(
    settings: Settings,
    name: str,
    options: SourceOptions,
    sample: Sample | None,
    console: Console,
    *,
    paths: Sequence[Path] = (),
    day: dt.date | None = None,
    task: str | None = None,
) -> int:
    """Import files, a day of queries or a task's documents, and tell what came of it. Raises `DatasetError`."""
    objects = open_objects(settings)
    if day is not None:
        what = from_queries(name, day, objects, options, sample)
    elif task is not None:
        what = from_task(name, task, settings, options, sample)
    else:
        what = from_files(name, paths, options, sample)
    with progress_bars(console) as progress:
        imported = import_set(
            what,
            objects,
            work=settings.home / "work" / "spool",
            by=getpass.getuser(),
            pii_key=settings.pii_key,
            progress=progress,
        )
    _summarise(what, imported, objects, console)
    return 0


def _summarise(what: Importing, imported: Imported, objects: ObjectStore, console: Console) -> None:
    record = imported.record
    left_out = [f"{record.bad_rows:,} cannot be used"] if record.bad_rows else []
    left_out += [f"{record.not_sampled:,} were not drawn"] if record.not_sampled else []
    told = f"{what.name}: {record.items:,} of {record.rows:,} rows stored"
    console.print(f"{told}; {', '.join(left_out)}" if left_out else told)
    console.print(f"{what.about.role}, {what.about.language}, {what.about.licence}, read as {what.about.format}")
    replaced = ", ".join(f"{count:,} {kind}" for kind, count in record.entities.items()) or "none found"
    kept = what.about.pii_policy == "keep"
    console.print("personal data: kept as they are" if kept else f"personal data replaced: {replaced}")
    where = objects.url(imported.folder)
    console.print(where if imported.is_new else f"{where} has all of this already; nothing was written", soft_wrap=True)
    print_reasons(tally_bad(imported.intake.listed), console)
