"""What an evaluation suite hands back, and the rules that all suites share."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from vllm_quality.results.rows import SAMPLE_SCHEMA
from vllm_quality.verdict.metrics import WITHOUT_OVERLAP, definition_of

# More items than this without a score, and the rest is no fair picture of the release.
MOST_UNSCORED = 0.02
EVERY = "every_criterion"  # an item as a whole

TEXT_SCHEMA: dict[str, pl.DataType] = {
    "suite": pl.String(),
    "item_hash": pl.String(),
    "prompt": pl.String(),
    "answer": pl.String(),
    "expected": pl.String(),
    "reason": pl.String(),  # the judge's or grader's, "" where it gave none
    "error": pl.String(),  # why there is no score, or what was wrong with the answer
}


@dataclass(frozen=True)
class SuiteResult:
    """The outcome of one suite; the fields of a `Measurement`, with its frames still in hand.

    samples  `SAMPLE_SCHEMA`: one row per item and metric
    texts    `TEXT_SCHEMA`: one row per item, for people and for finding flipped items
    """

    step: str
    metrics: Mapping[str, float]
    samples: pl.DataFrame
    texts: pl.DataFrame
    comparable: str
    problem: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def in_short(error: BaseException) -> str:
    """An error of somebody else's code as part of one sentence."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def hash_of(value: object) -> str:
    """SHA-256 of a value's canonical JSON; what JSON does not know counts by its text."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def samples_frame(rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Rows as the frame of the `samples` table, in a fixed order."""
    return pl.DataFrame(rows, schema=SAMPLE_SCHEMA).sort("suite", "item_hash", "metric", maintain_order=True)


def texts_frame(rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Rows as the frame of texts, in a fixed order; a row may leave its reason out."""
    rows = [{"reason": "", **row} for row in rows]
    return pl.DataFrame(rows, schema=TEXT_SCHEMA).sort("suite", "item_hash", maintain_order=True)


def count_metrics(step: str, statuses: Sequence[str]) -> dict[str, float]:
    """How many items there were, and what became of those that went wrong."""
    counts = Counter(statuses)
    return {
        f"{step}/items_count": float(len(statuses)),
        f"{step}/infra_errors_count": float(counts["infra_error"]),
        f"{step}/judge_errors_count": float(counts["judge_error"]),
        f"{step}/model_errors_count": float(counts["model_error"]),
        f"{step}/truncated_count": float(counts["truncated"]),
    }


def find_problem(statuses: Sequence[str], gave_up: str | None, example: str | None) -> str | None:
    """Why the scores must not be compared, in one sentence; None when they can be.

    example  what was wrong with one of the items that have no score
    """
    unscored = sum(status in ("infra_error", "judge_error") for status in statuses)
    if unscored <= MOST_UNSCORED * len(statuses):
        return None
    because = gave_up or (f"such as: {example}" if example else "")
    return f"{unscored} of {len(statuses)} items have no score{f' ({because})' if because else ''}."


def overlap_name(metric: str) -> str:
    """A metric's name for the items that no other data set holds; a standard error stays one."""
    base, stderr = (metric.removesuffix("_stderr"), "_stderr") if metric.endswith("_stderr") else (metric, "")
    return f"{base}{WITHOUT_OVERLAP}{stderr}"


def not_judged(metrics: Mapping[str, float]) -> list[str]:
    """Metrics that the registry does not know: recorded, never compared."""
    return sorted(metric for metric in metrics if definition_of(metric) is None)
