"""One log per run, in the month the run started."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from vllm_quality.results.audit import write_audit_log
from vllm_quality.results.objects import ObjectsError, ObjectStore

START = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)


def test_a_log_is_one_event_a_line_in_order(objects: ObjectStore) -> None:
    events: list[dict[str, object]] = [
        {"event": "STEP_START", "text": "line\nbreak\u2028and 한국어"},
        {"event": "RUN_SUCCESS", "n": 1},
    ]
    key = write_audit_log(objects, "run-1", START, events)
    assert key == "audit/2026/11/run-1.jsonl"
    lines = objects.get(key).decode().split("\n")
    assert [json.loads(line) for line in lines[:-1]] == events
    assert lines[-1] == ""


def test_a_log_that_is_there_stays(objects: ObjectStore) -> None:
    write_audit_log(objects, "run-1", START, [{"event": "first"}])
    key = write_audit_log(objects, "run-1", START, [{"event": "second"}])
    assert b"first" in objects.get(key)
    assert objects.list("audit/") == [key]


def test_the_month_is_that_of_utc(objects: ObjectStore) -> None:
    seoul = (START + timedelta(hours=1)).astimezone(timezone(timedelta(hours=9)))
    assert write_audit_log(objects, "run-2", seoul, []) == "audit/2026/12/run-2.jsonl"
    with pytest.raises(ObjectsError, match="without a zone"):
        write_audit_log(objects, "run-3", START.replace(tzinfo=None), [])
