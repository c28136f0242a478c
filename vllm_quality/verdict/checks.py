"""Asset checks on `results`: what the verdict says, area by area, on the release's own partition."""

import warnings

import dagster as dg

from vllm_quality.partitions import model_tags
from vllm_quality.results.publish import VERDICT_FILE, read_outcome
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.verdict.types import Finding, FindingArea, Verdict


def check_area(verdict: Verdict, area: FindingArea) -> dg.AssetCheckResult:
    """The check of one area: an error when something is worse, a warning when it could not be told."""
    findings = [finding for finding in verdict.worst if finding.area == area]
    worse = [finding for finding in findings if finding.status == "worse"]
    untold = [finding for finding in findings if finding.status in ("invalid", "no_baseline")]
    if not findings:
        description = f"Nothing of {area} was measured."
    elif worse:
        description = f"{len(worse)} of {len(findings)} metrics are worse: {_listed(worse)}"
    elif untold:
        description = f"{len(untold)} of {len(findings)} metrics could not be judged: {_listed(untold)}"
    else:
        description = f"{len(findings)} metrics are within their limits."
    return dg.AssetCheckResult(
        passed=bool(findings) and not worse and not untold,
        severity=dg.AssetCheckSeverity.ERROR if worse else dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={"judged": len(findings), "worse": len(worse), "could_not_tell": len(untold)},
    )


def _listed(findings: list[Finding]) -> str:
    text = "; ".join(f"{finding.metric}: {finding.reason}" for finding in findings[:3])
    return f"{text} And {len(findings) - 3} more." if len(findings) > 3 else text


def _verdict_of(context: dg.AssetCheckExecutionContext, results: ResultsResource) -> Verdict:
    step = context.op_execution_context
    folder = results.run_folder(evaluation_id(step.instance, step.run))
    if folder.get_json(VERDICT_FILE) is None:
        # "Execute" on a check in the UI is a run of its own: it tells of the release's last evaluation.
        last = results.store().runs(limit=1, model_tag=step.partition_key)
        folder = results.run_folder(last[0].run_id) if last else folder
    return read_outcome(folder)[0]


def build_checks(results_asset: dg.AssetsDefinition) -> list[dg.AssetChecksDefinition]:
    """The two checks of F-06."""

    def quality_not_regressed(context: dg.AssetCheckExecutionContext, results: ResultsResource) -> dg.AssetCheckResult:
        """No judged quality metric is beyond its limit against the mean of the last comparable runs."""
        return check_area(_verdict_of(context, results), "quality")

    def performance_not_regressed(
        context: dg.AssetCheckExecutionContext, results: ResultsResource
    ) -> dg.AssetCheckResult:
        """No judged latency or throughput is beyond its limit against the mean of the last comparable runs."""
        return check_area(_verdict_of(context, results), "performance")

    with warnings.catch_warnings():
        # A check per partition is a preview in 1.13. Without it, one release's status would stand for all of them.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        check = dg.asset_check(asset=results_asset, partitions_def=model_tags)
        return [check(quality_not_regressed), check(performance_not_regressed)]
