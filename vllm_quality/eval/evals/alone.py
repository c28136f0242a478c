"""A few rows of an eval asked once more, one at a time: some regressions show only under load (see `lm_alone.py`)."""

from collections.abc import Sequence
from dataclasses import replace

from vllm_quality.eval.evals.outcome import Outcome, sample_rows, text_row
from vllm_quality.eval.evals.plan import Check, Plan, Row
from vllm_quality.eval.graders.schema import needs_embeddings, needs_judge
from vllm_quality.eval.lm_alone import Compared, alone_suite, load_metrics
from vllm_quality.eval.suites import DEFAULT_PROBES
from vllm_quality.settings import Profile

_SHARE = 5  # of so many rows one is asked again: an eval may be small, and its answers slow


def probe_size(plan: Plan, profile: Profile, rows: Sequence[tuple[str, Row]]) -> int:
    """How many rows are asked once more: what the eval says, else the profile's number, but never most of the rows."""
    asked = sum(row.sample is None for _, row in rows)
    return plan.bounds.concurrency_probe.get(profile, min(DEFAULT_PROBES[profile], -(-asked // _SHARE)))


def drawn_rows(rows: Sequence[tuple[str, Row]], count: int) -> list[tuple[str, Row]]:
    """The `count` rows with the smallest hashes of those that are asked, with their checks that need no other model."""
    asked = sorted((pair for pair in rows if pair[1].sample is None), key=lambda pair: pair[0])
    return [(key, replace(row, checks=_own_checks(row), threshold=None)) for key, row in asked[:count]]


def _own_checks(row: Row) -> dict[str, Check]:
    return {
        name: check
        for name, check in row.checks.items()
        if not needs_judge(check.grader) and not needs_embeddings(check.grader)
    }


def alone_metrics(step: str, together: Sequence[Outcome], alone: Sequence[Outcome]) -> dict[str, float]:
    """How the answers under load differ from those alone, as in the benchmarks' suites; nothing where none was asked."""
    return load_metrics(step, [*map(_compared, together)], [*map(_compared, alone)]) if alone else {}


def _compared(outcome: Outcome) -> Compared:
    scores = {name: result.score for name, result in outcome.results.items()}
    return Compared(outcome.key, scores, outcome.answer.text, outcome.answer.status)


def alone_samples(suite: str, outcome: Outcome) -> list[dict[str, object]]:
    """A row's rows of the `samples` table; suite and metrics have other names than those of the eval's own run."""
    rows = sample_rows(alone_suite(suite), outcome)
    return [{**row, "metric": f"{row['metric']}_alone"} for row in rows]


def alone_text(suite: str, outcome: Outcome) -> dict[str, object]:
    """A row's row of the texts."""
    return text_row(alone_suite(suite), outcome)
