"""Everything a report is made of, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from vllm_quality.results.measurement import Measurement
from vllm_quality.results.rows import PastRun
from vllm_quality.serving.target import Target
from vllm_quality.verdict.types import Verdict


@dataclass(frozen=True)
class ReportData:
    """One evaluated release. Text in it is not trusted: models wrote some of it.

    measurements  in the order in which they are shown
    history       earlier runs, newest first; those that the verdict compared with, and others for the picture
    requests      step -> frame of the `requests` table's columns
    samples       step -> frame of the `samples` table's columns
    texts         step -> frame of item_hash, prompt, answer, expected, error: an item a row, any of them may be null
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
    snapshot_hash: str | None = None
    item_counts: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def report_key(model_tag: str, run_id: str) -> str:
    """Where a run's report lies in the object store."""
    return f"reports/{model_tag}/{run_id}/report.html"
