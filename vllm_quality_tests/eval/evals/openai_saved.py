"""Answers of OpenAI's Evals API as its library types them, for tests: each is checked against `openai.types` when it is made."""

from collections.abc import Mapping, Sequence
from typing import Any

from vllm_quality_tests.eval.evals.eval_files import CRITERIA, SCHEMA

ROW_SCHEMA = {"type": "object", "properties": {"item": SCHEMA, "sample": {}}, "required": ["item"]}
UUID = "c4fdf789-2fa5-407f-8a41-a6f4f9afd482"
TEMPLATE = {
    "type": "template",
    "template": [
        {"type": "message", "role": "developer", "content": {"type": "input_text", "text": "Answer with a number."}},
        {"type": "message", "role": "user", "content": {"type": "input_text", "text": "{{item.question}}"}},
    ],
}


def page(entries: Sequence[Mapping[str, Any]], *, has_more: bool = False) -> dict[str, Any]:
    """A page of a list."""
    ids = [entry["id"] for entry in entries] or [None]
    return {"object": "list", "data": list(entries), "first_id": ids[0], "last_id": ids[-1], "has_more": has_more}


def eval_object(
    name: str = "Sums",
    eval_id: str = "eval_67abd54d",
    criteria: Sequence[Mapping[str, Any]] = CRITERIA,
    config: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """An eval as `GET /v1/evals` lists it: criteria have ids, the row's schema holds the item's."""
    from openai.types import EvalListResponse

    stored = {
        "object": "eval",
        "id": eval_id,
        "data_source_config": config or {"type": "custom", "schema": ROW_SCHEMA},
        "testing_criteria": [{**criterion, "id": f"{criterion['name']}-{UUID}"} for criterion in criteria],
        "name": name,
        "created_at": 1739314509,
        "metadata": {"description": "An eval for sums"},
    }
    EvalListResponse.model_validate(stored)
    return stored


def run_object(
    source: Mapping[str, Any],
    *,
    run_id: str = "evalrun_67abd54d60ec",
    eval_id: str = "eval_67abd54d",
    created_at: int = 1743092069,
    total: int = 4,
    kind: str = "completions",
    **more: Any,
) -> dict[str, Any]:
    """A run as `GET /v1/evals/{id}/runs` lists it. `source`: where its rows are."""
    from openai.types.evals import RunListResponse

    data_source: dict[str, Any] = {"type": kind, "source": dict(source)}
    if kind != "jsonl":
        data_source |= {"model": "gpt-4o-mini", "input_messages": TEMPLATE, **more}
    stored = {
        "object": "eval.run",
        "id": run_id,
        "eval_id": eval_id,
        "report_url": f"https://platform.openai.com/evaluations/{eval_id}?run_id={run_id}",
        "status": "completed",
        "model": "gpt-4o-mini",
        "name": "gpt-4o-mini",
        "created_at": created_at,
        "result_counts": {"total": total, "errored": 0, "failed": 1, "passed": total - 1},
        "per_model_usage": [],
        "per_testing_criteria_results": [],
        "data_source": data_source,
        "error": {"code": "", "message": ""},
        "metadata": {},
    }
    RunListResponse.model_validate(stored)
    return stored


def output_item(
    number: int,
    *,
    said: str | None = None,
    passed: bool | None = None,
    run_id: str = "evalrun_67abd54d60ec",
    eval_id: str = "eval_67abd54d",
    item: Mapping[str, Any] | None = None,
    role: str = "user",
) -> dict[str, Any]:
    """An output item of a run over sums, the answer and OpenAI's results on it."""
    from openai.types.evals.runs import OutputItemListResponse

    question, right = f"What is {number} plus {number}?", str(2 * number)
    answer = right if said is None else said
    is_right = right in answer if passed is None else passed
    stored = {
        "object": "eval.run.output_item",
        "id": f"outputitem_{number}",
        "created_at": 1743092076,
        "run_id": run_id,
        "eval_id": eval_id,
        "status": "pass" if is_right else "fail",
        "datasource_item_id": number,
        "datasource_item": dict(item) if item is not None else {"question": question, "answer": right},
        "results": [
            {"name": f"Right sum-{UUID}", "type": "string-check-grader", "passed": is_right, "score": float(is_right)},
            {"name": "similar", "passed": is_right, "score": float(is_right)},
        ],
        "sample": {
            "input": [{"role": "developer", "content": "Answer with a number."}, {"role": role, "content": question}],
            "output": [{"role": "assistant", "content": answer}],
            "finish_reason": "stop",
            "model": "gpt-4o-mini-2024-07-18",
            "usage": {"total_tokens": 9, "completion_tokens": 1, "prompt_tokens": 8, "cached_tokens": 0},
            "error": {"code": "", "message": ""},
            "temperature": 1.0,
            "max_completion_tokens": 2048,
            "top_p": 1.0,
            "seed": 42,
        },
    }
    OutputItemListResponse.model_validate(stored)
    return stored
