"""Which answers a reader should look at: the worst of each suite, with their text where it was kept."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from vllm_quality.report.units import NONE
from vllm_quality.results.rows import SCORED
from vllm_quality.verdict.metrics import definition_of

_MOST_ANSWERS = 40
_PER_SUITE = 5
_LONGEST_TEXT = 1200
_PASSES = 0.5  # a mean of votes or a graded score under this is a failure; a right-or-wrong score is 0 or 1
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Answer:
    """One failed item. A text is None where it was not kept; `error` is what was wrong with the answer, if anything was."""

    suite: str
    metric: str
    item: str
    score: str
    status: str
    finish_reason: str
    judge: str
    prompt: str | None
    expected: str | None
    answer: str | None
    error: str | None


def worst_answers(samples: Mapping[str, pl.DataFrame], texts: Mapping[str, pl.DataFrame]) -> list[Answer]:
    """The worst failed items of every suite, each item once, lowest score first: at most 5 a suite and 40 in all.

    samples, texts  step -> frame, as in `ReportData`
    """
    each = max(1, min(_PER_SUITE, _MOST_ANSWERS // max(1, len(samples))))
    found = [answer for step, frame in samples.items() for answer in _of_suite(frame, texts.get(step), each)]
    return found[:_MOST_ANSWERS]


def _of_suite(frame: pl.DataFrame, texts: pl.DataFrame | None, most: int) -> list[Answer]:
    pairs = frame.select("suite", "metric").unique().iter_rows()
    losses = [f"{suite}/{metric}" for suite, metric in pairs if not _is_score(suite, metric)]
    failed = (
        frame.filter(pl.col("status").is_in(SCORED))
        .filter((pl.col("score") < _PASSES) | (pl.col("status") == "model_error"))
        .filter(~pl.concat_str("suite", "metric", separator="/").is_in(losses))
        .sort("score", "item_hash", "metric", nulls_last=False)
        .unique("item_hash", keep="first", maintain_order=True)
        .head(most)
    )
    if texts is not None:
        kept = texts.select("item_hash", "prompt", "answer", "expected", "error").unique("item_hash", keep="first")
        failed = failed.join(kept, on="item_hash", how="left", maintain_order="left")
    return [_answer(row) for row in failed.iter_rows(named=True)]


def _is_score(suite: str, metric: str) -> bool:
    """Whether a low value is bad. A metric the registry does not know is taken for a score."""
    definition = definition_of(f"eval/{suite}/{metric}")
    return definition is None or bool(definition.higher_is_better)


def _answer(row: Mapping[str, Any]) -> Answer:
    score = row["score"]
    return Answer(
        suite=row["suite"],
        metric=row["metric"].replace("_", " "),
        item=row["item_hash"],
        score=NONE if score is None else f"{score:.2f}",
        status=row["status"].replace("_", " "),
        finish_reason=row["finish_reason"] or "",
        judge=row["judge"] or "",
        prompt=_clipped(row.get("prompt")),
        expected=_clipped(row.get("expected")),
        answer=_clipped(row.get("answer")),
        error=_clipped(row.get("error")),
    )


def _clipped(text: str | None) -> str | None:
    if text is None:
        return None
    shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text[:_LONGEST_TEXT])
    return shown if len(text) <= _LONGEST_TEXT else f"{shown}… ({len(text):,} characters in all)"
