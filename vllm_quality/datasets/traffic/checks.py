"""Asset checks on `service_queries`: whether a frozen day can be relied on."""

import datetime as dt
import warnings
from functools import partial

import dagster as dg

from vllm_quality.datasets.pii.anonymiser import build_anonymiser
from vllm_quality.datasets.traffic.assets import HASH, service_queries
from vllm_quality.datasets.traffic.duplicates import TODAY
from vllm_quality.datasets.traffic.frozen import FrozenDay, load_frozen_items, read_frozen_day
from vllm_quality.datasets.traffic.judge_day import judge_duplicates, left_to_find, sample_problem
from vllm_quality.deployment import step_tags
from vllm_quality.partitions import days
from vllm_quality.results.resources import ResultsResource
from vllm_quality.settings import load_settings


def _frozen(context: dg.AssetCheckExecutionContext, results: ResultsResource) -> FrozenDay:
    """The day as this run, or the last one, materialized it."""
    step = context.op_execution_context
    found = step.instance.fetch_materializations(
        dg.AssetRecordsFilter(service_queries.key, asset_partitions=[step.partition_key]), limit=1
    ).records
    event = found[0].asset_materialization if found else None
    wanted = None if event is None else str(event.metadata[HASH].value)
    return read_frozen_day(results.objects(), dt.date.fromisoformat(step.partition_key), wanted)


def queries_read(context: dg.AssetCheckExecutionContext, results: ResultsResource) -> dg.AssetCheckResult:
    """The day had queries, and nearly all of its rows could be read."""
    manifest = _frozen(context, results).manifest
    problem = sample_problem(manifest)
    return dg.AssetCheckResult(
        passed=problem is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=problem or f"{manifest.counts.kept} queries of {manifest.counts.matched} were kept.",
        metadata={"seen": manifest.counts.seen, "unreadable": manifest.counts.unreadable, "kept": manifest.counts.kept},
    )


def queries_anonymised(context: dg.AssetCheckExecutionContext, results: ResultsResource) -> dg.AssetCheckResult:
    """What was stored, read back, holds no personal data that the rules can find."""
    items = load_frozen_items(results.objects(), _frozen(context, results))
    found = left_to_find(items, build_anonymiser(load_settings().pii_key, TODAY))
    listed = ", ".join(f"{count} {kind}" for kind, count in found.items())
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"Stored queries still hold {listed}; remove this day's folder." if found else "Nothing was found.",
        metadata={"items": len(items), "found": sum(found.values())},
    )


def queries_recall(context: dg.AssetCheckExecutionContext, results: ResultsResource) -> dg.AssetCheckResult:
    """The search for near duplicates, within the day and among earlier ones, found at least 99 % of them."""
    judged = judge_duplicates(_frozen(context, results).manifest)
    return dg.AssetCheckResult(
        passed=judged.passed,
        severity=dg.AssetCheckSeverity.ERROR if judged.severity == "error" else dg.AssetCheckSeverity.WARN,
        description=judged.sentence,
        metadata=dict(judged.figures),
    )


with warnings.catch_warnings():
    # A check per partition is a preview in 1.13. Without it, one day's status would stand for all of them.
    warnings.simplefilter("ignore", dg.PreviewWarning)
    _check = partial(dg.asset_check, asset=service_queries, partitions_def=days, op_tags=step_tags("light"))
    traffic_checks = [_check()(queries_read), _check()(queries_anonymised), _check(blocking=True)(queries_recall)]
