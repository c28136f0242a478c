"""Files through `vllm-quality anonymise`."""

import csv
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.cli import cli
from vllm_quality.datasets.files import read_rows
from vllm_quality.datasets.pii.anonymise import anonymise_file
from vllm_quality.datasets.pii.anonymiser import build_anonymiser
from vllm_quality.datasets.pii.rows import clean_row
from vllm_quality.datasets.schema import DatasetError

ROWS: list[Mapping[str, Any]] = [
    {"id": "a", "text": "제 번호는 010-0000-1234입니다."},
    {"id": "b", "text": "write to hong@example.com, please"},
    {"id": "c", "text": "nothing here"},
]
FOUND = [
    [{"type": "PHONE", "field": "text", "start": 6, "end": 19}],
    [{"type": "EMAIL", "field": "text", "start": 9, "end": 25}],
    [],
]
TEXTS = ["제 번호는 <PHONE>입니다.", "write to <EMAIL>, please", "nothing here"]
Runs = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    monkeypatch.delenv("VLLM_QUALITY_PII_KEY", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["anonymise", *arguments], standalone_mode=False)

    return run


def write(path: Path, rows: list[Any]) -> Path:
    if path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif path.suffix == ".csv":
        pl.DataFrame(rows).write_csv(path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[Any]:
    return [row for _, row in read_rows(path)]


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def entities(row: Mapping[str, Any]) -> Any:
    return json.loads(row["entities"]) if isinstance(row["entities"], str) else row["entities"]


@pytest.mark.parametrize("out", ["out.jsonl", "out.json", "out.csv", "out.parquet"])
@pytest.mark.parametrize("source", ["in.jsonl", "in.ndjson", "in.json", "in.csv", "in.parquet"])
def test_every_kind_of_file_becomes_every_kind(run: Runs, source: str, out: str) -> None:
    write(Path(source), ROWS)
    assert run(source, "--out", out).return_value == 0
    rows = read(Path(out))
    assert [row["text"] for row in rows] == TEXTS
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert [entities(row) for row in rows] == FOUND
    assert names() == sorted([source, out])


def test_the_summary_says_what_was_done_and_what_was_not(run: Runs) -> None:
    write(Path("in.jsonl"), ROWS)
    told = run("in.jsonl", "--out", "out.jsonl").output
    assert "3 rows written to out.jsonl; something was found in 2 of them." in told
    assert re.search(r"EMAIL +1\n", told)
    assert "VLLM_QUALITY_PII_KEY is not set" in told
    assert "postal addresses" in told


def test_with_a_key_equal_values_have_equal_pseudonyms_within_a_set(run: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_QUALITY_PII_KEY", "0123456789abcdef-never-shown")
    write(Path("in.jsonl"), [{"id": "1", "text": "010-0000-1234, 01000001234"}])
    told = run("in.jsonl", "--out", "one.jsonl").output
    assert "0123456789abcdef" not in told
    assert run("in.jsonl", "--out", "two.jsonl", "--dataset", "other").return_value == 0
    one, two = (read(Path(name))[0]["text"] for name in ("one.jsonl", "two.jsonl"))
    assert len(set(one.split(", "))) == len(set(two.split(", "))) == 1
    assert one != two
    assert Path("one.jsonl").read_bytes() != Path("two.jsonl").read_bytes()
    run("in.jsonl", "--out", "again.jsonl", "--dataset", "in")
    assert Path("again.jsonl").read_bytes() == Path("one.jsonl").read_bytes()


def test_bad_rows_are_named_and_not_quoted(run: Runs) -> None:
    good = json.dumps(ROWS[0])
    Path("in.jsonl").write_text(f'{good}\n{{"id": "hong@example.com" "text"}}\n{{"id": 3}}\n\n[1]\n{good}\n')
    result = run("in.jsonl", "--out", "out.jsonl")
    assert result.return_value == 0
    assert "3 rows were left out:" in result.output
    assert "in.jsonl row 2 is not JSON" in result.output
    assert "in.jsonl row 3 has no text" in result.output
    assert "in.jsonl row 5 " in result.output
    assert "hong@" not in result.output
    assert len(read(Path("out.jsonl"))) == 2


@pytest.mark.parametrize(
    ("format", "row", "expected"),
    [
        (
            "sharegpt",
            {"id": "x", "conversations": [{"from": "human", "value": "메일 a@example.com"}]},
            {"id": "x", "conversations": [{"from": "human", "value": "메일 <EMAIL>"}]},
        ),
        (
            "openai_chat",
            {
                "messages": [{"role": "user", "content": [{"type": "text", "text": "a@example.com"}]}],
                "user": "홍길동님",
            },
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "<EMAIL>"}]}], "user": "<PERSON>님"},
        ),
        (
            "alpaca",
            {"instruction": "call", "input": "010-0000-1234", "output": "ok"},
            {"instruction": "call", "input": "<PHONE>", "output": "ok"},
        ),
        ("jsonl", {"input": "a@example.com", "n": 10}, {"input": "<EMAIL>", "n": 10}),
    ],
)
def test_a_registered_format_stays_itself(run: Runs, format: str, row: Any, expected: Any) -> None:
    write(Path("in.jsonl"), [row])
    for given_format in ((), ("--format", format)):
        assert run("in.jsonl", "--out", "out.jsonl", *given_format).return_value == 0
        made = read(Path("out.jsonl"))[0]
        places = made.pop("entities")
        assert made == expected
        assert places


def test_rows_that_are_lists_have_entities_in_each_turn(run: Runs) -> None:
    write(Path("in.json"), [[{"prompt": "저는 홍길동입니다", "response": "네"}, {"prompt": "안녕", "response": None}]])
    assert run("in.json", "--out", "out.json").return_value == 0
    first, second = read(Path("out.json"))[0]
    assert first["prompt"] == "저는 <PERSON>입니다"
    assert first["entities"] == [{"type": "PERSON", "field": "prompt", "start": 3, "end": 6}]
    assert second["entities"] == []
    with pytest.raises(DatasetError, match=r"let the output end in \.jsonl"):
        anonymise_file(Path("in.json"), Path("out.csv"), build_anonymiser(None, "x"), None, lambda *_: None)


def test_lines_of_text_become_rows(run: Runs) -> None:
    Path("in.txt").write_text("010-0000-1234\nhello\n", encoding="utf-8")
    assert run("in.txt", "--out", "out.csv").return_value == 0
    assert [row["text"] for row in read(Path("out.csv"))] == ["<PHONE>", "hello"]


def test_parquet_keeps_its_types(run: Runs) -> None:
    frame = pl.DataFrame(
        {"text": ["a@example.com"], "day": [1], "tags": [["x", "b@example.com"]]},
        schema={"text": pl.String, "day": pl.Int16, "tags": pl.List(pl.String)},
    ).with_columns(pl.lit("2026-01-01").str.to_date().alias("date"))
    frame.write_parquet("in.parquet")
    assert run("in.parquet", "--out", "out.parquet").return_value == 0
    made = pl.read_parquet("out.parquet")
    assert made.drop("entities").schema == frame.schema
    assert made["tags"].to_list() == [["x", "<EMAIL>"]]
    assert made["entities"].to_list()[0][1]["field"] == "tags[1]"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["in.jsonl", "--out", "in.jsonl"], "is the input itself"),
        (["in.jsonl", "--out", "out.txt"], "ending"),
        (["in.xml", "--out", "out.jsonl"], "ending"),
        (["none.jsonl", "--out", "out.jsonl"], "none of its first rows"),
        (["in.jsonl", "--out", "folder.jsonl"], "is a folder"),
        (["in.jsonl", "--out", "out.jsonl", "--format", "sharegpt"], "no row that can be used (of 3): row 1 has no"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(run: Runs, arguments: list[str], sentence: str) -> None:
    write(Path("in.jsonl"), ROWS)
    Path("in.xml").write_text("<a/>")
    Path("none.jsonl").write_text("{}\n", encoding="utf-8")
    Path("folder.jsonl").mkdir()
    before = names()
    result = run(*arguments)
    assert isinstance(result.exception, DatasetError)
    assert sentence in str(result.exception)
    assert names() == before


def test_a_run_that_is_cut_off_leaves_the_old_output(run: Runs) -> None:
    write(Path("in.jsonl"), ROWS * 500)
    Path("out.jsonl").write_text("old", encoding="utf-8")

    def stop(_stage: str, done: int, _of: int) -> None:
        if done > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        anonymise_file(Path("in.jsonl"), Path("out.jsonl"), build_anonymiser(None, "x"), None, stop)
    assert Path("out.jsonl").read_text(encoding="utf-8") == "old"
    assert names() == ["in.jsonl", "out.jsonl"]


def test_progress_knows_how_many_rows_there_are(run: Runs) -> None:
    said: list[tuple[str, int, int]] = []
    for name in ("in.jsonl", "in.parquet"):
        write(Path(name), ROWS * 100)
        anonymise_file(Path(name), Path("out.jsonl"), build_anonymiser(None, "x"), None, lambda *at: said.append(at))
    assert said == [("anonymising", 200, 300)] * 2


def test_columns_of_a_csv_that_differ_by_row_are_all_there(run: Runs) -> None:
    write(Path("in.jsonl"), [{"id": "1", "text": "a"}, {"id": "2", "text": "b", "more": {"x": [1]}}])
    assert run("in.jsonl", "--out", "out.csv").return_value == 0
    with Path("out.csv").open(encoding="utf-8", newline="") as stream:
        assert [*csv.reader(stream)] == [
            ["id", "text", "more", "entities"],
            ["1", "a", "", "[]"],
            ["2", "b", '{"x": [1]}', "[]"],
        ]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["010-0000-1234", "a@example.com"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4) | st.lists(json_values, max_size=3) | st.text())
def test_no_row_keeps_a_value_and_every_place_is_one(row: Any) -> None:
    clean = clean_row(row, build_anonymiser(None, "rows")) if row else None
    written = json.dumps(clean.row if clean else None, ensure_ascii=False)
    assert "010-0000-1234" not in written
    assert "a@example.com" not in written
