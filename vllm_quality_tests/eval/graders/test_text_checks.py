"""Plain checks: OpenAI's four operations, and what Promptfoo's assertions test."""

from typing import Any

import pytest

from vllm_quality.eval.graders.text_checks import CheckError, string_check, text_check

POINT = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}


@pytest.mark.parametrize(
    ("operation", "text", "reference", "passes"),
    [
        ("eq", "Paris", "Paris", True), ("eq", "paris", "Paris", False), ("eq", "Paris ", "Paris", False),
        ("ne", "paris", "Paris", True), ("ne", "Paris", "Paris", False),
        ("like", "It is Paris.", "Paris", True), ("like", "It is paris.", "Paris", False), ("like", "Paris", "It is Paris", False),
        ("ilike", "It is PARIS.", "paris", True), ("ilike", "STRASSE", "straße", True), ("ilike", "Rome", "paris", False),
    ],
)  # fmt: skip
def test_string_check_as_openai_documents_it(operation: str, text: str, reference: str, passes: bool) -> None:
    assert string_check(operation, text, reference) is passes


@pytest.mark.parametrize(
    ("operation", "text", "reference", "limit", "passes"),
    [
        ("starts_with", "Yes, sure", "Yes", None, True), ("starts_with", "Oh yes", "Yes", None, False),
        ("regex", "in 2026", r"\d{4}", None, True), ("regex", "가나다", r"^(?<first>[가-힣])", None, True),
        ("contains_any", "b", ["a", "b"], None, True), ("contains_all", "b", ["a", "b"], None, False),
        ("icontains_all", "AB", ["a", "b"], None, True), ("icontains_any", "C", ["a", "b"], None, False),
        ("is_json", '{"x": 1}', POINT, None, True), ("is_json", '{"y": 1}', POINT, None, False),
        ("is_json", "```{}```", None, None, False), ("is_json", "[" * 100_000, None, None, False),
        ("contains_json", 'Here: ```{"x": 2}``` [', POINT, None, True), ("contains_json", "{ none }", None, None, False),
        ("equals_json", '{"a":1,"b":2}', {"b": 2, "a": 1}, None, True),
        ("levenshtein", "kitten", "sitting", 3, True), ("levenshtein", "kitten", "sitting", 2, False),
        ("levenshtein", "kitten", "sitting", None, True),
        ("word_count", "one two", 2, None, True), ("word_count", "one two", {"min": 3}, None, False),
        ("word_count", "하나 둘", {"min": 1, "max": 2}, None, True),
        ("is_refusal", "I'm sorry, but I cannot help.", None, None, True), ("is_refusal", "It is 4.", None, None, False),
    ],
)  # fmt: skip
def test_text_checks(operation: str, text: str, reference: Any, limit: float | None, passes: bool) -> None:
    assert text_check(operation, text, reference, limit) is passes


@pytest.mark.parametrize(
    ("operation", "reference", "said"),
    [
        ("regex", "(", "is no regular expression"),
        ("regex", "(a|a)*(a|a)*(a|a)*(a|a)*(a|a)*$", "needs more than 2 s"),
        ("is_json", {"type": "nonsense"}, "the JSON schema cannot be used"),
        ("is_json", {"$ref": "http://127.0.0.1:9/schema.json"}, "the JSON schema cannot be used"),  # and is not fetched
    ],
)
def test_a_check_that_is_wrong_itself_says_so(operation: str, reference: Any, said: str) -> None:
    text = "a" * 40 + "b" if operation == "regex" else "{}"
    with pytest.raises(CheckError, match=said):
        text_check(operation, text, reference, None)
