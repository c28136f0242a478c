"""The asset that a person opens: one page about one release."""

from collections.abc import Sequence

import dagster as dg

from vllm_quality.deployment import step_tags
from vllm_quality.partitions import model_tags
from vllm_quality.report.collect import collect_report
from vllm_quality.report.data import report_key
from vllm_quality.report.page import render_report
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.settings import load_settings
from vllm_quality.verdict.thresholds import load_thresholds


def build_report_asset(steps: Sequence[str], results_asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The `release_report` asset over the given steps."""

    @dg.asset(
        partitions_def=model_tags, group_name="report", kinds={"html"}, deps=[results_asset], op_tags=step_tags("light")
    )
    def release_report(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
        """One self-contained HTML page: the verdict, what it rests on, tables and charts."""
        folder = results.run_folder(evaluation_id(context.instance, context.run))
        thresholds = load_thresholds(load_settings().config_file("thresholds.yaml"))
        report = collect_report(folder, results.store(), steps, thresholds)
        key = report_key(context.partition_key, folder.run_id)
        # Create-only: a replay leaves the page that people may already have opened.
        created = folder.objects.put(key, render_report(report).encode(), "text/html; charset=utf-8")
        size = len(folder.objects.get(key))
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.url(folder.objects.url(key)),
                "verdict": report.verdict.status,
                "summary": report.verdict.summary,
                "size": size,
                "created": created,
            }
        )

    return release_report
