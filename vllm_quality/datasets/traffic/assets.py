"""The asset of current traffic: a day's service queries, frozen."""

import datetime as dt
from dataclasses import asdict
from typing import Any

import dagster as dg

from vllm_quality.datasets.traffic.frozen import FrozenDay
from vllm_quality.datasets.traffic.take import take_day
from vllm_quality.deployment import step_tags
from vllm_quality.partitions import days
from vllm_quality.results.objects import ObjectStore
from vllm_quality.results.resources import ResultsResource
from vllm_quality.settings import load_settings

_STAGES = (
    "seen",
    "other_days",
    "unreadable",
    "repeated",
    "not_matched",
    "matched",
    "sampled",
    "duplicates",
    "known",
    "kept",
)
_MOST_LOGGED = 20
_ENTITIES = dg.TableSchema([dg.TableColumn("kind"), dg.TableColumn("count", "int")])
_STRATA = dg.TableSchema([dg.TableColumn("value"), dg.TableColumn("matched", "int"), dg.TableColumn("sampled", "int")])
HASH = "queries_hash"


@dg.asset(partitions_def=days, group_name="traffic", kinds={"parquet", "polars"}, op_tags=step_tags("light"))
def service_queries(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
    """A sample of what users asked on a UTC day, anonymised, without duplicates, addressed by the hash of its content."""
    objects = results.objects()
    day = dt.date.fromisoformat(context.partition_key)
    frozen = take_day(load_settings(), day, objects, context.log.info)
    for row in frozen.manifest.left_out[:_MOST_LOGGED]:
        context.log.warning(f"Left out: {row.file}, line {row.line}: {row.why}")
    for alarm in frozen.manifest.alarms:
        context.log.warning(alarm)
    return dg.MaterializeResult(metadata=_metadata(frozen, objects))


def _metadata(frozen: FrozenDay, objects: ObjectStore) -> dict[str, Any]:
    counts, certificate = frozen.manifest.counts, frozen.manifest.certificate
    return {
        "dagster/row_count": counts.kept,
        HASH: frozen.hash,
        "items_file": objects.url(frozen.items_key),
        "source": frozen.manifest.source,
        **{stage: getattr(counts, stage) for stage in _STAGES},
        "entities_replaced": dg.TableMetadataValue(
            [dg.TableRecord({"kind": kind, "count": count}) for kind, count in counts.entities.items()],
            schema=_ENTITIES,
        ),
        "strata": dg.TableMetadataValue(
            [dg.TableRecord(stratum.model_dump()) for stratum in frozen.manifest.strata], schema=_STRATA
        ),
        "certificate": {} if certificate is None else {name: str(value) for name, value in asdict(certificate).items()},
    }
