"""Judge the recorded load runs: each against windows of the good ones, by the statistics of its requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import polars as pl

from vllm_quality.results.rows import REQUEST_SCHEMA
from vllm_quality.verdict.evidence import EarlierRun, Step, gather
from vllm_quality.verdict.metrics import definition_of
from vllm_quality.verdict.statistics.decide import Decision, Rule, Trial, decide
from vllm_quality_tests.detection.load_variants import SCENARIO, STAGE
from vllm_quality_tests.detection.recordings import LoadRun

WINDOW = 4
JUDGED = tuple(
    f"{SCENARIO.step}/{STAGE}/{name}"
    for name in ("ttft_p50_s", "ttft_p90_s", "tpot_p50_s", "tpot_p90_s", "output_tokens_per_s")
)
RULE = Rule(alpha=0.01, matters=0.10, budget=0.03)  # as the packaged thresholds.yaml has it
PRD_SHARE = 0.10


@dataclass(frozen=True)
class LoadRow:
    """A run over all windows of good ones: the shares that call it worse, and by metric the mean change and MDE (relative)."""

    run: LoadRun
    ours: float
    rule: float
    change: Mapping[str, float]
    mde: Mapping[str, float]


def requests_of(run: LoadRun) -> pl.DataFrame:
    """The run's requests in the columns of the `requests` table."""
    count = len(run.outcome)
    own = {**run.clocks, "outcome": run.outcome, "output_tokens": run.output_tokens, "request_index": range(count)}
    known = {
        name: pl.Series(name, list(values), dtype=REQUEST_SCHEMA[name], strict=False) for name, values in own.items()
    }
    constant = {"scenario": SCENARIO.name, "stage": STAGE}
    return pl.DataFrame(known).with_columns(
        pl.lit(constant.get(name)).cast(dtype).alias(name)
        for name, dtype in REQUEST_SCHEMA.items()
        if name not in known
    )


def judge_load(window: Sequence[LoadRun], current: LoadRun) -> dict[str, Decision]:
    """A decision for each of `JUDGED`; `window` the newest last."""
    earlier = [EarlierRun(run.name, run.metrics, requests=requests_of(run)) for run in reversed(window)]
    found = gather([Step(current.metrics, None, requests_of(current), earlier)], JUDGED).effects
    trials = []
    for metric, (effect, _) in found.items():
        definition = definition_of(metric)
        better = definition is not None and bool(definition.higher_is_better)
        trials.append(Trial(metric.rpartition("/")[2], effect, better, RULE, ("%", 100.0), items=False))
    return {decision.trial.name: decision for decision in decide(trials)}


def load_rows(runs: Sequence[LoadRun]) -> list[LoadRow]:
    """Every sound run against every window of the good ones, itself left out; a run with a problem is never compared."""
    sound = [run for run in runs if run.problem is None]
    good = [run for run in sound if run.expected == "good"]
    rows = []
    for run in sound:
        others = [other for other in good if other is not run]
        if not others:
            continue
        windows = list(combinations(others, min(WINDOW, len(others))))
        judged = [judge_load(window, run) for window in windows]
        ours = [any(decision.verdict == "worse" for decision in each.values()) for each in judged]
        rule = [by_rule(window, run) for window in windows]
        names = judged[0]
        change = {n: sum(each[n].trial.effect.difference for each in judged) / len(judged) for n in names}
        mde = {n: sum(each[n].mde for each in judged) / len(judged) for n in names}
        rows.append(LoadRow(run, sum(ours) / len(ours), sum(rule) / len(rule), change, mde))
    return rows


def by_rule(window: Sequence[LoadRun], current: LoadRun) -> bool:
    """Whether the PRD's rule calls a run worse."""
    for metric in JUDGED:
        definition = definition_of(metric)
        mean = sum(run.metrics[metric] for run in window) / len(window)
        change = current.metrics[metric] / mean - 1
        if (-change if definition is not None and definition.higher_is_better else change) > PRD_SHARE:
            return True
    return False


def print_load(rows: Sequence[LoadRow]) -> None:
    """The table and its summary."""
    names = [metric.rpartition("/")[2] for metric in JUDGED]
    print(f"\n| load run | {' | '.join(names)} | ours | PRD's 10 % rule |\n|---|{'---:|' * (len(names) + 2)}")
    for row in rows:
        cells = [f"{row.change[n]:+.0%} ({row.mde[n]:.0%})" if n in row.change else "–" for n in names]
        print(f"| {row.run.name}: {row.run.kind} | {' | '.join(cells)} | {row.ours:.0%} | {row.rule:.0%} |")
    for expected, what in (("bad", "known-bad load runs detected"), ("good", "false alarms of good load runs")):
        own = [row for row in rows if row.run.expected == expected]
        if own:
            ours, rule = (sum(getattr(row, which) for row in own) / len(own) for which in ("ours", "rule"))
            print(f"{what}: {ours:.1%}, {rule:.1%} by the PRD's rule ({len(own)} runs)")
