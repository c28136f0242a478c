"""Files read row by row, whatever their size."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_quality.datasets.files import read_rows
from vllm_quality.datasets.rows import LONGEST_ROW, RowError

CHUNK = 2**20


def rows_of(place: Path, name: str, data: str | bytes) -> list[Any]:
    """Each row's value, or why it is none."""
    path = place / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    rows = list(read_rows(path))
    if name.endswith(".json"):
        assert [number for number, _ in rows] == list(range(1, len(rows) + 1))
    return [str(row) if isinstance(row, RowError) else row for _, row in rows]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[]", []),
        (" [ ] \n", []),
        ('\ufeff[1, [2, {}], "]" , null]\r\n', [1, [2, {}], "]", None]),
        ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ('{"a": 1}', [{"a": 1}]),
        ('{\n "a": 1\n}', ["is not a list of rows"]),
        ("", ["is not JSON: the file is empty"]),
        ("7x", ["is not a list of rows"]),
        ("[1, NaN, 2]", [1, "is not JSON: it holds NaN, Infinity or a number of thousands of digits", 2]),
        (
            "[1, 1" + "0" * 5000 + ", 2]",
            [1, "is not JSON: it holds NaN, Infinity or a number of thousands of digits", 2],
        ),
        (
            "[1, {,}, 2]",
            [1, "is not JSON: expecting property name enclosed in double quotes; the rest of the file was not read"],
        ),
        ("[1 2]", ["is not JSON: expecting ',' or ']'; the rest of the file was not read"]),
        ("[1, ", [1, "is not JSON: expecting value; the rest of the file was not read"]),
        ("[1, 2", [1, "is not JSON: expecting ',' or ']'; the rest of the file was not read"]),
        ('[1, "2', [1, "is not JSON: unterminated string starting at; the rest of the file was not read"]),
        ("[1]\n[2]", [1, "is behind the list's end, where nothing may stand; JSON lines are named .jsonl"]),
        ("[" * 100_000, ["is nested too deeply; the rest of the file was not read"]),
    ],
)
def test_a_json_file_is_a_list_of_rows_or_json_lines(tmp_path: Path, text: str, wanted: list[Any]) -> None:
    assert rows_of(tmp_path, "a.json", text) == wanted


def test_a_row_that_is_no_utf8_spoils_no_other(tmp_path: Path) -> None:
    assert rows_of(tmp_path, "a.json", b'["a", "\xff", "b"]') == ["a", "is not UTF-8", "b"]
    assert rows_of(tmp_path, "a.txt", b"a\n\xff\nb") == ["a", "is not UTF-8", "b"]


@pytest.mark.parametrize("shift", range(-20, 4))
def test_no_value_is_lost_where_two_chunks_meet(tmp_path: Path, shift: int) -> None:
    values = [12345678, -1.5e-7, "가\\\ud55c\n", True, None, {"a": [1]}, "\U0001f600", ""]
    text = '["' + "x" * (CHUNK + shift - 30) + '",' + json.dumps(values)[1:]
    assert rows_of(tmp_path, "a.json", text)[1:] == values


def test_a_long_list_is_read_through(tmp_path: Path) -> None:
    values = [{"n": number, "text": "가나다" * (number % 400)} for number in range(3000)]
    assert rows_of(tmp_path, "a.json", json.dumps(values, ensure_ascii=False, indent=1)) == values


def test_a_huge_row_is_set_aside(tmp_path: Path) -> None:
    huge = "x" * (LONGEST_ROW + 3 * CHUNK)
    assert rows_of(tmp_path, "a.json", f'["a", "{huge}", "b"]') == [
        "a",
        "is longer than 16 MiB, or is not JSON; the rest of the file was not read",
    ]
    assert rows_of(tmp_path, "a.txt", f"a\n{huge}\nb") == ["a", "is longer than 16 MiB", "b"]


def test_a_text_file_has_a_row_per_line_that_is_not_blank(tmp_path: Path) -> None:
    assert rows_of(tmp_path, "a.txt", "\ufeffone \r\n\n  two\nthree") == ["one ", "  two", "three"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
thorough = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@thorough
@given(values=st.lists(json_values), ascii_only=st.booleans(), indent=st.none() | st.integers(0, 2))
def test_a_list_is_read_as_json_has_it(tmp_path: Path, values: list[Any], ascii_only: bool, indent: int | None) -> None:
    assert rows_of(tmp_path, "a.json", json.dumps(values, ensure_ascii=ascii_only, indent=indent)) == values


@thorough
@given(text=st.text(st.sampled_from('[]{},:"\\u0d12345e+-. truefalsn\n가')))
def test_what_json_does_not_take_whole_is_not_taken_in_rows(tmp_path: Path, text: str) -> None:
    try:
        whole = json.loads(f"[{text}]")
    except ValueError:
        whole = None
    (tmp_path / "a.json").write_text(f"[{text}]", encoding="utf-8")
    rows = [row for _, row in read_rows(tmp_path / "a.json")]
    assert any(isinstance(row, RowError) for row in rows) if whole is None else rows == whole
