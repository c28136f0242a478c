"""Rows of format openai_stored: what the API gives, and what is exported."""

import json
from typing import Any

import pytest

from vllm_quality.datasets.dialogue import Question
from vllm_quality.datasets.formats import Columns, understand
from vllm_quality.datasets.rows import RowError
from vllm_quality.datasets.schema import Message

ASKED = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "환불되나요?"}]
SAID = (Message("system", "Be kind."), Message("user", "환불되나요?"))
ANSWER = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "네.", "refusal": None}}
STORED = {
    "object": "chat.completion",
    "id": "chatcmpl-1",
    "model": "m",
    "created": 1_763_640_000,
    "request_id": "req_1",
    "usage": {"total_tokens": 12},
    "metadata": {"route": "refund"},
    "choices": [ANSWER],
}


def read(row: object) -> Question:
    return understand("openai_stored", row, Columns()).question()


@pytest.mark.parametrize(
    "row",
    [
        {**STORED, "messages": ASKED},
        {**STORED, "input": ASKED},
        {**STORED, "messages": json.dumps(ASKED)},
        {"request": {"model": "m", "messages": ASKED, "metadata": {"route": "refund"}}, "response": STORED},
        {"request": json.dumps({"messages": ASKED}), "response": {"status_code": 200, "body": STORED}},
    ],
)
def test_a_stored_completion_with_its_request(row: dict[str, Any]) -> None:
    found = read(row)
    assert found.messages == SAID
    assert found.reference == "네."
    assert found.metadata == {"model": "m", "created": 1_763_640_000, "route": "refund"}


def test_messages_as_the_api_gives_them() -> None:
    parts = [{"type": "text", "text": "환불"}, {"type": "text", "text": "되나요?"}]
    messages = [{"id": "x-0", **ASKED[0]}, {"id": "x-1", "role": "user", "content": None, "content_parts": parts}]
    assert read({**STORED, "messages": messages}).messages == SAID


def test_a_question_without_an_answer_has_no_reference() -> None:
    call: dict[str, Any] = {"message": {"role": "assistant", "content": None, "tool_calls": [{}]}}
    assert read({**STORED, "choices": [call], "messages": ASKED}).reference is None
    assert read({"messages": ASKED}).reference is None


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (STORED, "has no 'messages' of the request"),
        ([], "is not an object"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "without a known 'role'"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "is not text"),
        ({"request": '{"messages": ', "response": {}}, "is not JSON"),
        ({"messages": []}, "no user message"),
    ],
)
def test_what_is_no_query_is_told(row: object, why: str) -> None:
    with pytest.raises(RowError, match=why):
        read(row)
