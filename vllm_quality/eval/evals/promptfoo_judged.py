"""Promptfoo's model-graded assertions as score_model and label_model graders."""

import json
from collections.abc import Mapping
from typing import Any

from vllm_quality.eval.evals.promptfoo_files import UnsupportedError, to_template
from vllm_quality.eval.graders.schema import Grader, LabelModel, ScoreModel

_OUTPUT = "{{sample.output_text}}"
_QUESTION = "{{sample.input}}"
_RUBRIC = (
    "You grade an answer by a rubric. Say in steps how far the answer satisfies it, then give the result as a number: 1 when "
    "the rubric is fully satisfied, 0 when it is not at all, something between when in part."
)
_CLOSED_QA = (
    "You assess an answer to a task by one criterion. Reason in steps about the criterion first. The result is Y when the "
    "answer meets the criterion, and N when it does not."
)
# The five cases are those of OpenAI's public eval "fact", which Promptfoo uses as well.
_FACTUALITY = (
    "You compare an answer with an expert's answer to the same question, by facts alone: style, grammar and punctuation do "
    "not matter. The result is one of these letters. A: the answer says less than the expert and agrees with all of what it "
    "says. B: it says more and agrees with all of the expert's. C: it says the same. D: they disagree. E: they differ, but "
    "the differences do not matter for the facts."
)


def rubric(value: Any, threshold: float | None, custom: Any) -> Grader:
    """llm-rubric and g-eval: a number from 0 to 1; it passes from the threshold, or one half, up."""
    listed = value if isinstance(value, list) else [value]
    wanted = "\n".join(to_template(part if isinstance(part, str) else json.dumps(part)) for part in listed)
    messages = _custom(custom, wanted) if custom else _messages(_RUBRIC, Rubric=wanted, Answer=_OUTPUT)
    return ScoreModel.model_validate(
        {
            "type": "score_model",
            "input": messages,
            "range": (0, 1),
            "pass_threshold": 0.5 if threshold is None else threshold,
        }
    )


def closed_qa(value: Any) -> Grader:
    """model-graded-closedqa: does the answer meet the criterion?"""
    messages = _messages(_CLOSED_QA, Task=_QUESTION, Answer=_OUTPUT, Criterion=to_template(str(value)))
    return LabelModel.model_validate(
        {"type": "label_model", "input": messages, "labels": ("Y", "N"), "passing_labels": ("Y",)}
    )


def factuality(value: Any) -> Grader:
    """factuality and model-graded-factuality: no contradiction to the expert's answer."""
    messages = _messages(_FACTUALITY, Question=_QUESTION, Expert=to_template(str(value)), Answer=_OUTPUT)
    passing = ("A", "B", "C", "E")
    return LabelModel.model_validate(
        {"type": "label_model", "input": messages, "labels": tuple("ABCDE"), "passing_labels": passing}
    )


def _messages(task: str, **parts: str) -> list[Mapping[str, str]]:
    content = "\n\n".join(f"[{name}]\n{text}\n[End of {name.lower()}]" for name, text in parts.items())
    return [{"role": "system", "content": task}, {"role": "user", "content": content}]


def _custom(prompt: Any, wanted: str) -> list[Mapping[str, str]]:
    """The user's own rubricPrompt: a text, messages, or messages written as JSON."""
    if isinstance(prompt, str):
        try:
            prompt = json.loads(prompt)
        except ValueError:
            prompt = [{"role": "user", "content": prompt}]
    if not isinstance(prompt, list) or not all(isinstance(part, dict) and "content" in part for part in prompt):
        raise UnsupportedError("this form of rubricPrompt", "write it as a text or as messages")
    special = {"output": _OUTPUT, "rubric": wanted}
    return [
        {"role": str(part.get("role", "user")), "content": to_template(str(part["content"]), special)}
        for part in prompt
    ]
