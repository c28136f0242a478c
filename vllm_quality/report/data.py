"""Everything a report is made of, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from vllm_quality.results.measurement import Measurement
from vllm_quality.results.rows import PastRun
from vllm_quality.serving.target import Target
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import Verdict


@dataclass(frozen=True)
class ReportData:
    """One evaluated release. Text in it is not trusted: models wrote some of it.

    measurements  in the order in which they are shown
    history       runs of earlier releases, newest first; those that the verdict compared with, and others for the picture
    requests      step -> frame of the `requests` table's columns
    samples       step -> frame of the `samples` table's columns
    texts         step -> frame of suite, item_hash, prompt, answer, expected, reason, error: an item a row; texts may be null
    earlier_texts the same of the newest run that the verdict compared with, as far as it kept them
    tapes         step -> SHA-256 of the requests that were sent
    thresholds    those in force; None when they are not known
    item_counts   data set -> items in the snapshot
    links         label -> http(s) address or path, for the reader to follow
    warnings      whatever else the reader must know, a sentence each
    """

    target: Target
    verdict: Verdict
    finished_at: datetime
    measurements: Sequence[Measurement]
    history: Sequence[PastRun] = ()
    requests: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    samples: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    texts: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    earlier_texts: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    tapes: Mapping[str, str] = field(default_factory=dict)
    thresholds: Thresholds | None = None
    snapshot_hash: str | None = None
    item_counts: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def report_key(model_tag: str, run_id: str) -> str:
    """Where a run's report lies in the object store."""
    return f"reports/{model_tag}/{run_id}/report.html"
