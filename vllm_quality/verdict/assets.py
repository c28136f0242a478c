"""The asset between what was measured and what is said of it: a suspicion is measured again before it is an alarm."""

from collections.abc import Sequence

import dagster as dg

from vllm_quality.deployment import step_tags
from vllm_quality.measuring import MeasuringStep
from vllm_quality.partitions import model_tags
from vllm_quality.results.publish import judge_run, was_judged
from vllm_quality.results.repetition import measure_again
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.settings import load_settings
from vllm_quality.verdict.confirmation import suspicions
from vllm_quality.verdict.thresholds import load_thresholds


def build_confirmation_asset(
    measuring: Sequence[MeasuringStep], after: Sequence[dg.AssetsDefinition]
) -> dg.AssetsDefinition:
    """The `confirmation` asset over the measuring steps. `after`: what has to be there first."""
    steps, measures = [each.step for each in measuring], {each.step: each.measure for each in measuring}

    @dg.asset(
        name="confirmation",
        partitions_def=model_tags,
        group_name="results",
        kinds={"vllm"},
        deps=list(after),
        pool="load",  # it may play a load scenario
        op_tags=step_tags("load"),
    )
    def confirmation_asset(context: dg.AssetExecutionContext, results: ResultsResource) -> dg.MaterializeResult[None]:
        """The suites and scenarios that look worse, and only those, measured a second time; both measurements are kept."""
        settings, folder = load_settings(), results.run_folder(evaluation_id(context.instance, context.run))
        if was_judged(folder):
            return dg.MaterializeResult(metadata={"suspected": 0, "summary": "This evaluation has its verdict."})
        thresholds = load_thresholds(settings.config_file("thresholds.yaml"))
        verdict = judge_run(folder, results.store(), steps, thresholds)
        suspected = suspicions(verdict, thresholds.confirmation)
        again = measure_again(suspected, measures, settings, folder, thresholds.confirmation.time_s, context.log)
        return dg.MaterializeResult(
            metadata={
                "suspected": len(suspected),
                "measured_again": again,
                "suspicions": dg.TableMetadataValue(
                    [dg.TableRecord({"metric": each.metric, "reason": each.reason}) for each in suspected],
                    schema=dg.TableSchema([dg.TableColumn("metric"), dg.TableColumn("reason")]),
                ),
            }
        )

    return confirmation_asset
