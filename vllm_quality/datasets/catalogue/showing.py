"""A data set or a stored snapshot, for a person."""

import re
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vllm_quality.datasets.catalogue.importing import read_record
from vllm_quality.datasets.catalogue.listing import find_set
from vllm_quality.datasets.catalogue.tally import print_reasons, tally
from vllm_quality.datasets.examples import short
from vllm_quality.datasets.manifest import Counts, Manifest
from vllm_quality.datasets.pii.anonymiser import Anonymiser, build_anonymiser
from vllm_quality.datasets.progress import progress_bars
from vllm_quality.datasets.reading import iterate_set
from vllm_quality.datasets.registry import RegisteredSet
from vllm_quality.datasets.schema import DatasetError, Item
from vllm_quality.datasets.snapshot import list_snapshots, read_manifest
from vllm_quality.datasets.spool import spool_folder
from vllm_quality.datasets.stored_sets import StoredSet
from vllm_quality.results.objects import ObjectStore, open_objects
from vllm_quality.settings import Settings

_SHOWN_ITEMS = 5
_HASH = re.compile(r"[0-9a-f]{8,64}")


def show(settings: Settings, name: str, console: Console) -> int:
    """Print what is known of a data set, or of the snapshot with this hash (or its beginning, 8 digits at least)."""
    objects = open_objects(settings)
    if _HASH.fullmatch(name) and (found := [one for one in list_snapshots(objects) if one.startswith(name)]):
        if len(found) > 1:
            raise DatasetError(f"{len(found)} snapshots begin with {name}; write more digits.")
        print_manifest(read_manifest(objects, found[0]), objects, console)
        return 0
    _show_set(find_set(settings, name, objects), settings, console)
    return 0


def print_manifest(manifest: Manifest, objects: ObjectStore, console: Console) -> None:
    """A snapshot: its sets stage by stage, how sure its deduplication is, what was removed."""
    when = (
        "" if manifest.built_at is None else f", frozen {manifest.built_at:%Y-%m-%d %H:%M} UTC by {manifest.built_by}"
    )
    console.print(Text(f"snapshot {manifest.hash}", "bold"))
    console.print(f"{manifest.items:,} items{when}\n{objects.url(manifest.files['items'].key)}\n", soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("set", "role", "language", "licence", "personal data"):
        table.add_column(heading, overflow="fold")
    stages = tuple(Counts.model_fields)
    for stage in stages:
        table.add_column(stage.replace("_", " "), justify="right")
    for name, entry in manifest.sets.items():
        counts = (f"{getattr(entry.counts, stage):,}" for stage in stages)
        table.add_row(name, entry.role, entry.language, entry.licence, _treated(entry.pii, entry.entities), *counts)
    console.print(table)
    for alarm in manifest.alarms:
        console.print(Text(alarm, "yellow"))
    if manifest.certificate is not None:
        console.print(f"\nsearch for near duplicates: {manifest.certificate.verdict}. {manifest.certificate.sentence}")
    if manifest.pairs:
        console.print("pairs: " + ", ".join(f"{count:,} {what}" for what, count in manifest.pairs.items()))
    for pair in manifest.examples:
        console.print(
            Text(f"  {pair.distance:.3f}  {pair.removed_from}: {pair.removed_text}", no_wrap=True, overflow="ellipsis"),
            Text(f"     for  {pair.kept_in}: {pair.kept_text}", "dim", no_wrap=True, overflow="ellipsis"),
            sep="\n",
        )


def _show_set(source: RegisteredSet, settings: Settings, console: Console) -> None:
    about = source.description
    console.print(Text(source.name, "bold"), Text(about.description))
    console.print(f"{about.role}, {about.language}, {about.format}, {about.licence}; personal data: {about.pii_policy}")
    console.print(source.where, soft_wrap=True)
    if isinstance(source, StoredSet) and (record := read_record(source.objects, source.folder)) is not None:
        console.print(
            f"imported {record.imported_at:%Y-%m-%d %H:%M} UTC by {record.imported_by} from {', '.join(record.origin)}",
            soft_wrap=True,
        )
    anonymiser = build_anonymiser(settings.pii_key, source.name)
    with spool_folder(settings.home / "work" / "spool") as work, progress_bars(console) as progress:
        found = tally(iterate_set(source, work), source.name, progress, keep=_SHOWN_ITEMS)
    console.print(f"{found.rows:,} rows, {found.reasons.total():,} of them cannot be used\n")
    print_reasons(found, console)
    for item in found.first:
        _print_item(anonymiser, item, console)


def _print_item(anonymiser: Anonymiser, item: Item, console: Console) -> None:
    cleaned, _ = anonymiser.item(item)
    console.print(Text(f"{item.source_file} row {item.source_line}", "dim"))
    console.print(Text(f"  {short(cleaned.input)}"))
    if cleaned.reference is not None:
        console.print(Text(f"  → {short(cleaned.reference)}", "green"))


def _treated(policy: str, entities: Mapping[str, int]) -> str:
    replaced = sum(entities.values())
    return f"{policy}, {replaced:,} replaced" if replaced else policy
