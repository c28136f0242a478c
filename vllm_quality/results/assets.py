"""The asset where everything measured comes together: rows in ClickHouse, and the verdict."""

from collections.abc import Sequence

import dagster as dg

from vllm_quality.deployment import step_tags
from vllm_quality.partitions import model_tags
from vllm_quality.results.publish import publish_run
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.settings import load_settings
from vllm_quality.verdict.thresholds import load_thresholds
from vllm_quality.verdict.types import Verdict

_TABLE = dg.TableSchema(
    [dg.TableColumn(name) for name in ("metric", "status")]
    + [dg.TableColumn(name, "float") for name in ("current", "baseline")]
    + [dg.TableColumn(name) for name in ("change", "reason")]
)


def build_results_asset(steps: Sequence[str], after: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The `results` asset over the given steps ("load/baseline", "eval/…"). `after`: by then all is measured."""

    @dg.asset(
        name="results",
        partitions_def=model_tags,
        group_name="results",
        kinds={"clickhouse"},
        deps=[after],
        op_tags=step_tags("light"),
    )
    def results_asset(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
        """Every aggregated metric of the release as a row of `vllm_eval.results`, and the verdict on them."""
        folder = results.run_folder(evaluation_id(context.instance, context.run))
        thresholds = load_thresholds(load_settings().config_file("thresholds.yaml"))
        published = publish_run(folder, results.store(), steps, thresholds)
        for finding in published.verdict.worst:
            if finding.status not in ("pass", "better"):
                context.log.warning(f"{finding.metric}: {finding.status}: {finding.reason}")
        figures = {metric: value for metric, value in published.metrics.items() if not metric.endswith("_stderr")}
        return dg.MaterializeResult(
            metadata={
                "verdict": published.verdict.status,
                "summary": published.verdict.summary,
                "metrics": len(published.metrics),
                "worse": sum(finding.status == "worse" for finding in published.verdict.findings),
                "baseline_runs": len(published.verdict.baseline_runs),
                "compared": _table(published.verdict),
                **figures,
            }
        )

    return results_asset


def _table(verdict: Verdict) -> dg.TableMetadataValue:
    rows: list[dict[str, str | int | float | bool | None]] = [
        {
            "metric": finding.metric,
            "status": finding.status,
            "current": finding.current,
            "baseline": finding.baseline,
            "change": None if finding.change is None else f"{finding.change:+.1%}",
            "reason": finding.reason,
        }
        for finding in verdict.worst
    ]
    return dg.TableMetadataValue([dg.TableRecord(row) for row in rows], schema=_TABLE)
