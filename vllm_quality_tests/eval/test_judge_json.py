"""What is found in a judge's words, and what is not made up."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from vllm_quality.eval.judge_json import BrokenJSONError, in_words, read_json, response_format, strict


class Grade(BaseModel):
    score: float
    reason: str | None = None


class Inner(BaseModel):
    verdict: str
    why: str = ""


class Outer(BaseModel):
    verdicts: list[Inner]


@pytest.mark.parametrize(
    "text",
    [
        '{"score": 8, "reason": "fine"}',
        '{"score": 8, "reason": "fine",}',
        'Sure! {"score": 8, "reason": "fine"} I hope {that} helps.',
        '```json\n{"score": 8,\n "reason": "fine"}\n```',
        '<think>{"score": 1}? No, better: {"score": 2}</think>\n{"score": 8, "reason": "fine"}',
        '{"note": 1} {"score": 8, "reason": "fine"}',
    ],
)
def test_a_grade_is_found(text: str) -> None:
    assert read_json(text, Grade) == Grade(score=8, reason="fine")


def test_a_line_break_in_a_text_is_mended() -> None:
    assert read_json('{"score": 8, "reason": "좋은\n답"}', Grade).reason == "좋은\n답"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON object"),
        ("Score: 8", "no JSON object"),
        ('{"score": 8, "reason": "it breaks o', "no JSON object"),
        ('{"score": "high"}', "score: input should be a valid number"),
        ('{"reason": "none"}', "score: field required"),
        ("[1, 2]", "no JSON object"),
    ],
)
def test_what_is_broken_is_said_and_not_completed(text: str, says: str) -> None:
    with pytest.raises(BrokenJSONError, match=says):
        read_json(text, Grade)


@given(st.text(alphabet='{}[]",:0123456789 abc\\\n', max_size=60))
def test_any_text_is_a_grade_or_broken(text: str) -> None:
    with suppress(BrokenJSONError):
        assert isinstance(read_json(text, Grade), Grade)


@given(st.floats(0, 10), st.text())
def test_a_grade_among_words_is_the_grade(score: float, reason: str) -> None:
    said = json.dumps({"score": score, "reason": reason}, ensure_ascii=False)
    assert read_json(f"Here: {said}\nDone.", Grade) == Grade(score=score, reason=reason) or "</think>" in reason


def test_a_strict_schema_is_strict_at_every_depth() -> None:
    schema = strict(Outer.model_json_schema())
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Inner"]["required"] == ["verdict", "why"]
    assert schema["$defs"]["Inner"]["additionalProperties"] is False


def test_each_form_asks_for_json_in_its_way() -> None:
    assert response_format("json_schema", Grade)["response_format"]["json_schema"]["strict"] is True
    assert response_format("json_object", Grade) == {"response_format": {"type": "json_object"}}
    assert response_format("plain", Grade) == {}
    assert '"score"' in in_words(Grade)
