"""Which answers a reader should look at: the worst of each suite, with their text where it was kept."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from vllm_quality.report.units import NONE
from vllm_quality.results.rows import SCORED
from vllm_quality.verdict.metrics import definition_of

_MOST_ANSWERS = 40
_PER_SUITE = 5
_LONGEST_TEXT = 4000
_PEEK = 200
_PASSES = 0.5  # a mean of votes or a graded score under this is a failure; a right-or-wrong score is 0 or 1
_KEY = ("suite", "item_hash")  # an item asked once more alone has a suite of its own
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Text:
    """A text that somebody else wrote, fit to be shown. `peek` is its beginning where it is too long to stand open."""

    text: str
    peek: str = ""


@dataclass(frozen=True)
class Answer:
    """One failed item. A text is None where it was not kept.

    reason  why it has that score: the judge's or the grader's words, "" where there are none
    error   what was wrong with the answer, if anything was
    """

    suite: str
    metric: str
    item: str
    score: str
    status: str
    finish_reason: str
    judge: str
    prompt: Text | None
    expected: Text | None
    answer: Text | None
    reason: str
    error: str | None


def worst_answers(
    samples: Mapping[str, pl.DataFrame],
    texts: Mapping[str, pl.DataFrame],
    shown: Collection[tuple[str, str]] = (),
) -> list[Answer]:
    """The worst failed items of every suite, each item once, lowest score first: at most 5 a suite and 40 in all.

    samples, texts  step -> frame, as in `ReportData`
    shown           (suite, item) of those that the page has elsewhere
    """
    each = max(1, min(_PER_SUITE, _MOST_ANSWERS // max(1, len(samples))))
    elsewhere = {f"{suite}/{item}" for suite, item in shown}
    found = [
        answer
        for step, frame in samples.items()
        for answer in _of_suite(
            frame.filter(~pl.concat_str("suite", "item_hash", separator="/").is_in(elsewhere)), texts.get(step), each
        )
    ]
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
        kept = texts.select(*_KEY, "prompt", "answer", "expected", "reason", "error").unique(_KEY, keep="first")
        failed = failed.join(kept, on=_KEY, how="left", maintain_order="left")
    return [_answer(row) for row in failed.iter_rows(named=True)]


def _is_score(suite: str, metric: str) -> bool:
    """Whether a low value is bad. A metric the registry does not know is taken for a score."""
    definition = definition_of(f"eval/{suite}/{metric}")
    return definition is None or (bool(definition.higher_is_better) and not definition.signal)


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
        prompt=readable_prompt(row.get("prompt")),
        expected=readable(row.get("expected")),
        answer=readable(row.get("answer")),
        reason=(readable(row.get("reason")) or Text("")).text,
        error=(readable(row.get("error")) or Text("")).text or None,
    )


def readable(text: str | None) -> Text | None:
    """A text without control characters and of bounded length; None stays None."""
    if text is None:
        return None
    shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text[:_LONGEST_TEXT])
    peek = f"{shown[:_PEEK].rstrip()}…" if len(shown) > 2 * _PEEK else ""
    return Text(shown if len(text) <= _LONGEST_TEXT else f"{shown}… ({len(text):,} characters in all)", peek)


def readable_prompt(prompt: str | None) -> Text | None:
    """A prompt; one that is a chat's messages as JSON, as lm-eval keeps them, as its lines instead."""
    if prompt is None or not prompt.startswith('[{"'):
        return readable(prompt)
    try:
        messages = [(str(message["role"]), str(message["content"])) for message in json.loads(prompt)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return readable(prompt)
    if [role for role, _ in messages] == ["user"]:
        return readable(messages[0][1])
    return readable("\n".join(f"{role}: {content}" for role, content in messages))
