"""The asset of evaluation data: what this release's answers are judged on, frozen."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import dagster as dg

from vllm_quality.datasets.freeze import Freezing, build_snapshot
from vllm_quality.datasets.manifest import Counts, Manifest, RemovedPair
from vllm_quality.datasets.pin import pin_snapshot, pinned_manifest, pinned_snapshot
from vllm_quality.datasets.progress import log_progress
from vllm_quality.datasets.registry import find_sets
from vllm_quality.deployment import step_tags
from vllm_quality.partitions import model_tags
from vllm_quality.results.objects import ObjectStore
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.settings import load_settings

_MOST_LOGGED = 20  # rows per data set; the quarantine has them all
_SETS = dg.TableSchema(
    [dg.TableColumn(name) for name in ("set", "role", "language", "licence", "personal_data")]
    + [dg.TableColumn(name, "int") for name in ("replaced", *Counts.model_fields)]
)
_PAIRS = dg.TableSchema(
    [
        dg.TableColumn("distance", "float"),
        *(dg.TableColumn(name) for name in RemovedPair.model_fields if name != "distance"),
    ]
)


@dg.asset(partitions_def=model_tags, group_name="datasets", kinds={"parquet", "polars"}, op_tags=step_tags("light"))
def evaluation_snapshot(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
    """Every registered data set in one schema, anonymised, duplicates removed, addressed by the hash of its content."""
    folder = results.run_folder(evaluation_id(context.instance, context.run))
    if pinned_snapshot(folder) is None:
        settings = load_settings()
        freezing = Freezing(
            work=settings.home / "work" / "spool",
            pii_key=settings.pii_key,
            by=f"run {context.run.run_id}",
            progress=log_progress(context.log),
        )
        pin_snapshot(folder, build_snapshot(find_sets(settings, folder.objects), folder.objects, freezing))
    manifest = pinned_manifest(folder)
    for row in (row for described in manifest.sets.values() for row in described.quarantined[:_MOST_LOGGED]):
        context.log.warning(f"Left out: {row.file}, line {row.line}: {row.why}")
    for alarm in manifest.alarms:
        context.log.warning(alarm)
    return dg.MaterializeResult(metadata=_metadata(manifest, folder.objects))


def _metadata(manifest: Manifest, objects: ObjectStore) -> dict[str, Any]:
    found = manifest.certificate
    return {
        "dagster/row_count": manifest.items,
        "snapshot": manifest.hash,
        "items_file": objects.url(manifest.files["items"].key),
        "bad_rows": manifest.bad_rows,
        "duplicates_removed": manifest.removed,
        "sets": dg.TableMetadataValue([dg.TableRecord(row) for row in _sets(manifest)], schema=_SETS),
        "removed_pairs": dg.TableMetadataValue(
            [dg.TableRecord(pair.model_dump()) for pair in manifest.examples], schema=_PAIRS
        ),
        "pairs": dict(manifest.pairs),
        "alarms": list(manifest.alarms),
        "certificate": {} if found is None else {name: str(value) for name, value in asdict(found).items()},
    }


def _sets(manifest: Manifest) -> Iterator[dict[str, str | int | float | bool | None]]:
    for name, described in manifest.sets.items():
        yield {
            "set": name,
            "role": described.role,
            "language": described.language,
            "licence": described.licence,
            "personal_data": described.pii,
            "replaced": sum(described.entities.values()),
            **described.counts.model_dump(),
        }
