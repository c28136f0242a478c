"""Traces of real traffic read as arrivals, whoever published them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_quality.load.data.traces import Arrival, read_trace, read_trace_file
from vllm_quality.load.errors import LoadError

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
2023-11-16 18:17:05.9799600,110,27
"""
AZURE_2024 = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 00:00:00.009930+00:00,2162,5
2024-05-10 00:00:00.017335+00:00,2399,6
"""
BURST_GPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,0,1087,Conversation log
"""
MOONCAKE = """{"timestamp": 3000, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}
{"timestamp": 3052, "input_length": 7322, "output_length": 490, "hash_ids": [0]}
"""
BAILIAN = """{"chat_id": 1, "timestamp": 61.5, "input_length": 10, "output_length": 20, "type": "text", "hash_ids": [1]}
{"chat_id": 2, "timestamp": 62.0, "input_length": 11, "output_length": 21, "type": "text", "hash_ids": [1]}
"""


def written(place: Path, name: str, content: str | bytes) -> Path:
    path = place / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("azure.csv", AZURE, [(0, 4808, 10), (0.052, 3180, 8), (2, 110, 27)]),
        ("azure.csv", AZURE_2024, [(0, 2162, 5), (0.007405, 2399, 6)]),
        ("burst.csv", BURST_GPT, [(0, 472, 18), (40, 1087, None)]),
        ("mooncake.jsonl", MOONCAKE, [(0, 6758, 500), (0.052, 7322, 490)]),
        ("bailian.jsonl", BAILIAN, [(0, 10, 20), (0.5, 11, 21)]),
        ("own.csv", "offset_s\n0\n0.25\n", [(0, None, None), (0.25, None, None)]),
        ("own.csv", "offset_ms,input_tokens\n10,5\n260,\n", [(0, 5, None), (0.25, None, None)]),
        (
            "own.jsonl",
            '{"timestamp": 1700000000.5}\n{"timestamp": 1700000000.75}\n',
            [(0, None, None), (0.25, None, None)],
        ),
        ("own.json", '[{"timestamp_ms": 1700000000500, "output_tokens": 7}]', [(0, None, 7)]),
        ("own.csv", "arrived_at,num_prefill_tokens,num_decode_tokens\n0.1,3,4\n", [(0, 3, 4)]),
    ],
)
def test_a_trace_is_read(
    tmp_path: Path, name: str, content: str, wanted: list[tuple[float, int | None, int | None]]
) -> None:
    for data in (content, "\ufeff" + content, content.replace("\n", "\r\n")):
        assert read_trace(written(tmp_path, name, data)) == [Arrival(*arrival) for arrival in wanted]


def test_dates_in_parquet_are_read(tmp_path: Path) -> None:
    times = [datetime(2024, 5, 10, 0, 0, second, tzinfo=UTC) for second in (3, 1)]
    pl.DataFrame({"TIMESTAMP": times, "ContextTokens": [1, 2]}).write_parquet(tmp_path / "a.parquet")
    assert read_trace(tmp_path / "a.parquet") == [Arrival(0, 2, None), Arrival(2, 1, None)]


def test_bad_rows_are_named_and_the_rest_is_sorted(tmp_path: Path) -> None:
    rows = ["7", "nan", "1e400", "soon", "", "-1", "3"]
    content = "offset_s,input_tokens\n" + "".join(f"{row},1\n" for row in rows) + "4,many\n5,2.5\n6,-1\n7,1000001\n"
    found = read_trace_file(written(tmp_path, "own.csv", content))
    assert [arrival.offset_s for arrival in found.arrivals] == [0, 4, 8]
    assert (found.rows, found.bad_rows) == (11, 8)
    assert [row.line for row in found.quarantined] == [3, 4, 5, 6, 9, 10, 11, 12]
    assert found.quarantined[2].why == "has a time that is neither a number nor a date"
    assert found.quarantined[3].why.startswith("has no time in 'timestamp'")
    assert found.quarantined[-1].why == "has a length of more than 1000000 tokens"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("own.csv", "when\n1\n", r"no row that can be used as a request \(of 1\): row 2 has no time"),
        ("own.csv", "timestamp\n", "no row that can be used"),
        ("own.jsonl", '{"timestamp": 1700000000000}', "name the column timestamp_ms"),
        ("own.jsonl", "[1]\n", "is not an object with named fields"),
        ("own.txt", "1\n", "ending that no trace has"),
        ("none/own.csv", None, "cannot be read"),
    ],
)
def test_what_is_no_trace_is_one_sentence(tmp_path: Path, name: str, content: str | None, why: str) -> None:
    with pytest.raises(LoadError, match=why) as caught:
        read_trace(tmp_path / name if content is None else written(tmp_path, name, content))
    assert "\n" not in str(caught.value)


thorough = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
cell = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=12)
names = st.sampled_from(
    ["timestamp", "TIMESTAMP", "offset_s", "timestamp_ms", "input_length", "Response tokens", "hash_ids"]
)


@thorough
@given(rows=st.lists(st.dictionaries(names, cell, max_size=4), min_size=1, max_size=6))
def test_every_row_arrives_or_is_set_aside(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = written(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    try:
        found = read_trace_file(path)
    except LoadError:
        return
    assert found.rows == len(rows) == len(found.arrivals) + found.bad_rows
    offsets = [arrival.offset_s for arrival in found.arrivals]
    assert offsets[0] == 0
    assert offsets == sorted(offsets)


@thorough
@given(data=st.binary(max_size=100), ending=st.sampled_from(["csv", "jsonl", "json"]))
def test_any_bytes_are_a_trace_or_a_sentence(tmp_path: Path, data: bytes, ending: str) -> None:
    path = written(tmp_path, f"a.{ending}", b"timestamp\n" * (ending == "csv") + data)
    try:
        found = read_trace_file(path)
    except LoadError:
        return
    assert found.rows == len(found.arrivals) + found.bad_rows
