"""Items that this release answers worse than the one before it, with both answers side by side."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from vllm_quality.report.answers import Text, readable, readable_prompt
from vllm_quality.verdict.types import FlippedItem, Verdict

_MOST = 20
_PER_SUITE = 6


@dataclass(frozen=True)
class Flip:
    """One item, with its texts as far as they were kept.

    before, now  scores
    earlier      what the newest release of the window answered; None where that was not kept, or the question differed
    reason       the judge's or the grader's words on this release's answer, "" where there are none
    """

    suite: str
    metric: str
    item: str
    before: str
    now: str
    judge: str
    prompt: Text | None
    expected: Text | None
    earlier: Text | None
    answer: Text | None
    reason: str


def flipped_items(
    verdict: Verdict,
    samples: Mapping[str, pl.DataFrame],
    texts: Mapping[str, pl.DataFrame],
    earlier: Mapping[str, pl.DataFrame],
) -> list[Flip]:
    """The items that lost most, each once: those of metrics that are worse before others, suite by suite in turn.

    samples, texts  of this release, by step; earlier: texts of the newest run that it was compared with
    """
    worse = {finding.metric for finding in verdict.findings if finding.status == "worse"}
    found = []
    for flip in _in_turn(verdict.flipped, worse)[:_MOST]:
        step = flip.metric.rpartition("/")[0]
        found.append(_flip(flip, samples.get(step), _row(texts, step, flip.item), _row(earlier, step, flip.item)))
    return found


def _in_turn(flips: Iterable[FlippedItem], worse: Collection[str]) -> list[FlippedItem]:
    chosen: dict[tuple[str, str], tuple[bool, int, FlippedItem]] = {}
    count: dict[str, int] = {}
    for flip in sorted(flips, key=lambda flip: flip.metric not in worse):  # within these, in the order of the loss
        step = flip.metric.rpartition("/")[0]
        if (step, flip.item) not in chosen and count.get(step, 0) < _PER_SUITE:
            count[step] = count.get(step, 0) + 1
            chosen[step, flip.item] = flip.metric not in worse, count[step], flip
    return [flip for _, _, flip in sorted(chosen.values(), key=lambda each: each[:2])]


def _row(texts: Mapping[str, pl.DataFrame], step: str, item: str) -> Mapping[str, Any]:
    frame = texts.get(step)
    if frame is None:
        return {}
    # An item that was asked once more alone has a suite of its own.
    own = frame.filter((pl.col("item_hash") == item) & (pl.col("suite") == step.partition("/")[2])).head(1)
    return own.row(0, named=True) if own.height else {}


def _flip(flip: FlippedItem, samples: pl.DataFrame | None, now: Mapping[str, Any], then: Mapping[str, Any]) -> Flip:
    path, _, metric = flip.metric.rpartition("/")
    # What was asked then must be what is asked now, or the two answers are not beside each other.
    same = not now or then.get("prompt") == now.get("prompt")
    return Flip(
        suite=path.partition("/")[2],
        metric=metric.replace("_", " "),
        item=flip.item,
        before=score_text(flip.baseline),
        now=score_text(flip.current),
        judge=_judge(samples, flip.item, metric),
        prompt=readable_prompt(now.get("prompt")),
        expected=readable(now.get("expected")),
        earlier=readable(then.get("answer")) if same else None,
        answer=readable(now.get("answer")),
        reason=(readable(now.get("reason")) or Text("")).text,
    )


def score_text(score: float) -> str:
    """A score with no more digits than it has: "1", "0.5", "0.67"."""
    return f"{score:.2f}".rstrip("0").rstrip(".")


def _judge(samples: pl.DataFrame | None, item: str, metric: str) -> str:
    if samples is None:
        return ""
    own = samples.filter((pl.col("item_hash") == item) & (pl.col("metric") == metric))["judge"].drop_nulls()
    return str(own[0]) if len(own) else ""
