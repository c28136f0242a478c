"""Asset checks on `evaluation_snapshot`, on the release's own partition: can answers to it be trusted and compared?"""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from vllm_quality.datasets.judging import Judged, judge_collapse, judge_counts, judge_fresh, judge_recall, judge_schema
from vllm_quality.datasets.pin import pinned_manifest, pinned_snapshot
from vllm_quality.datasets.snapshot import load_snapshot
from vllm_quality.deployment import step_tags
from vllm_quality.partitions import model_tags
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.settings import load_settings

_CHECKS = {
    "schema": ("The items have the documented columns, types and values.", True),
    "counts": ("Every row that was read is accounted for, and few could not be used.", True),
    "collapse": ("No set lost so many rows as duplicates that a person should look.", False),
    "recall": ("The search for near duplicates found at least 99 % of them.", True),
    "freshness": ("The regression sets are neither too old nor far from what users ask now.", False),
}


def build_snapshot_checks(snapshot_asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """The checks of the snapshot: one step, which reads it once."""
    with warnings.catch_warnings():
        # A check per partition is a preview in 1.13. Without it, one release's status would stand for all of them.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        specs = [
            dg.AssetCheckSpec(
                name, asset=snapshot_asset, description=description, blocking=blocking, partitions_def=model_tags
            )
            for name, (description, blocking) in _CHECKS.items()
        ]

    @dg.multi_asset_check(specs=specs, op_tags=step_tags("light"))
    def evaluation_snapshot_checks(
        context: dg.AssetCheckExecutionContext, results: ResultsResource
    ) -> Iterator[dg.AssetCheckResult]:
        folder = _folder_of(context, results)
        for name, judged in judge(folder).items():
            severity = dg.AssetCheckSeverity.ERROR if judged.severity == "error" else dg.AssetCheckSeverity.WARN
            yield dg.AssetCheckResult(
                check_name=name,
                asset_key=snapshot_asset.key,
                passed=judged.passed,
                severity=severity,
                description=judged.sentence,
                metadata=dict(judged.figures),
            )

    return evaluation_snapshot_checks


def judge(folder: RunFolder) -> dict[str, Judged]:
    """What the checks say of the snapshot that a run asks. Raises `SnapshotError` when there is none, or it was changed."""
    manifest = pinned_manifest(folder)
    frame = load_snapshot(folder.objects, manifest.hash)
    today = datetime.now(UTC).date()
    return {
        "schema": judge_schema(frame),
        "counts": judge_counts(frame, manifest),
        "collapse": judge_collapse(manifest),
        "recall": judge_recall(manifest),
        "freshness": judge_fresh(frame, manifest, folder.objects, load_settings(), today),
    }


def _folder_of(context: dg.AssetCheckExecutionContext, results: ResultsResource) -> RunFolder:
    step = context.op_execution_context
    folder = results.run_folder(evaluation_id(step.instance, step.run))
    if pinned_snapshot(folder) is None:
        # "Execute" on a check in the UI is a run of its own: it tells of the release's last evaluation.
        last = results.store().runs(limit=1, model_tag=step.partition_key)
        folder = results.run_folder(last[0].run_id) if last else folder
    return folder
