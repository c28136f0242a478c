"""A/A: the same release evaluated again and again. What differs then is noise, and how much says what a verdict can see."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vllm_quality.errors import UserError
from vllm_quality.report.units import as_share, effect_unit, metric_label, scale_for
from vllm_quality.results.database import ResultStore
from vllm_quality.results.publish import judge_repeats
from vllm_quality.results.resources import ResultsResource
from vllm_quality.settings import load_settings
from vllm_quality.verdict.thresholds import load_thresholds
from vllm_quality.verdict.types import Finding, Verdict


def calibrate(console: Console, tag: str, repeats: int, overrides: Mapping[str, str]) -> int:
    """Evaluate a tag so many times, then tell how much its runs differ and what loss the next release would show.

    The runs stay in the history: a release that comes after `tag` is held against them. 0 when no repetition was called worse
    than the others, 1 when one was (the limits are too narrow for this machine), 2 when too few were comparable.
    """
    from vllm_quality.terminal import watch_evaluation

    for number in range(1, repeats + 1):
        console.rule(f"{tag}: repetition {number} of {repeats}")
        evaluation = watch_evaluation(console, tag, overrides)
        if evaluation.error is not None:
            return 2
    verdict = judged_among_themselves(tag, repeats)
    console.print(_table(verdict.findings))
    compared = [finding for finding in verdict.findings if finding.mde is not None]
    console.print(f"\n{len(compared)} of {len(verdict.findings)} metrics have a scatter of {repeats} runs behind them.")
    if not compared:
        return 2
    return 1 if verdict.status == "worse" else 0


def judged_among_themselves(tag: str, repeats: int) -> Verdict:
    """The newest of a tag's runs against the others of the last `repeats`. Raises `UserError` where there are fewer than two."""
    settings = load_settings()
    store = ResultStore(settings.results)
    runs = [run for run in store.runs(limit=repeats, model_tag=tag) if run.finished_at is not None]
    if len(runs) < 2:
        raise UserError(f"{tag} has {len(runs)} finished runs here; calibrate needs two or more of them.")
    folder = ResultsResource().run_folder(runs[0].run_id)
    return judge_repeats(folder, store, runs[1:], load_thresholds(settings.config_file("thresholds.yaml")))


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("metric", overflow="fold")
    for heading in ("mean", "last", "differs by", "would show", "matters"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("how it is tested", overflow="fold")
    for finding in findings:
        scale = scale_for(finding.metric, finding.unit, (finding.current, finding.baseline))
        table.add_row(
            Text(metric_label(finding.metric)),
            scale.text(finding.baseline),
            scale.text(finding.current),
            _size(finding, finding.effect, "+.2g"),
            _size(finding, finding.mde, ".2g"),
            _size(finding, finding.matters, ".2g"),
            finding.method or finding.reason,
        )
    return table


def _size(finding: Finding, value: float | None, form: str) -> str:
    return "" if value is None else f"{as_share(finding, value) * 100:{form}} {effect_unit(finding)}"
