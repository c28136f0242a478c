"""Every format read into the one schema, and every row that cannot be read set aside with its place and reason."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_quality.datasets.formats import FORMATS
from vllm_quality.datasets.reading import iterate_set
from vllm_quality.datasets.rows import LONGEST_ROW
from vllm_quality.datasets.schema import DatasetError, Item
from vllm_quality_tests.datasets.sets import lines, read_set, write_set

Asked = tuple[list[tuple[str, str]], str | None, tuple[str, ...], dict[str, Any]]


def asked(item: Item) -> Asked:
    messages = [(message.role, message.content) for message in item.messages]
    return messages, item.reference, item.choices, json.loads(item.metadata)


USER = [("user", "What?")]
CONTEXT = {"context": ["A passage."]}
COLUMNS = {"input": "q", "reference": "gold", "choices": "options", "system": "role", "metadata": ["topic"]}
NAMED = {"q": "What?", "gold": 3, "options": ["3", "4"], "topic": "sums", "other": 1}
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": [{"type": "text", "text": "What"}, {"type": "text", "text": "?"}]},
]
SAID = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "What?")]


@pytest.mark.parametrize(
    ("name", "row", "columns", "wanted"),
    [
        ("jsonl", {"input": "What?"}, {}, (USER, None, (), {})),
        ("jsonl", NAMED, COLUMNS, (USER, "3", ("3", "4"), {"topic": "sums"})),
        ("jsonl", {**NAMED, "role": "Be brief."}, COLUMNS, ([SAID[0], *USER], "3", ("3", "4"), {"topic": "sums"})),
        ("jsonl", {"messages": CHAT, "reference": "That."}, {}, (SAID, "That.", (), {})),
        ("openai_chat", {"messages": CHAT}, {}, (SAID, None, (), {})),
        ("openai_chat", {"messages": [*CHAT, {"role": "assistant", "content": "That."}]}, {}, (SAID, "That.", (), {})),
        (
            "sharegpt",
            {"id": "x", "conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "That."}]},
            {},
            (USER, "That.", (), {}),
        ),
        ("alpaca", {"instruction": "What?", "input": "", "output": "That."}, {}, (USER, "That.", (), {})),
        (
            "alpaca",
            {"instruction": "Sum", "input": "1, 2", "output": "3"},
            {},
            ([("user", "Sum\n\n1, 2")], "3", (), {}),
        ),
        (
            "deepeval",
            {"input": "What?", "expected_output": "That.", "retrieval_context": ["A passage."]},
            {},
            (USER, "That.", (), CONTEXT),
        ),
        (
            "deepeval",
            {"input": "What?", "expectedOutput": "That.", "context": ["A passage."]},
            {},
            (USER, "That.", (), CONTEXT),
        ),
        ("deepeval", {"scenario": "s", "turns": CHAT}, {}, (SAID, None, (), {"scenario": "s"})),
        (
            "qianfan",
            [
                {"prompt": "Hi", "response": "Hello", "system": "Be brief."},
                {"prompt": "What?", "response": [["That."]]},
            ],
            {},
            (SAID, "That.", (), {}),
        ),
        ("qianfan", [{"prompt": "What?", "response": []}], {}, (USER, None, (), {})),
        ("prompt_response", {"prompt": "What?", "response": "That."}, {}, (USER, "That.", (), {})),
        ("prompt_response", {"question": "What?", "answer": "That.", "text": "x"}, {}, (USER, "That.", (), {})),
        ("prompt_response", NAMED, COLUMNS, (USER, "3", ("3", "4"), {"topic": "sums"})),
    ],
)
def test_a_row_is_understood(tmp_path: Path, name: str, row: Any, columns: dict[str, Any], wanted: Asked) -> None:
    for ending in {".jsonl", ".json"} & set(FORMATS[name].endings):  # type: ignore[index]
        text = lines([row]) if ending == ".jsonl" else json.dumps([row], indent=1)
        source = write_set(tmp_path, ending[1:], {f"rows{ending}": text}, format=name, columns=columns, role="traffic")
        (item,) = read_set(source).items
        assert asked(item) == wanted
        assert (item.dataset, item.role, item.source_file, item.source_line) == (
            ending[1:],
            "traffic",
            f"rows{ending}",
            1,
        )


def test_csv_and_parquet_hold_the_same_as_json_lines(tmp_path: Path) -> None:
    texts = ['a "quoted", one', "두\n줄", "plain"]
    rows = [{"q": text, "gold": "yes", "options": ["yes", "no"], "topic": None} for text in texts]
    cells = '"a ""quoted"", one"', '"두\n줄"', "plain"
    csv = "q,gold,options,topic\n" + "".join(f'{cell},yes,"[""yes"", ""no""]",\n' for cell in cells)
    parquet = tmp_path / "rows.parquet"
    pl.DataFrame(rows, schema_overrides={"topic": pl.String}).write_parquet(parquet)
    files: dict[str, dict[str, str | bytes]] = {
        "jsonl": {"rows.jsonl": "\ufeff" + lines(rows) + "\n\n"},
        "csv": {"rows.csv": "\ufeff" + csv},
        "parquet": {"rows.parquet": parquet.read_bytes()},
    }
    found = {
        name: read_set(write_set(tmp_path, name, content, format=name, columns=COLUMNS)).items
        for name, content in files.items()
    }
    wanted: list[Asked] = [([("user", text)], "yes", ("yes", "no"), {}) for text in texts]
    assert {name: [asked(item) for item in items] for name, items in found.items()} == dict.fromkeys(files, wanted)
    assert [item.source_line for item in found["csv"]] == [2, 3, 5]
    assert [item.source_line for item in found["parquet"]] == [1, 2, 3]


def test_each_line_of_a_text_is_a_question(tmp_path: Path) -> None:
    contents = read_set(write_set(tmp_path, "mine", {"rows.txt": "What?\r\n\nWhy?\n"}, format="text"))
    assert [(item.input, item.source_line) for item in contents.items] == [("What?", 1), ("Why?", 3)]


def test_answers_cut_off_from_their_question_are_left_out(tmp_path: Path) -> None:
    turns = [{"from": "gpt", "value": "And so on."}, {"from": "human", "value": "What?"}]
    rows = lines([{"conversations": turns}, {"conversations": turns[:1]}])
    contents = read_set(write_set(tmp_path, "mine", {"rows.jsonl": rows}, format="sharegpt"))
    assert [asked(item) for item in contents.items] == [(USER, None, (), {})]
    assert [bad.why for bad in contents.quarantined] == ["has no user message at the end of its conversation"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": "Hi"}, "is not a list of turns"),
        ([{"prompt": "Hi"}, {"prompt": "What?"}], "has a turn 1 without a 'response', though others follow"),
        ([{"response": "Hi"}], "has no text in 'prompt'"),
        (["Hi"], "has a turn 1 that is no object"),
        ([{"prompt": "Hi", "response": {}}], "has 'response' that is neither text nor number"),
    ],
)
def test_what_is_no_conversation_of_qianfans_is_set_aside(tmp_path: Path, row: Any, why: str) -> None:
    rows = lines([row, [{"prompt": "Hi"}]])
    contents = read_set(write_set(tmp_path, "mine", {"rows.jsonl": rows}, format="qianfan"))
    assert [bad.why for bad in contents.quarantined] == [why]


GOOD = '{"input": "What?"}'


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ('{"input": "What?"', "is not JSON"),
        ('{"input": NaN}', "is not JSON: NaN is no number"),
        ('{"input": 1' + "0" * 5000 + "}", "is not JSON"),
        ("[" * 100_000, "is nested too deeply"),
        ('"What?"', "is not an object with named fields"),
        ('{"question": "What?"}', "has no text in 'input'"),
        ('{"input": "  "}', "has no text in 'input'"),
        ('{"input": ["What?"]}', "has 'input' that is neither text nor number"),
        ('{"input": "What?", "reference": true}', "has 'reference' that is neither text nor number"),
        ('{"input": "What?", "choices": "yes"}', "is not JSON"),
        ('{"input": "What?", "choices": [1]}', "has 'choices' that are not all texts"),
        (r'{"input": "\ud800"}', "holds half of a surrogate pair, which is no text"),
        ('{"messages": [{"role": "robot", "content": "x"}]}', "has a message 1 without a known 'role'"),
        ('{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "has a message 1 that is not text"),
        ('{"messages": [{"role": "assistant", "content": "x"}]}', "has no user message at the end of its conversation"),
        ('{"messages": [{"role": "user", "content": ""}]}', "has an empty question"),
        ('{"messages": []}', "has no user message at the end of its conversation"),
        ("x" * (LONGEST_ROW + 10), "is longer than 16 MiB"),
        ("\udcff", "is not UTF-8"),
    ],
)
def test_a_malformed_row_is_set_aside_and_reading_goes_on(tmp_path: Path, row: str, why: str) -> None:
    data = f"{GOOD}\n{row}\n{GOOD}\n".encode(errors="surrogateescape")
    contents = read_set(write_set(tmp_path, "mine", {"rows.jsonl": data}))
    assert [item.source_line for item in contents.items] == [1, 3]
    (bad,) = contents.quarantined
    assert (bad.file, bad.line) == ("rows.jsonl", 2)
    assert why in bad.why
    assert len(bad.why) < 120
    assert (contents.rows, contents.bad_rows) == (3, 1)


def test_malformed_csv_rows_are_set_aside(tmp_path: Path) -> None:
    data = b'input,reference\nWhat?,a\nWhat?\nWhat?,\xff\nWhat?,"a"x\nWhat?,b\n'
    contents = read_set(write_set(tmp_path, "mine", {"rows.csv": data}, format="csv"))
    assert [(item.source_line, item.reference) for item in contents.items] == [(2, "a"), (6, "b")]
    assert [(bad.line, bad.why) for bad in contents.quarantined] == [
        (3, "has 1 fields where the header has 2"),
        (4, "is not UTF-8"),
        (5, "is not CSV: ',' expected after '\"'"),
    ]


@pytest.mark.parametrize(
    ("name", "file", "data"),
    [
        ("json", "rows.json", b"{}"),
        ("json", "rows.json", b"[{]"),
        ("parquet", "rows.parquet", b"PAR1 no"),
        ("jsonl", "rows.jsonl", b"no\n"),
        ("csv", "rows.csv", b"input\n"),
        ("jsonl", "rows.jsonl", b""),
    ],
)
def test_a_set_without_a_usable_row_is_one_sentence(tmp_path: Path, name: str, file: str, data: bytes) -> None:
    with pytest.raises(DatasetError) as caught:
        read_set(write_set(tmp_path, "mine", {file: data}, format=name))
    assert "Data set 'mine' has no row that can be used" in str(caught.value)
    assert "dataset.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_reason_never_quotes_the_row(tmp_path: Path) -> None:
    secret = "010-1234-5678"
    rows = [f'{{"input": "{secret}"', json.dumps({"messages": [{"role": secret, "content": secret}]}), GOOD]
    contents = read_set(write_set(tmp_path, "mine", {"rows.jsonl": "\n".join(rows)}))
    assert contents.bad_rows == 2
    assert secret not in repr(contents.quarantined)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["input", "messages", "reference", "choices", "role", "content", "from", "value", "turns"])
            | st.sampled_from(
                ["conversations", "instruction", "output", "expected_output", "context", "topic", "prompt", "response"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["jsonl", "openai_chat", "sharegpt", "alpaca", "deepeval", "qianfan", "prompt_response"]),
    rows=st.lists(json_values, max_size=4),
)
def test_any_json_is_either_an_item_or_set_aside(tmp_path: Path, name: str, rows: list[Any]) -> None:
    data = "".join(json.dumps(row) + "\n" for row in rows)
    source = write_set(tmp_path, "mine", {"rows.jsonl": data}, format=name, columns={"metadata": ["topic"]})
    found = list(iterate_set(source))
    assert len(found) == len(rows)
    for row in found:
        if isinstance(row, Item):
            assert row.input.strip()
            assert len(row.id) == 64


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), name=st.sampled_from(["jsonl", "json", "csv"]))
def test_any_bytes_are_rows_or_set_aside(tmp_path: Path, data: bytes, name: str) -> None:
    for row in iterate_set(write_set(tmp_path, "mine", {f"rows.{name}": data}, format=name)):
        assert isinstance(row, Item) or row.why
