"""The suites of a run as a table in the terminal: score, how sure, what went wrong, and what took longest."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import Group
from rich.table import Table
from rich.text import Text

from vllm_quality.verdict.metrics import definition_of


class Measured(Protocol):
    """What the table needs of a suite's outcome: a `SuiteResult` or a stored `Measurement`."""

    @property
    def step(self) -> str: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...
    @property
    def problem(self) -> str | None: ...
    @property
    def details(self) -> Mapping[str, Any]: ...


_COUNTS = {"items": "items_count", "cut off": "truncated_count", "model errors": "model_errors_count"}
_UNSCORED = {"infra errors": "infra_errors_count", "judge errors": "judge_errors_count"}


def suite_table(outcomes: Sequence[Measured]) -> Group:
    """A row for each score of each suite: score ± standard error, the counts by status, the suite's time and slowest part.

    Below it, why the numbers of a suite must not be compared, where that is so.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("suite", overflow="fold")
    table.add_column("metric", overflow="fold")
    table.add_column("score ± stderr", justify="right", no_wrap=True)
    for heading in (*_COUNTS, *_UNSCORED):
        table.add_column(heading, justify="right")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("slowest part", no_wrap=True)
    for outcome in outcomes:
        _add_rows(table, outcome)
    problems = [
        Text(f"{o.step.removeprefix('eval/')}: {o.problem}", "yellow") for o in outcomes if o.problem is not None
    ]
    return Group(table, *problems)


def _add_rows(table: Table, outcome: Measured) -> None:
    name, first = outcome.step.removeprefix("eval/"), True
    for metric in _scores(outcome) or [""]:
        counts = [_count(outcome, key) for key in (*_COUNTS.values(), *_UNSCORED.values())] if first else [""] * 5
        ends = [_seconds(outcome), slowest_part(outcome)] if first else ["", ""]
        score = _score(outcome, metric) if metric else "–"
        table.add_row(name if first else "", metric.replace("_", " "), score, *counts, *ends)
        first = False


def slowest_part(outcome: Measured) -> str:
    """The part of a suite's time that took longest, with its seconds: "asking, 12.3 s"; "" where that is not known."""
    parts = outcome.details.get("seconds")
    if not isinstance(parts, Mapping) or not parts:
        return ""
    part = max(parts, key=lambda name: float(parts[name]))
    return f"{part}, {float(parts[part]):.1f} s"


def _scores(outcome: Measured) -> list[str]:
    """The suite's own metrics of which one direction is good; those of a group's members stay out."""
    own = [path.removeprefix(f"{outcome.step}/") for path in outcome.metrics if path.startswith(f"{outcome.step}/")]
    return sorted(name for name in own if _is_score(f"{outcome.step}/{name}"))


def _is_score(metric: str) -> bool:
    definition = definition_of(metric)
    return definition is not None and definition.higher_is_better is not None and not definition.signal


def _score(outcome: Measured, metric: str) -> str:
    value, stderr = outcome.metrics[f"{outcome.step}/{metric}"], outcome.metrics.get(f"{outcome.step}/{metric}_stderr")
    # Accuracies are shares; a perplexity, a BLEU of 0 to 100, is what it is.
    factor, unit = (100.0, " %") if 0 <= value <= 1 else (1.0, "")
    return f"{value * factor:.1f}{'' if stderr is None else f' ± {stderr * factor:.1f}'}{unit}"


def _count(outcome: Measured, name: str) -> str:
    value = outcome.metrics.get(f"{outcome.step}/{name}")
    return "" if value is None else f"{value:.0f}"


def _seconds(outcome: Measured) -> str:
    value = outcome.details.get("duration_s")
    return f"{float(value):.1f} s" if isinstance(value, int | float) else ""
