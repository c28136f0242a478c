"""From an OpenAI eval and its rows to a plan: schema, prompts and references checked before anything is asked."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vllm_quality.eval.answers import SEED, Sampling
from vllm_quality.eval.evals.openai_file import OpenAIEval, SourceSampling, missing_rows
from vllm_quality.eval.evals.plan import MAX_TOKENS, BadRow, Check, EvalError, Plan, Row
from vllm_quality.eval.evals.rows import DataRow, check_rows
from vllm_quality.eval.graders.model_graders import messages_of
from vllm_quality.eval.graders.schema import Grader, runs_python, templates_of
from vllm_quality.eval.graders.templates import (
    MissingValueError,
    TemplateError,
    as_text,
    look_up,
    parse_reference,
    references,
)  # fmt: skip
from vllm_quality.eval.suites import safe_name

_QUESTIONS = ("messages", "input", "question", "prompt", "query")  # where a row has its question, unless the eval says


def plan_openai(loaded: OpenAIEval, values: Iterable[tuple[int, object]] | None, name: str, where: str) -> Plan:
    """The plan. `values`: line and JSON value of each row; None takes the run's own. Raises `EvalError`."""
    if values is None:
        source = loaded.data_source.source if loaded.data_source else None
        if source is None or source.content is None:
            raise missing_rows(loaded, where)
        values = enumerate(source.content, 1)
    config = loaded.data_source_config
    good, bad = check_rows(values, config.of_items if config else None)
    checks = {name: Check(grader) for name, grader in _named(loaded.testing_criteria).items()}
    asked = any(map(_uses_sample, loaded.testing_criteria))
    rows: list[Row] = []
    for row in good:
        found = _plan_row(row, loaded, checks, asked)
        if isinstance(found, Row):
            rows.append(found)
        else:
            bad.append(found)
    if not rows:
        first = f"; line {bad[0].line} {bad[0].reason}" if bad else ""
        raise EvalError(f"{where}: none of its {len(bad)} rows can be used{first}.")
    return Plan(
        name=name,
        rows=rows,
        bad_rows=sorted(bad, key=lambda row: row.line),
        sampling=_sampling(loaded.data_source.sampling_params if loaded.data_source else None),
        min_pass=_min_pass(loaded, checks, where),
    )


def _named(criteria: Sequence[Grader]) -> dict[str, Grader]:
    names: dict[str, Grader] = {}
    for grader in criteria:
        wanted = safe_name(grader.name or grader.type)
        name, number = wanted, 1
        while name in names:
            number += 1
            name = f"{wanted}_{number}"
        names[name] = grader
    return names


def _uses_sample(grader: Grader) -> bool:
    namespaces = Counter(found.namespace for template in templates_of(grader) for found in references(template))
    return namespaces["sample"] > 0 or runs_python(grader)


def _plan_row(row: DataRow, loaded: OpenAIEval, checks: Mapping[str, Check], asked: bool) -> Row | BadRow:
    values = {"item": row.item}
    try:
        for check in checks.values():
            for template in templates_of(check.grader):
                for reference in references(template):
                    if reference.namespace == "item":
                        look_up(reference, values)
        if row.sample is not None or not asked:
            return Row(row.item, row.sample or {"output_text": ""}, None, row.line, checks)
        return Row(row.item, None, _messages(row.item, loaded), row.line, checks)
    except (MissingValueError, TemplateError, ValueError) as error:
        return BadRow(row.line, f"cannot be used: {error}")


def _messages(item: Mapping[str, Any], loaded: OpenAIEval) -> list[dict[str, str]]:
    given = loaded.data_source.input_messages if loaded.data_source else None
    if given is None:
        found = next((item[name] for name in _QUESTIONS if name in item), None)
        if found is None:
            raise ValueError(
                f"nothing says what to ask: item has none of {', '.join(_QUESTIONS)}, the eval no input_messages"
            )
        return _as_messages(found)
    if given.type == "item_reference":
        return _as_messages(look_up(parse_reference(given.item_reference or ""), {"item": item}))
    return messages_of(given.template, {"item": item})


def _as_messages(found: Any) -> list[dict[str, str]]:
    if not isinstance(found, list):
        return [{"role": "user", "content": as_text(found)}]
    messages = []
    for message in found:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str) or "content" not in message:
            raise ValueError("what it is asked is a list, but not one of messages with role and content")
        role = "system" if message["role"] == "developer" else message["role"]
        messages.append({"role": role, "content": _content(message["content"])})
    if not messages:
        raise ValueError("what it is asked is an empty list")
    return messages


def _content(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in content)
    return as_text(content)


def _sampling(given: SourceSampling | None) -> Sampling:
    if given is None:
        return Sampling(MAX_TOKENS)
    extra = {name: value for name, value in (("top_p", given.top_p), ("response_format", given.wanted_format)) if value}
    return Sampling(
        given.max_completion_tokens or MAX_TOKENS,
        temperature=given.temperature or 0.0,
        seed=given.seed if given.seed is not None else SEED,
        extra=extra,
    )


def _min_pass(loaded: OpenAIEval, checks: Mapping[str, Check], where: str) -> dict[str, float]:
    given = loaded.min_pass
    if given is None:
        return {}
    least = {"*": given} if not isinstance(given, dict) else {safe_name(name): value for name, value in given.items()}
    for name in least:
        if name not in checks and name != "*":
            raise EvalError(f"{where}: min_pass names {name!r}, which is no criterion; they are {', '.join(checks)}.")
    return least
