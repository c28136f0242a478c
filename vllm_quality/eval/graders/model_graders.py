"""score_model and label_model: the configured judge reasons in steps, then gives a number or a label, as OpenAI's graders do.

It is asked at temperature 0 with a fixed seed whatever the grader's `sampling_params` say, which are OpenAI's models'. What
cannot be read as a grade is a `JudgeError`, so no score, where OpenAI's service would give 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

from vllm_quality.eval.graders.schema import LabelModel, Message, ScoreModel
from vllm_quality.eval.graders.templates import render
from vllm_quality.eval.judge import Judge

_LONGEST_REASON = 2000
_MOST_STEPS = 20

Values = Mapping[str, Any]


class Step(BaseModel):
    """A step of the judge's reasoning."""

    description: str
    conclusion: str


class Reasoned(BaseModel):
    """OpenAI's response format for graders, the steps first: a verdict should follow from them."""

    steps: list[Step] = Field(max_length=_MOST_STEPS)

    @property
    def reason(self) -> str:
        """The conclusions as one text."""
        return " ".join(" ".join(step.conclusion for step in self.steps).split())[:_LONGEST_REASON]


class ScoreAnswer(Reasoned):
    """The judge's number."""

    result: float = Field(allow_inf_nan=False)


async def ask_score(judge: Judge, grader: ScoreModel, values: Values) -> tuple[float, str]:
    """The judge's number, cut to the grader's range, and its reasons. Raises `JudgeError`, `MissingValueError`."""
    low, high = grader.span
    answer = await judge.structured(messages_of(grader.input, values), ScoreAnswer)
    return min(max(answer.result, low), high), answer.reason


async def ask_label(judge: Judge, grader: LabelModel, values: Values) -> tuple[str, str]:
    """The judge's label and its reasons. Raises `JudgeError`, `MissingValueError`."""
    labels: Any = Literal[grader.labels]
    schema = create_model("LabelAnswer", __base__=Reasoned, result=(labels, ...))
    answer = await judge.structured(messages_of(grader.input, values), schema)
    return str(answer.model_dump()["result"]), answer.reason


def messages_of(messages: Sequence[Message], values: Values) -> list[dict[str, str]]:
    """A prompt's messages in the chat interface's form, templates filled in. Raises `MissingValueError`.

    Chat templates of open models know no "developer": it is their system.
    """
    return [
        {
            "role": "system" if message.role == "developer" else message.role,
            "content": "\n".join(render(part.text, values) for part in message.content),
        }
        for message in messages
    ]
