"""What OpenAI's API exports is read in each of its forms; what cannot be used is one sentence with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.eval.evals.load import load_plan
from vllm_quality.eval.evals.plan import EvalError
from vllm_quality_tests.eval.evals.eval_files import CRITERIA, SCHEMA, sums, write_eval, write_rows


def store(folder: Path, value: Any, name: str = "mine.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_the_api_answers_schema_is_understood(tmp_path: Path) -> None:
    """`EvalCreateResponse`, as openai 3.x types it: the item's schema is inside that of the row."""
    row_schema = {"type": "object", "properties": {"item": SCHEMA, "sample": {}}, "required": ["item"]}
    answered = {
        "object": "eval",
        "id": "eval_1",
        "created_at": 1,
        "name": "Sums",
        "metadata": {},
        "data_source_config": {"type": "custom", "schema": row_schema},
        "testing_criteria": [{**criterion, "id": "c"} for criterion in CRITERIA],
    }
    from openai.types.eval_create_response import EvalCreateResponse

    EvalCreateResponse.model_validate(answered)
    rows = write_rows(tmp_path, [*sums(2), {"item": {"answer": "1"}}])
    plan = load_plan(store(tmp_path, answered), rows)
    assert (len(plan.rows), len(plan.bad_rows), plan.criteria) == (2, 1, ["Right_sum", "similar"])
    assert len(load_plan(store(tmp_path, {"object": "list", "data": [answered]}), rows).rows) == 2


@pytest.mark.parametrize("kind", ["logs", "stored_completions"])
def test_logs_are_rows_that_have_their_answers(tmp_path: Path, kind: str) -> None:
    path = write_eval(tmp_path, data_source_config={"type": kind, "metadata": {"usecase": "chat"}})
    rows = [{**row, "sample": {"output_text": "1"}} for row in sums(3)]
    assert load_plan(path, write_rows(tmp_path, rows)).needs == []


def test_a_plan_tells_what_it_needs(tmp_path: Path) -> None:
    judge = {
        "type": "score_model",
        "name": "j",
        "model": "m",
        "input": [{"role": "user", "content": "{{item.answer}}"}],
    }
    code = {"type": "python", "name": "p", "source": "def grade(sample, item): return 1.0"}
    cosine = {**CRITERIA[1], "evaluation_metric": "cosine"}
    rows = write_rows(tmp_path, sums(1))
    assert load_plan(write_eval(tmp_path, criteria=[judge, code, cosine]), rows).needs == [
        "endpoint", "judge", "embeddings", "sandbox",
    ]  # fmt: skip


def test_criteria_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    path = write_eval(tmp_path, criteria=[CRITERIA[0], CRITERIA[0], {**CRITERIA[0], "name": ""}])
    assert load_plan(path, write_rows(tmp_path, sums(1))).criteria == ["Right_sum", "Right_sum_2", "string_check"]


def test_graders_that_look_at_the_item_alone_ask_nobody(tmp_path: Path) -> None:
    criterion = {**CRITERIA[0], "input": "{{item.question}}"}
    assert load_plan(write_eval(tmp_path, criteria=[criterion]), write_rows(tmp_path, sums(1))).needs == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"testing_criteria": []}, "testing_criteria cannot be used"),
        ({"testing_criteria": [{"type": "exact"}]}, r"testing_criteria\[0\]"),
        ({"testing_criteria": [{**CRITERIA[1], "evaluation_metric": "rouge_9"}]}, r"\(of 'similar'\) cannot be used"),
        ({"testing_criteria": None}, "cannot be used"),
        ({"min_pass": {"nobody": 1}}, "min_pass names 'nobody', which is no criterion; they are Right_sum, similar"),
        ({"data_source": {"type": "completions", "sampling_params": {"tools": [{}]}}}, "have tools"),
        (
            {"data_source_config": {"type": "custom", "item_schema": {"type": "nonsense"}}},
            "item_schema: the JSON schema",
        ),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(EvalError, match=said) as caught:
        load_plan(write_eval(tmp_path, **{"criteria": CRITERIA, **change}), write_rows(tmp_path, sums(1)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"type": "file_id", "id": "file-abc"}, "OpenAI's file file-abc, which is not read here; download it"),
        ({"type": "stored_completions"}, "needs the rows that OpenAI holds"),
    ],
)
def test_rows_that_openai_holds_are_asked_for(tmp_path: Path, source: dict[str, Any], said: str) -> None:
    with pytest.raises(EvalError, match=said):
        load_plan(write_eval(tmp_path, data_source={"type": "completions", "source": source}))
    with pytest.raises(EvalError, match=r"no rows of its own; give them with --data"):
        load_plan(write_eval(tmp_path))


def test_files_that_are_no_evals_are_said(tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="cannot be read"):
        load_plan(tmp_path / "nothing.json")
    with pytest.raises(EvalError, match="neither JSON nor YAML"):
        load_plan(write_rows(tmp_path, ["{"], "broken.json"))
    with pytest.raises(EvalError, match="holds no object"):
        load_plan(store(tmp_path, [1]))
    with pytest.raises(EvalError, match="a run alone does not say how it is graded"):
        load_plan(store(tmp_path, {"object": "eval.run", "data_source": {}}))
    with pytest.raises(EvalError, match=r"holds 2 evals \(a, b\)"):
        load_plan(store(tmp_path, {"data": [{"name": "a"}, {"name": "b"}]}))
    with pytest.raises(EvalError, match="called 'deepeval', which is taken"):
        load_plan(write_eval(tmp_path, "deepeval.json"))


def test_no_row_that_can_be_used_is_said_with_the_first_reason(tmp_path: Path) -> None:
    path = write_eval(tmp_path, data_source_config=None)
    with pytest.raises(
        EvalError, match=r"none of its 1 rows can be used; line 1 cannot be used: .*item.answer.* has no"
    ):
        load_plan(path, write_rows(tmp_path, [{"item": {"question": "?"}}]))
    path = write_eval(tmp_path, criteria=[{**CRITERIA[0], "reference": "x"}], data_source_config=None)
    with pytest.raises(EvalError, match="nothing says what to ask: item has none of messages, input"):
        load_plan(path, write_rows(tmp_path, [{"item": {"frage": "?"}}]))
