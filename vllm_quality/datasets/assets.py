"""The asset of evaluation data: what this release's answers are judged on, frozen."""

import dagster as dg

from vllm_quality.datasets.manifest import Manifest
from vllm_quality.datasets.pin import pin_snapshot, pinned_snapshot
from vllm_quality.datasets.registry import find_sets
from vllm_quality.datasets.snapshot import build_snapshot, items_key, read_manifest
from vllm_quality.deployment import step_tags
from vllm_quality.partitions import model_tags
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.settings import load_settings

_MOST_LOGGED = 20  # rows per data set; the manifest has them all
_TABLE = dg.TableSchema(
    [dg.TableColumn(name) for name in ("set", "role", "language")]
    + [dg.TableColumn(name, "int") for name in ("rows", "items", "duplicates", "bad_rows")]
)


@dg.asset(partitions_def=model_tags, group_name="datasets", kinds={"parquet", "polars"}, op_tags=step_tags("light"))
def evaluation_snapshot(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
    """Every registered data set in one schema, exact duplicates removed, addressed by the hash of its content."""
    folder = results.run_folder(evaluation_id(context.instance, context.run))
    pinned = pinned_snapshot(folder)
    if pinned is None:
        pinned = pin_snapshot(folder, build_snapshot(find_sets(load_settings()), folder.objects).hash)
    manifest = read_manifest(folder.objects, pinned)
    for row in (row for described in manifest.sets.values() for row in described.quarantined[:_MOST_LOGGED]):
        context.log.warning(f"Left out: {row.file}, line {row.line}: {row.why}")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": manifest.items,
            "snapshot": manifest.hash,
            "items_file": folder.objects.url(items_key(manifest.hash)),
            "exact_duplicates_removed": manifest.exact_duplicates,
            "near_duplicate_pairs": manifest.near_duplicates.pair_count,
            "bad_rows": manifest.bad_rows,
            "sets": _table(manifest),
        }
    )


def _table(manifest: Manifest) -> dg.TableMetadataValue:
    rows: list[dict[str, str | int | float | bool | None]] = [
        {
            "set": name,
            "role": described.role,
            "language": described.language,
            "rows": described.rows,
            "items": described.items,
            "duplicates": described.own_duplicates + sum(described.duplicates_of.values()),
            "bad_rows": described.bad_rows,
        }
        for name, described in manifest.sets.items()
    ]
    return dg.TableMetadataValue([dg.TableRecord(row) for row in rows], schema=_TABLE)
