"""Asset checks on `results`: what the verdict says, family by family and step by step, on the release's own partition."""

import warnings
from collections.abc import Iterator, Sequence

import dagster as dg

from vllm_quality.deployment import step_tags
from vllm_quality.partitions import model_tags
from vllm_quality.results.publish import judge_run, read_outcome, was_judged
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.settings import load_settings
from vllm_quality.verdict.repeats import repeat_remark
from vllm_quality.verdict.thresholds import load_thresholds
from vllm_quality.verdict.types import UNTOLD, Finding, Moved, Verdict, worst_first

_FAMILIES = {"quality_not_regressed": "quality", "performance_not_regressed": "performance"}
_TABLE = dg.TableSchema(
    [dg.TableColumn(name) for name in ("metric", "verdict", "repeat", "unit")]
    + [
        dg.TableColumn(name, "float")
        for name in ("current", "baseline", "effect", "low", "high", "mde", "matters", "budget", "p_adjusted")
    ]
    + [dg.TableColumn("reason")]
)
_MOVED = dg.TableSchema(
    [dg.TableColumn(name) for name in ("signal", "title")]
    + [dg.TableColumn(name, "float") for name in ("before", "now", "low", "high", "p_adjusted")]
    + [dg.TableColumn("items", "int")]
)


def check_findings(findings: Sequence[Finding], of: str, moved: Sequence[Moved] = ()) -> dg.AssetCheckResult:
    """An error when something is worse, a warning when it could not be told.

    of     what the findings are about, such as "quality" or "eval/gsm8k"
    moved  signals that are told beside them
    """
    ordered = worst_first(findings)
    worse = [finding for finding in ordered if finding.status == "worse"]
    untold = [finding for finding in ordered if finding.status in UNTOLD]
    weak = [finding for finding in ordered if finding.status == "underpowered"]
    if not findings:
        description = f"Nothing of {of} is judged."
    elif worse:
        description = f"{len(worse)} of {len(findings)} metrics are worse: {_listed(worse)}"
    elif untold:
        description = f"{len(untold)} of {len(findings)} metrics could not be judged: {_listed(untold)}"
    elif weak:
        description = f"{len(weak)} of {len(findings)} metrics could have lost more unseen: {_listed(weak)}"
    else:
        description = f"{len(findings)} metrics show no loss."
    return dg.AssetCheckResult(
        passed=bool(findings) and not worse and not untold and not weak,
        severity=dg.AssetCheckSeverity.ERROR if worse else dg.AssetCheckSeverity.WARN,
        description=f"{description} {repeat_remark(findings)}".rstrip(),
        metadata={
            "judged": len(findings),
            "worse": len(worse),
            "could_not_tell": len(untold) + len(weak),
            "findings": _table(ordered),
            **({"moved": _moved_table(moved)} if moved else {}),
        },
    )


def step_check(step: str) -> str:
    """The name of a step's check: "eval/gsm8k" has "eval_gsm8k_not_regressed"."""
    return "".join(letter if letter.isalnum() else "_" for letter in step) + "_not_regressed"


def build_checks(results_asset: dg.AssetsDefinition, steps: Sequence[str]) -> dg.AssetChecksDefinition:
    """The checks of the two families and of each measuring step: one step, which reads the verdict once."""
    names = {f"{area}": name for name, area in _FAMILIES.items()} | {step: step_check(step) for step in steps}
    with warnings.catch_warnings():
        # A check per partition is a preview in 1.13. Without it, one release's status would stand for all of them.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        specs = [
            dg.AssetCheckSpec(
                name,
                asset=results_asset,
                description=f"No judged metric of {of} is worse than before, beyond chance or its limits.",
                partitions_def=model_tags,
            )
            for of, name in names.items()
        ]

    @dg.multi_asset_check(specs=specs, can_subset=True, op_tags=step_tags("light"))
    def results_checks(
        context: dg.AssetCheckExecutionContext, results: ResultsResource
    ) -> Iterator[dg.AssetCheckResult]:
        verdict = _verdict_of(context, results, steps)
        for of, name in names.items():
            if dg.AssetCheckKey(results_asset.key, name) not in context.selected_asset_check_keys:
                continue
            own = [f for f in verdict.findings if f.area == of or f.metric == of or f.metric.startswith(f"{of}/")]
            moved = verdict.moved if of == "quality" else ()
            yield check_findings(own, of, moved)._replace(check_name=name, asset_key=results_asset.key)

    return results_checks


def _verdict_of(context: dg.AssetCheckExecutionContext, results: ResultsResource, steps: Sequence[str]) -> Verdict:
    step = context.op_execution_context
    folder = results.run_folder(evaluation_id(step.instance, step.run))
    if was_judged(folder):
        return read_outcome(folder)[0]
    # "Execute" on a check in the UI is a run of its own: the release's last evaluation is judged again, against the history
    # and the limits of now.
    last = results.store().runs(limit=1, model_tag=step.partition_key)
    folder = results.run_folder(last[0].run_id) if last else folder
    return judge_again(folder, results, steps)


def judge_again(folder: RunFolder, results: ResultsResource, steps: Sequence[str]) -> Verdict:
    """What would be said of a stored evaluation today; the verdict that was stored then stays what it is."""
    thresholds = load_thresholds(load_settings().config_file("thresholds.yaml"))
    return judge_run(folder, results.store(), [step for step in steps if folder.get_measurement(step)], thresholds)


def _listed(findings: Sequence[Finding]) -> str:
    text = "; ".join(f"{finding.metric}: {finding.reason}" for finding in findings[:3])
    return f"{text} And {len(findings) - 3} more." if len(findings) > 3 else text


def _table(findings: Sequence[Finding]) -> dg.TableMetadataValue:
    rows: list[dict[str, str | int | float | bool | None]] = [
        {
            "metric": finding.metric,
            "verdict": finding.status,
            "repeat": finding.repeat,
            "unit": finding.unit,
            "current": finding.current,
            "baseline": finding.baseline,
            "effect": finding.effect,
            "low": finding.low,
            "high": finding.high,
            "mde": finding.mde,
            "matters": finding.matters,
            "budget": finding.budget,
            "p_adjusted": finding.p_adjusted,
            "reason": finding.reason,
        }
        for finding in findings
    ]
    return dg.TableMetadataValue([dg.TableRecord(row) for row in rows], schema=_TABLE)


def _moved_table(moved: Sequence[Moved]) -> dg.TableMetadataValue:
    rows: list[dict[str, str | int | float | bool | None]] = [
        {
            "signal": signal.metric,
            "title": signal.title,
            "before": signal.baseline,
            "now": signal.current,
            "low": signal.low,
            "high": signal.high,
            "p_adjusted": signal.p_adjusted,
            "items": signal.n,
        }
        for signal in moved
    ]
    return dg.TableMetadataValue([dg.TableRecord(row) for row in rows], schema=_MOVED)
