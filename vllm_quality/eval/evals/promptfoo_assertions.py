"""One Promptfoo assertion as a check: which grader, turned around or not, with which weight.

Passing follows Promptfoo's thresholds. Scores of similarity may differ from Promptfoo's in the second decimal, since its
tokens and smoothing are others.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from vllm_quality.eval.evals.plan import Check
from vllm_quality.eval.evals.promptfoo_files import (
    UnsupportedError,
    is_file,
    path_of,
    read_text,
    read_value,
    to_template,
)
from vllm_quality.eval.evals.promptfoo_judged import closed_qa, factuality, rubric
from vllm_quality.eval.graders.schema import Grader, Multi, PythonCode, StringCheck, TextCheck, TextSimilarity

_OUTPUT = "{{sample.output_text}}"
_ABOVE_ZERO = 1e-6
_THRESHOLDS = {"rouge-n": 0.75, "bleu": 0.5, "gleu": 0.5, "meteor": 0.5, "similar": 0.75}
_METRICS = {"rouge-n": "rouge_1_recall", "similar": "cosine", "similar:cosine": "cosine"}
_ADVICE = {
    "javascript": "it is no Python; write it as a python assertion",
    "ruby": "it is no Python; write it as a python assertion",
    "latency": "speed is measured under load: see `vllm-quality load-test`",
    "cost": "a release of your own has no price per token",
    "webhook": "graders have no network; write it as a python assertion",
    "select-best": "a release is not compared with itself",
    "max-score": "a release is not compared with itself",
}
_PYTHON = """import json, math, re

{code}

def grade(sample, item):
    context = {{"vars": item, "test": {{"vars": item}}, "config": {config!r}, "prompt": sample.get("input")}}
    found = {function}(sample["output_text"], context)
    if isinstance(found, str):
        found = json.loads(found.lower() if found.lower() in ("true", "false") else found)
    if isinstance(found, dict):
        passed = found.get("pass", found.get("pass_"))
        return max(float(found.get("score", 1.0)), {above!r}) if passed else 0.0
    return float(found)
"""


@dataclass(frozen=True)
class Place:
    """What an assertion may lean on: the configuration's folder, and the rubric prompt of its test."""

    folder: Path
    rubric_prompt: Any = None


def check_of(assertion: Mapping[str, Any], place: Place) -> Check:
    """The assertion as a check. Raises `UnsupportedError`."""
    kind = str(assertion.get("type", ""))
    base = kind.removeprefix("not-")
    for name in ("transform", "contextTransform", "$ref"):
        if name in assertion:
            raise UnsupportedError(f"{name} of an assertion", "write out what it stands for")
    if base not in _MAKERS:
        raise UnsupportedError(base, _ADVICE.get(base, "there is no such grader here"))
    threshold, weight = _number(assertion, "threshold"), _number(assertion, "weight")
    try:
        grader = _MAKERS[base](base, _value(assertion.get("value"), base, place), threshold, assertion, place)
    except (ValidationError, ValueError) as error:
        told = (
            error.errors()[0]["msg"].removeprefix("Value error, ") if isinstance(error, ValidationError) else str(error)
        )
        raise UnsupportedError(f"this {base}", told) from None
    return Check(grader, inverted=kind != base, weight=1.0 if weight is None else weight)


def _number(assertion: Mapping[str, Any], name: str) -> float | None:
    value = assertion.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnsupportedError(f"the {name} {value!r}", "give a number")
    return float(value)


def _value(value: Any, base: str, place: Place) -> Any:
    if not is_file(value) or base == "python":
        return value
    return read_value(path_of(value, place.folder))


def _text(value: Any) -> str:
    if value is None:
        raise ValueError("has no value")
    if isinstance(value, bool):
        return str(value).lower()
    return to_template(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _string_check(base: str, value: Any, *_: Any) -> Grader:
    if base == "equals" and isinstance(value, dict | list):
        return _text_check("equals_json", value)
    operation = {"equals": "eq", "contains": "like", "icontains": "ilike"}.get(base, "eq")
    given = "{{sample.finish_reason}}" if base == "finish-reason" else _OUTPUT
    return StringCheck.model_validate(
        {"type": "string_check", "operation": operation, "input": given, "reference": _text(value)}
    )


def _text_check(operation: str, reference: Any, threshold: float | None = None) -> Grader:
    told = {"type": "text_check", "operation": operation, "input": _OUTPUT, "reference": reference}
    return TextCheck.model_validate({**told, "pass_threshold": threshold})


def _plain(base: str, value: Any, threshold: float | None, *_: Any) -> Grader:
    return _text_check(base.replace("-", "_"), _text(value), threshold)


def _several(base: str, value: Any, *_: Any) -> Grader:
    parts = value if isinstance(value, list) else [part.strip() for part in str(value or "").split(",")]
    if not parts or parts == [""]:
        raise ValueError("has no value")
    return _text_check(base.replace("-", "_"), [_text(part) for part in parts])


def _json(base: str, value: Any, *_: Any) -> Grader:
    schema = yaml.safe_load(value) if isinstance(value, str) else value
    return _text_check(base.replace("-", "_"), schema)


def _words(_: str, value: Any, *__: Any) -> Grader:
    return _text_check(
        "word_count", int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    )


def _refusal(*_: Any) -> Grader:
    return _text_check("is_refusal", None)


def _similar(base: str, value: Any, threshold: float | None, *_: Any) -> Grader:
    least = _THRESHOLDS[base.split(":")[0]] if threshold is None else threshold
    references: Sequence[Any] = value if isinstance(value, list) else [value]
    graders = {
        f"r{number}": {
            "type": "text_similarity",
            "evaluation_metric": _METRICS.get(base, base),
            "input": _OUTPUT,
            "reference": _text(reference),
        }
        for number, reference in enumerate(references)
    }
    if len(graders) == 1:
        return TextSimilarity.model_validate({**graders["r0"], "pass_threshold": least})
    formula = f"max({', '.join(graders)})"
    return Multi.model_validate(
        {"type": "multi", "graders": graders, "calculate_output": formula, "pass_threshold": least}
    )


def _python(_: str, value: Any, threshold: float | None, assertion: Mapping[str, Any], place: Place) -> Grader:
    text, function = str(value or ""), "main"
    if is_file(text):
        name, _colon, wanted = text.removeprefix("file://").partition(":")
        code, function = read_text(place.folder / name), wanted or "get_assert"
    elif "\n" in text.strip():
        code = "def main(output, context):\n" + "\n".join(f"    {line}" for line in text.splitlines())
    else:
        code = f"def main(output, context):\n    return {text.strip()}"
    source = _PYTHON.format(code=code, function=function, config=assertion.get("config") or {}, above=_ABOVE_ZERO)
    return PythonCode(type="python", source=source, pass_threshold=_ABOVE_ZERO if threshold is None else threshold)


def _rubric(base: str, value: Any, threshold: float | None, assertion: Mapping[str, Any], place: Place) -> Grader:
    if value is None:
        raise ValueError("has no value")
    least = 0.7 if base == "g-eval" and threshold is None else threshold
    return rubric(value, least, assertion.get("rubricPrompt", place.rubric_prompt))


def _closed_qa(_: str, value: Any, *__: Any) -> Grader:
    return closed_qa(value)


def _factuality(_: str, value: Any, *__: Any) -> Grader:
    return factuality(value)


_MAKERS: Mapping[str, Callable[..., Grader]] = {
    **dict.fromkeys(("equals", "contains", "icontains", "finish-reason"), _string_check),
    **dict.fromkeys(("starts-with", "regex", "levenshtein"), _plain),
    **dict.fromkeys(("contains-any", "contains-all", "icontains-any", "icontains-all"), _several),
    **dict.fromkeys(("is-json", "contains-json"), _json),
    **dict.fromkeys(("bleu", "gleu", "meteor", "rouge-n", "similar", "similar:cosine"), _similar),
    **dict.fromkeys(("llm-rubric", "g-eval"), _rubric),
    **dict.fromkeys(("factuality", "model-graded-factuality"), _factuality),
    "model-graded-closedqa": _closed_qa,
    "is-refusal": _refusal,
    "word-count": _words,
    "python": _python,
}
