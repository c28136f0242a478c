"""Answers that people have labelled as right or wrong: what a judge is checked against, and the canary that it judges in every run."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vllm_quality.errors import UserError
from vllm_quality.eval.items import Item
from vllm_quality.eval.result import hash_of

PACKAGED_LABELS = Path(str(files("vllm_quality"))) / "eval" / "labelled_answers.jsonl"
SUITE = "judge_canary"  # begins the suites of all canaries, each of which asks the judge in a way of its own
_NO_PASSAGES = "(none given)"  # deepeval refuses to judge with passages where there are none


class LabelsError(UserError):
    """A file of labelled answers cannot be used."""


class LabelledAnswer(BaseModel):
    """One answer and what a person says of it.

    context   passages that the question is about, if any
    label     1 right, 0 wrong, or between
    language  "en", "ko", …
    kind      what sort of answer it is, such as "near miss"; for people
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    reference: str = Field(min_length=1)
    label: float = Field(ge=0, le=1)
    context: tuple[str, ...] = ()
    language: str = "unknown"
    kind: str = ""

    @property
    def right(self) -> bool:
        """The label as yes or no."""
        return self.label >= 0.5

    @property
    def item(self) -> Item:
        """The question as an item; its id names the answer too."""
        return Item(
            id=hash_of([self.question, self.answer, self.reference, self.context]),
            dataset=SUITE,
            language=self.language,
            messages=({"role": "user", "content": self.question},),
            input=self.question,
            reference=self.reference,
            choices=(),
            metadata={"context": list(self.context) or [_NO_PASSAGES]},
        )


def load_labels(path: Path = PACKAGED_LABELS) -> list[LabelledAnswer]:
    """The labelled answers of a JSONL file, in its order. Raises `LabelsError`, one sentence with the line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(f"{path} cannot be read ({error}); give a JSONL file of labelled answers.") from None
    found = [_read(line, f"{path} line {number}") for number, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise LabelsError(f"{path} has no labelled answers; put one JSON object on each line.")
    if len({answer.item.id for answer in found}) < len(found):
        raise LabelsError(f"{path} has an answer to one question twice; keep one of them.")
    return found


def _read(line: str, place: str) -> LabelledAnswer:
    try:
        row: Any = json.loads(line)
        if isinstance(row, dict) and isinstance(row.get("context"), str):
            row["context"] = [row["context"]]
        return LabelledAnswer.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the row"
        raise LabelsError(f"{place}: {field}: {first['msg'][0].lower()}{first['msg'][1:]}; correct it.") from None
    except ValueError as error:
        raise LabelsError(f"{place} is not JSON ({error}); correct it.") from None


def first_questions(labelled: Sequence[LabelledAnswer], most: int | None) -> list[LabelledAnswer]:
    """The answers to the first so many questions; None for all."""
    questions = list(dict.fromkeys(answer.question for answer in labelled))[:most]
    return [answer for answer in labelled if answer.question in questions]
