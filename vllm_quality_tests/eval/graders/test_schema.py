"""The schema is OpenAI's: what its own library takes, ours takes, and the same words mean the same."""

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from vllm_quality.eval.graders.schema import AnyGrader, Grader, StringCheck, TextSimilarity, templates_of

ADAPTER: TypeAdapter[Grader] = TypeAdapter(AnyGrader)

STRING_CHECK = {
    "type": "string_check",
    "name": "Match output to human label",
    "operation": "eq",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.correct_label }}",
}
SIMILARITY = {
    "type": "text_similarity",
    "name": "summary_similarity",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.reference_answer }}",
    "pass_threshold": 0.8,
    "evaluation_metric": "fuzzy_match",
}
SCORE = {
    "type": "score_model",
    "name": "my_score_model",
    "model": "o4-mini-2025-04-16",
    "range": [0, 1],
    "pass_threshold": 0.5,
    "input": [
        {"role": "system", "content": "You are an expert grader."},
        {"role": "user", "content": [{"type": "input_text", "text": "Answer: {{ sample.output_text }}"}]},
    ],
    "sampling_params": {"max_completions_tokens": 32768, "top_p": 1, "reasoning_effort": "medium"},
}
LABEL = {
    "type": "label_model",
    "name": "tone",
    "model": "gpt-4o",
    "input": [{"role": "developer", "content": "Classify.", "type": "message"}],
    "labels": ["polite", "rude"],
    "passing_labels": ["polite"],
}
PYTHON = {
    "type": "python",
    "name": "length",
    "source": "def grade(sample, item):\n    return 1.0",
    "image_tag": "2025-05-08",
}
MULTI = {
    "type": "multi",
    "name": "contact",
    "graders": {"name": SIMILARITY, "email": STRING_CHECK},
    "calculate_output": "(name + email) / 2",
}


@pytest.mark.parametrize("grader", [STRING_CHECK, SIMILARITY, SCORE, LABEL, PYTHON])
def test_openais_examples_are_taken_by_both(grader: dict[str, Any]) -> None:
    from openai.types import graders

    classes: dict[str, Any] = {
        "string_check": graders.StringCheckGrader,
        "text_similarity": graders.TextSimilarityGrader,
        "score_model": graders.ScoreModelGrader,
        "label_model": graders.LabelModelGrader,
        "python": graders.PythonGrader,
    }
    theirs = classes[grader["type"]].model_validate(grader)
    ours = ADAPTER.validate_python(grader)
    assert (ours.name, ours.type) == (theirs.name, theirs.type)


def test_the_words_are_openais() -> None:
    from openai.types.graders import StringCheckGrader
    from openai.types.graders import TextSimilarityGrader as Theirs

    operations = set(get_args(StringCheck.model_fields["operation"].annotation))
    assert operations == set(get_args(StringCheckGrader.model_fields["operation"].annotation))
    metrics = set(get_args(TextSimilarity.model_fields["evaluation_metric"].annotation))
    assert metrics - {"rouge_1_recall"} == set(get_args(Theirs.model_fields["evaluation_metric"].annotation))


def test_a_multi_grader_is_an_object_of_graders_or_a_single_one() -> None:
    assert ADAPTER.validate_python(MULTI).name == "contact"
    single = {**MULTI, "graders": {**STRING_CHECK, "name": "label"}, "calculate_output": "label"}
    assert templates_of(ADAPTER.validate_python(single)) == ["{{ sample.output_text }}", "{{ item.correct_label }}"]


@pytest.mark.parametrize(
    ("grader", "change", "said"),
    [
        (STRING_CHECK, {"operation": "neq"}, "'eq', 'ne', 'like' or 'ilike'"),
        (STRING_CHECK, {"input": "{{ output_text }}"}, "is no reference"),
        (SIMILARITY, {"evaluation_metric": "rouge_6"}, "rouge_5"),
        (SCORE, {"range": [1, 0]}, "does not rise"),
        (SCORE, {"range": [0, float("inf")]}, "does not rise"),
        (SCORE, {"input": []}, "at least 1 item"),
        (
            SCORE,
            {"input": [{"role": "user", "content": {"type": "input_audio", "input_audio": {}}}]},
            "has input_audio",
        ),
        (LABEL, {"passing_labels": ["kind"]}, "the passing label 'kind'"),
        (PYTHON, {"source": "def grade(:"}, "is no Python"),
        (PYTHON, {"source": "def other(): pass"}, "no function grade"),
        (PYTHON, {"source": "#" * 300_000}, "more than 262144 bytes"),
        (MULTI, {"calculate_output": "name + phone"}, "uses 'phone'"),
        (MULTI, {"graders": {"inner": MULTI}}, "does not match any of the expected tags"),
        ({"type": "endpoint"}, {}, "does not match any of the expected tags"),
    ],
)
def test_what_cannot_be_used_is_said(grader: dict[str, Any], change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python({**grader, **change})
    assert said in str(caught.value)
