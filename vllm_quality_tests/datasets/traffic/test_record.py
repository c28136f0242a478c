"""Whatever a log holds, it is a query or a reason why it is none."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from vllm_quality.datasets.rows import RowError
from vllm_quality.datasets.stored_completions import parts_of
from vllm_quality.datasets.traffic.record import query_in, read_record

NAMES = (
    "request",
    "response",
    "body",
    "messages",
    "choices",
    "message",
    "metadata",
    "created",
    "time",
    "prompt",
    "input",
)
NAMES += ("role", "content", "content_parts", "type", "text", "model", "completion", "timestamp", "k")  # type: ignore[assignment]
texts = st.sampled_from(
    ["user", "assistant", "text", "{", "[{", '{"messages": [{}]}', "2026-11-20", "99999999999999999999"]
)
leaves = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | texts | st.text(max_size=5)
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
)


@settings(deadline=None, max_examples=400)
@given(values)
def test_any_json_is_a_query_or_a_reason(row: Any) -> None:
    try:
        record = read_record(row, "f", 1, b"")
        question = query_in(record.parts)
    except RowError as error:
        why = str(error)
        event(why[:20])
        return
    assert question.messages[-1].role == "user"
    assert question.messages[-1].content.strip()
    assert record.moment is None or record.moment.tzinfo == dt.UTC
    json.dumps(dict(record.facts)).encode()


def facts(row: dict[str, Any]) -> dict[str, str]:
    return dict(read_record(row, "f", 1, b"").facts)


def test_metadata_win_over_fields_and_the_rows_own_over_the_requests() -> None:
    row = {
        "model": "row",
        "stream": True,
        "n": 3,
        "metadata": {"app": "row"},
        "request": {"model": "request", "user": "u", "metadata": '{"app": "request", "env": "prod", "model": "named"}'},
    }
    found = facts(row)
    assert (found["model"], found["app"], found["env"]) == ("named", "row", "prod")
    assert (found["stream"], found["n"], found["user"]) == ("true", "3", "u")


def test_all_asked_pairs_must_match() -> None:
    record = read_record({"prompt": "x", "metadata": {"a": "1", "b": 2}}, "f", 1, b"")
    assert record.has({})
    assert record.has({"a": "1", "b": "2"})
    assert not record.has({"a": "1", "b": "3"})
    assert not record.has({"a": "1", "c": ""})


@pytest.mark.parametrize("value", ["soon", "2026-13-40", [], {}, float("1e300"), "1" * 25])
def test_a_time_that_is_none_is_told(value: object) -> None:
    with pytest.raises(RowError, match="has 'created' that is no time"):
        read_record({"created": value}, "f", 1, b"")


def test_the_record_does_not_show_what_it_holds() -> None:
    assert "secret" not in repr(read_record({"prompt": "secret"}, "f", 1, b""))


def test_broken_json_in_a_string_is_told() -> None:
    with pytest.raises(RowError, match="is not JSON"):
        parts_of({"request": '{"messages": [', "response": {}})
