"""The format of a file is told from its rows, and the more particular one is taken."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vllm_quality.datasets.catalogue.detect import detect_format, detect_language, parse_columns, same_format
from vllm_quality.datasets.formats import Columns
from vllm_quality.datasets.schema import DatasetError, items_frame
from vllm_quality_tests.datasets.sets import lines, question

CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
STORED = {"id": "c1", "object": "chat.completion", "messages": CHAT[:1], "choices": [{"message": CHAT[1]}]}


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"messages": CHAT}, "openai_chat"),
        (STORED, "openai_stored"),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, "sharegpt"),
        ([{"prompt": "q", "response": "a"}], "qianfan"),
        ({"instruction": "q", "input": "", "output": "a"}, "alpaca"),
        ({"input": "q", "expected_output": "a"}, "deepeval"),
        ({"input": "q", "reference": "a"}, "jsonl"),
        ({"question": "q", "answer": "a"}, "prompt_response"),
    ],
)
def test_the_format_is_told_from_the_rows(tmp_path: Path, row: object, found: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines([row, row, {"unlike": "the others"}]) + "broken\n", encoding="utf-8")
    assert detect_format(path, Columns()) == found


def test_endings_and_named_columns_decide_as_well(tmp_path: Path) -> None:
    named = parse_columns("input=frage, reference=antwort,metadata=thema+stufe")
    assert (named.input, named.reference, named.metadata) == ("frage", "antwort", ("thema", "stufe"))
    row: dict[str, Any] = {"frage": "q", "antwort": "a"}
    for file, text, found in (
        ("a.jsonl", lines([row]), "jsonl"),
        ("a.json", json.dumps([row]), "json"),
        ("a.csv", "frage,antwort\nq,a\n", "csv"),
        ("a.txt", "q\n", "text"),
    ):
        (tmp_path / file).write_text(text, encoding="utf-8")
        assert detect_format(tmp_path / file, named) == found
    items_frame([question("q")]).write_parquet(tmp_path / "items.parquet")
    pl.DataFrame([row]).write_parquet(tmp_path / "a.parquet")
    assert detect_format(tmp_path / "items.parquet", Columns()) == "items"
    assert detect_format(tmp_path / "a.parquet", named) == "parquet"
    with pytest.raises(DatasetError, match="different formats"):
        same_format([tmp_path / "a.jsonl", tmp_path / "a.csv"], named)


def test_what_cannot_be_told_names_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines([{"frage": "q"}]), encoding="utf-8")
    with pytest.raises(DatasetError, match="give --columns"):
        detect_format(tmp_path / "a.jsonl", Columns())
    (tmp_path / "a.doc").touch()
    with pytest.raises(DatasetError, match="tells no kind of file"):
        detect_format(tmp_path / "a.doc", Columns())
    for given in ("input", "frage=input", "input="):
        with pytest.raises(DatasetError, match="--columns has"):
            parse_columns(given)


def test_the_language_is_that_of_most_items() -> None:
    korean = [question(f"{number}번 택배는 언제 오나요") for number in range(8)]
    english = [question(f"When does parcel {number} come to the house?") for number in range(2)]
    assert detect_language([*korean, *english]) == "ko"
    assert detect_language([*korean[:5], *english, *english, *english]) == "mul"
    assert detect_language([]) == "und"
