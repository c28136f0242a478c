"""A verdict survives its way through JSON, and says what is worst."""

import json
from dataclasses import replace

from vllm_quality.verdict.types import Finding, Verdict

FINE = Finding(
    metric="eval/basics/exact_match",
    area="quality",
    status="pass",
    current=0.8,
    baseline=0.8,
    change=0.0,
    limit=0.1,
    higher_is_better=True,
    unit="",
    reason="",
)


def test_worsening_counts_in_the_bad_direction() -> None:
    lower_score = replace(FINE, change=-0.25)
    slower = replace(FINE, change=0.25, higher_is_better=False)
    assert lower_score.worsening == slower.worsening == 0.25
    assert lower_score.excess == slower.excess == 0.15
    assert replace(FINE, change=0.25).worsening == -0.25
    assert replace(FINE, change=None).worsening is None
    assert replace(FINE, limit=None).excess is None


def test_worst_orders_by_status_then_by_how_far_beyond_the_limit() -> None:
    named = {
        "fixed limit broken": replace(FINE, metric="f", status="worse", change=None, limit=None),
        "far beyond": replace(FINE, metric="b", status="worse", change=0.9, limit=0.5, higher_is_better=False),
        "just beyond": replace(FINE, metric="a", status="worse", change=-0.11, limit=0.1),
        "not trusted": replace(FINE, metric="z", status="invalid", change=None),
        "no baseline": replace(FINE, metric="y", status="no_baseline", change=None),
        "near the limit": replace(FINE, metric="x", change=-0.09),
        "improved": replace(FINE, metric="w", change=0.5),
    }
    verdict = Verdict("worse", tuple(reversed(named.values())), (), "")
    assert verdict.worst == tuple(named.values())


def test_json_and_back() -> None:
    verdict = Verdict("worse", (FINE, replace(FINE, baseline=None, change=None)), ("r2", "r1"), "Worse.")
    stored = json.loads(json.dumps(verdict.as_json() | {"finished_at": "2026-11-21T14:03:00+00:00"}))
    assert Verdict.from_json(stored) == verdict
