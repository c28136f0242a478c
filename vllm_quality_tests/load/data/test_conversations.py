"""Recorded conversations read as turns to play, whatever form they were kept in."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_quality.datasets.schema import Message
from vllm_quality.load.data.conversations import (
    MOST_TURNS,
    SAMPLE_CONVERSATIONS,
    Conversation,
    conversation_of,
    format_names,
    read_conversations,
)
from vllm_quality.load.errors import LoadError

Said = list[tuple[str, str | None]]

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": " now?"}]},
    {"role": "assistant", "content": "That."},
]
SHARED = [
    {"from": "gpt", "value": "(cut off)"},
    {"from": "human", "value": "Hi"},
    {"from": "gpt", "value": "Hello"},
    {"from": "human", "value": "And now?"},
]


def said(conversation: Conversation) -> Said:
    """Each turn's last word and the answer to it."""
    return [(turn.messages[-1].content, turn.answer) for turn in conversation.turns]


def written(place: Path, name: str, content: str | bytes) -> Path:
    path = place / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("file", "content", "told", "wanted"),
    [
        ("a.jsonl", lines({"messages": CHAT}), "openai_chat", [("Hi", "Hello"), ("And now?", "That.")]),
        ("a.jsonl", lines({"conversations": SHARED}), "sharegpt", [("Hi", "Hello"), ("And now?", None)]),
        (
            "a.json",
            json.dumps([{"id": "x", "conversations": SHARED}]),
            "sharegpt",
            [("Hi", "Hello"), ("And now?", None)],
        ),
        ("a.json", lines({"conversations": SHARED}), "sharegpt", [("Hi", "Hello"), ("And now?", None)]),
        (
            "a.jsonl",
            lines({"conversations": [json.dumps(turn) for turn in SHARED]}),
            "sharegpt",
            [("Hi", "Hello"), ("And now?", None)],
        ),
        ("a.jsonl", lines(SHARED), "sharegpt", [("Hi", "Hello"), ("And now?", None)]),
        (
            "a.json",
            json.dumps([{"instruction": "Sum", "input": "1, 2", "output": "3"}]),
            "alpaca",
            [("Sum\n\n1, 2", "3")],
        ),
        (
            "a.jsonl",
            lines([{"prompt": "Hi", "response": [["Hello", "Hey"]]}, {"prompt": "And now?"}]),
            "qianfan",
            [("Hi", "Hello"), ("And now?", None)],
        ),
        ("a.json", json.dumps([{"prompt": "Hi", "response": "Hello"}]), "prompt_response", [("Hi", "Hello")]),
        ("a.jsonl", lines({"question": "Hi", "answer": "Hello"}), "prompt_response", [("Hi", "Hello")]),
        ("a.ndjson", lines({"text": "Hi"}), "prompt_response", [("Hi", None)]),
        ("a.csv", "prompt,response\nHi,Hello\n", "prompt_response", [("Hi", "Hello")]),
        ("a.txt", "Hi there\n", "text", [("Hi there", None)]),
    ],
)
def test_the_format_is_told_from_the_file(tmp_path: Path, file: str, content: str, told: str, wanted: Said) -> None:
    for data in (content, "\ufeff" + content, content.replace("\n", "\r\n"), content.rstrip("\n")):
        found = read_conversations(written(tmp_path, file, data))
        assert (found.format, found.rows, found.bad_rows) == (told, 1, 0)
        assert [said(conversation) for conversation in found.conversations] == [wanted]


def test_a_turn_is_sent_with_all_that_was_said_before(tmp_path: Path) -> None:
    (conversation,) = read_conversations(written(tmp_path, "a.jsonl", lines({"messages": CHAT}))).conversations
    assert conversation.turns[0].messages == (Message("system", "Be brief."), Message("user", "Hi"))
    assert conversation.turns[1].messages == (
        *conversation.turns[0].messages,
        Message("assistant", "Hello"),
        Message("user", "And now?"),
    )


def test_parquet_holds_the_same_as_json_lines(tmp_path: Path) -> None:
    rows = [{"conversations": SHARED}, {"conversations": SHARED[1:]}]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    found = read_conversations(tmp_path / "a.parquet")
    assert found.format == "sharegpt"
    assert found.conversations == read_conversations(written(tmp_path, "a.jsonl", lines(*rows))).conversations


def test_columns_of_other_names_are_given(tmp_path: Path) -> None:
    row = {"q": "Hi", "a": "Hello", "role": "Be brief.", "messages": CHAT[1:], "text": "other"}
    path = written(tmp_path, "a.jsonl", lines(row))
    named = read_conversations(path, columns={"prompt": "q", "response": "a", "system": "role", "messages": "none"})
    assert [said(conversation) for conversation in named.conversations] == [[("Hi", "Hello")]]
    assert named.conversations[0].turns[0].messages[0] == Message("system", "Be brief.")
    assert said(read_conversations(path).conversations[0])[-1] == ("And now?", "That.")
    with pytest.raises(LoadError, match="columns has 'question'; it may name prompt, response, messages, system"):
        read_conversations(path, columns={"question": "q"})


def test_a_given_format_wins_over_what_the_file_looks_like(tmp_path: Path) -> None:
    both = {"messages": CHAT, "instruction": "Sum", "output": "3"}
    path = written(tmp_path, "a.jsonl", lines(both))
    assert read_conversations(path).format == "openai_chat"
    assert said(read_conversations(path, "alpaca").conversations[0]) == [("Sum", "3")]
    assert read_conversations(path, "openai") == read_conversations(path, "openai_chat")


def test_the_item_is_told_from_what_was_said_and_nothing_else(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    one = read_conversations(written(tmp_path, "a.jsonl", lines({"messages": chat, "id": 1}))).conversations[0]
    other = read_conversations(written(tmp_path, "b.json", '[{"prompt": "Hi", "response": "Hello"}]')).conversations[0]
    longer = read_conversations(written(tmp_path, "c.json", '[{"prompt": "Hi", "response": "Hey"}]')).conversations[0]
    assert one.item == other.item
    assert one.item != longer.item
    assert len(one.item) == 16


def test_a_bad_row_is_counted_and_named_and_never_quoted(tmp_path: Path) -> None:
    secret = "010-1234-5678"
    good = json.dumps({"messages": CHAT})
    bad = [f'{{"messages": "{secret}', json.dumps({"messages": [{"role": secret}]}), '{"messages": NaN}', "[" * 100_000]
    bad += [r'{"messages": [{"role": "user", "content": "\ud800"}]}', '{"messages": []}']
    found = read_conversations(written(tmp_path, "a.jsonl", "\n".join([good, *bad, good])))
    assert (len(found.conversations), found.rows, found.bad_rows) == (2, 8, 6)
    assert [(row.file, row.line) for row in found.quarantined] == [("a.jsonl", number) for number in range(2, 8)]
    assert secret not in repr(found.quarantined)


@pytest.mark.parametrize(
    ("file", "content", "format", "why"),
    [
        ("a.jsonl", "{}\n[]\n", "auto", r"no conversation that can be used \(of 2 rows, .*row 1 .*give its format"),
        ("a.jsonl", "", "auto", "no conversation that can be used"),
        ("a.txt", " \n\n", "auto", "no conversation that can be used"),
        ("a.json", "", "auto", "row 1 is not JSON: the file is empty"),
        ("a.json", "[{]", "auto", "row 1 is not JSON"),
        ("a.jsonl", lines({"messages": CHAT}), "alpaca", "has no text in 'instruction'"),
        ("a.jsonl", "{}", "vicuna", "'vicuna' is no format of conversations; known are auto, openai, .*sharegpt"),
        ("a.xlsx", "", "auto", r"ending that tells no kind of file; name it \.csv, \.json, "),
        ("none/a.jsonl", None, "auto", "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    tmp_path: Path, file: str, content: str | None, format: str, why: str
) -> None:
    path = tmp_path / file if content is None else written(tmp_path, file, content)
    with pytest.raises(LoadError, match=why) as caught:
        read_conversations(path, format)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        ([("user", "a"), ("user", "b"), ("assistant", "c")], [("b", "c")]),
        ([("user", "a"), ("assistant", " "), ("user", "b")], [("a", None), ("b", None)]),
        ([("user", "a"), ("assistant", "b"), ("assistant", "c"), ("user", "d")], [("a", "b"), ("d", None)]),
        ([("user", "a"), ("assistant", "b"), ("user", " "), ("assistant", "c"), ("user", "d")], [("a", "b")]),
        ([("assistant", "a"), ("user", "b")], [("b", None)]),
    ],
)
def test_odd_conversations_are_cut_into_turns(messages: list[tuple[str, str]], wanted: Said) -> None:
    assert said(conversation_of([Message(*message) for message in messages])) == wanted


def test_a_conversation_without_end_is_a_bad_row(tmp_path: Path) -> None:
    turns = [{"prompt": "a", "response": "b"}] * (MOST_TURNS + 1)
    with pytest.raises(LoadError, match=f"has more than {MOST_TURNS} turns"):
        read_conversations(written(tmp_path, "a.jsonl", lines(turns)))
    assert len(read_conversations(written(tmp_path, "b.jsonl", lines(turns[1:]))).conversations[0].turns) == MOST_TURNS


def test_the_sample_is_whole_bilingual_and_of_varied_length() -> None:
    sample = read_conversations(SAMPLE_CONVERSATIONS)
    assert sample.bad_rows == 0
    assert len(sample.conversations) >= 40
    assert len({conversation.item for conversation in sample.conversations}) == sample.rows
    assert all(2 <= len(conversation.turns) <= 5 for conversation in sample.conversations)
    turns = [turn for conversation in sample.conversations for turn in conversation.turns]
    assert all(turn.answer for turn in turns)
    korean = [any("가" <= letter <= "힣" for letter in turn.messages[-1].content) for turn in turns]
    assert 0.35 < sum(korean) / len(korean) < 0.65
    lengths = [len(turn.answer or "") for turn in turns]
    assert min(lengths) < 100 < 800 < max(lengths)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "role", "content", "conversations", "from", "value", "system"])
            | st.sampled_from(["prompt", "response", "instruction", "input", "output", "question", "text"]),
            inner | st.sampled_from(["user", "assistant", "human", "gpt"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)
thorough = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def count(path: Path, format: str) -> tuple[int, int, int] | None:
    try:
        found = read_conversations(path, format)
    except LoadError:
        return None
    return found.rows, len(found.conversations), found.bad_rows


@thorough
@given(
    rows=st.lists(json_values, max_size=4),
    format=st.sampled_from(format_names()),
    ending=st.sampled_from(["json", "jsonl"]),
)
def test_every_row_is_a_conversation_or_set_aside(tmp_path: Path, rows: list[Any], format: str, ending: str) -> None:
    text = json.dumps(rows) if ending == "json" else "".join(json.dumps(row) + "\n" for row in rows)
    found = count(written(tmp_path, f"a.{ending}", text), format)
    if found is not None:
        assert found[0] == len(rows) == found[1] + found[2]


@thorough
@given(data=st.binary(max_size=200), ending=st.sampled_from(["json", "jsonl", "csv", "txt"]))
def test_any_bytes_are_conversations_or_set_aside(tmp_path: Path, data: bytes, ending: str) -> None:
    found = count(written(tmp_path, f"a.{ending}", data), "auto")
    assert found is None or found[0] == found[1] + found[2]
