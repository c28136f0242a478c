"""Logs of many forms, in folders and buckets, packed or broken."""

import datetime as dt
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.datasets.rows import BadRow
from vllm_quality.datasets.traffic.log_place import prefix_of
from vllm_quality.datasets.traffic.record import Record
from vllm_quality.datasets.traffic.source import TrafficError, open_source
from vllm_quality.settings import SettingsError, load_settings
from vllm_quality_tests.datasets.traffic.rows import DAY, NOON, completion, logs, silent
from vllm_quality_tests.results.conftest import aws, s3_endpoint

__all__ = ["aws", "s3_endpoint"]


def packed(rows: Iterable[object]) -> bytes:
    return gzip.compress(lines(rows))


def lines(rows: Iterable[object]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def put(place: Path, data: bytes) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


def asked(source: Any) -> list[str | None]:
    """What the rows ask; None for a row that cannot be read."""
    return [
        source.query(found).messages[-1].content if isinstance(found, Record) else None
        for found in source.records(DAY, {})
    ]


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("s3://b/logs/{day}", "s3://b/logs/2026-11-02"),
        ("s3://b/{year}/{month}/{day}/", "s3://b/2026/11/02/"),
        ("file:///l/y={year}/{day}.jsonl", "file:///l/y=2026/02.jsonl"),
        ("file:///l/all", "file:///l/all"),
    ],
)
def test_the_day_has_its_places_in_the_address(url: str, prefix: str) -> None:
    assert prefix_of(url, dt.date(2026, 11, 2)) == prefix


def test_all_logs_that_begin_with_the_prefix_are_read_in_order(tmp_path: Path) -> None:
    put(tmp_path / "2026-11-20" / "b.jsonl.gz", packed([{"prompt": "two"}]))
    put(tmp_path / "2026-11-20" / "a.jsonl", b"\xef\xbb\xbf" + lines([{"prompt": "one"}]) + b"\n  \n")
    put(tmp_path / "2026-11-20" / "deeper" / "c.log", lines([{"prompt": "three"}]))
    put(tmp_path / "2026-11-20" / "notes.txt", b"not a log")
    put(tmp_path / "2026-11-21" / "a.jsonl", lines([{"prompt": "another day"}]))
    source = logs(tmp_path / "{day}/")
    assert asked(source) == ["one", "two", "three"]
    places = [(found.file, found.line) for found in source.records(DAY, {})]
    assert places == [("2026-11-20/a.jsonl", 1), ("2026-11-20/b.jsonl.gz", 1), ("2026-11-20/deeper/c.log", 1)]


REQUEST = {"model": "m", "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}]}
ANSWER = {"id": "x", "created": NOON, "choices": [{"message": {"role": "assistant", "content": "Hi."}}]}
FORMS: Mapping[str, dict[str, Any]] = {
    "openai_chat": {"messages": [*REQUEST["messages"], {"role": "assistant", "content": "Hi."}]},
    "request and response": {"request": REQUEST, "response": ANSWER},
    "bodies": {"request": {"body": REQUEST}, "response": {"status_code": 200, "body": ANSWER}},
    "JSON in strings": {"request": json.dumps(REQUEST), "response": json.dumps(ANSWER), "timestamp": NOON},
    "body of a batch": {"custom_id": "1", "method": "POST", "body": REQUEST},
    "completion": completion(1, "Hello?"),
    "text parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}]},
    "prompt": {"prompt": "Hello?", "response": "Hi."},
    "query": {"query": "Hello?", "answer": "Hi."},
    "input": {"input": [{"role": "user", "content": "Hello?"}], "output": "Hi."},
    "completions API": {"request": {"prompt": "Hello?"}, "response": {"choices": [{"text": "Hi."}]}},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_a_row_is_told_by_its_fields_and_the_answer_is_left_away(tmp_path: Path, form: str) -> None:
    put(tmp_path / "2026-11-20.jsonl", lines([FORMS[form]]))
    source = logs(tmp_path / "{day}")
    (found,) = source.records(DAY, {})
    question = source.query(found)
    assert question.messages[-1].content == "Hello?"
    assert question.messages[-1].role == "user"
    assert question.reference is None


@pytest.mark.parametrize(
    "time",
    [
        {"created": NOON},
        {"created": float(NOON)},
        {"timestamp": NOON * 1000},
        {"ts": str(NOON * 10**6)},
        {"time": NOON * 10**9},
        {"time": 0.25, "created_at": "2026-11-20T12:00:00Z"},
        {"@timestamp": "2026-11-20T12:00:00"},
        {"startTime": "2026-11-20 21:00:00+09:00"},
        {"request": {"created": NOON}},
    ],
)
def test_a_time_stamp_is_read_in_the_forms_that_loggers_write(tmp_path: Path, time: dict[str, Any]) -> None:
    put(tmp_path / "all.jsonl", lines([{"prompt": "Hello?", **time}]))
    (found,) = logs(tmp_path / "all").records(DAY, {})
    assert found.moment == dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def test_rows_that_cannot_be_read_are_told_by_place_and_reason_and_never_quoted(tmp_path: Path) -> None:
    rows = [b'{"prompt": "secret', b"[1]", b'{"prompt": "\xff"}', b'{"prompt": "x", "created": "secret"}', b"x" * 2**25]
    put(tmp_path / "2026-11-20.jsonl", b"\n".join([*rows, lines([{"prompt": "fine"}])]))
    found = list(logs(tmp_path / "{day}").records(DAY, {}))
    bad = [row for row in found if isinstance(row, BadRow)]
    assert [row.line for row in bad] == [1, 2, 3, 4, 5]
    assert "secret" not in str(bad)
    assert len(found) == 6


def test_a_day_without_a_log_is_not_a_day_without_queries(tmp_path: Path) -> None:
    put(tmp_path / "2026-11-19.jsonl", lines([{"prompt": "x"}]))
    with pytest.raises(TrafficError, match=r"No log of .* begins with .*2026-11-20, so nothing is known of 2026-11-20"):
        list(logs(tmp_path / "{day}").records(DAY, {}))
    put(tmp_path / "2026-11-20.txt", b"")
    with pytest.raises(TrafficError, match=r"\(1 others begin so\)"):
        list(logs(tmp_path / "{day}").records(DAY, {}))
    put(tmp_path / "2026-11-20.jsonl", b"")
    assert list(logs(tmp_path / "{day}").records(DAY, {})) == []
    with pytest.raises(TrafficError, match="nothing is known"):
        list(logs(tmp_path / "none" / "{day}/").records(DAY, {}))


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_packed_log_that_is_cut_off_is_an_error(tmp_path: Path, keep: float) -> None:
    data = packed({"prompt": f"question {number}"} for number in range(5000))
    put(tmp_path / "2026-11-20.jsonl.gz", data[: int(len(data) * keep)])
    with pytest.raises(TrafficError, match=r"2026-11-20.jsonl.gz is broken or cut off behind line \d+"):
        list(logs(tmp_path / "{day}").records(DAY, {}))


def test_what_is_no_gzip_under_its_name_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "2026-11-20.jsonl.gz", lines([{"prompt": "x"}]))
    with pytest.raises(TrafficError, match="broken or cut off behind line 0"):
        list(logs(tmp_path / "{day}").records(DAY, {}))


@pytest.mark.parametrize("url", ["ftp://x", "s3:///x", "file://host/x", "https://u:p@h/v1", "https://h/v1?key=s3cret"])
def test_an_address_that_is_none_is_one_sentence(url: str) -> None:
    with pytest.raises(SettingsError, match="VLLM_QUALITY_QUERIES_URL must") as caught:
        load_settings(queries_url=url)
    assert "s3cret" not in str(caught.value)


def test_no_address_is_one_sentence() -> None:
    with pytest.raises(TrafficError, match="VLLM_QUALITY_QUERIES_URL is not set, so there are no service queries"):
        open_source(load_settings(), silent)


@pytest.fixture
def bucket(aws: None, s3_endpoint: str) -> Iterator[Any]:
    import boto3

    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="logs")
    yield client
    for found in client.list_objects_v2(Bucket="logs").get("Contents", ()):
        client.delete_object(Bucket="logs", Key=found["Key"])
    client.delete_bucket(Bucket="logs")


def test_logs_in_a_bucket(bucket: Any, s3_endpoint: str) -> None:
    rows = [{"prompt": f"question {number}"} for number in range(3)]
    bucket.put_object(Bucket="logs", Key="2026/11/20/a.jsonl.gz", Body=packed(rows[:2]))
    bucket.put_object(Bucket="logs", Key="2026/11/20/b.jsonl", Body=lines(rows[2:]))
    bucket.put_object(Bucket="logs", Key="2026/11/2", Body=b"another")
    source = open_source(load_settings(queries_url="s3://logs/{year}/{month}/{day}/", s3_endpoint=s3_endpoint), silent)
    assert asked(source) == ["question 0", "question 1", "question 2"]


def test_a_bucket_that_is_not_there_is_an_error(aws: None, s3_endpoint: str) -> None:
    source = open_source(load_settings(queries_url="s3://nowhere/{day}", s3_endpoint=s3_endpoint), silent)
    with pytest.raises(TrafficError, match=r"does not give s3://nowhere/2026-11-20 \(NoSuchBucket\)"):
        list(source.records(DAY, {}))
