"""The audit log: what happened in a run, one JSON object a line, written once when the run has ended."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from vllm_quality.results.objects import ObjectsError, ObjectStore


def audit_key(run_id: str, started_at: datetime) -> str:
    """`audit/<yyyy>/<mm>/<run_id>.jsonl`, by the month in UTC in which the run started.

    The start and not the moment of writing: a log that is written again after a crash then finds the first one in place.
    """
    if started_at.utcoffset() is None:
        raise ObjectsError(f"The start of run {run_id} is a time without a zone; give it one, such as UTC.")
    return f"audit/{started_at.astimezone(UTC):%Y/%m}/{run_id}.jsonl"


def write_audit_log(
    objects: ObjectStore, run_id: str, started_at: datetime, events: Iterable[Mapping[str, Any]]
) -> str:
    """Store the events of a run in their order; the log's key. A log that is there already stays as it is.

    `run_id` is Dagster's, not the evaluation's: a re-execution goes on with an evaluation, but has a log of its own.
    Lines end in "\\n" alone; other line separators inside a text are kept, so do not read it with `str.splitlines`.
    """
    key = audit_key(run_id, started_at)
    lines = [json.dumps(event, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n" for event in events]
    objects.put(key, "".join(lines).encode(), "application/x-ndjson")
    return key
