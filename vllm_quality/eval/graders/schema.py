"""Graders as OpenAI's API writes them (`openai.types.graders`), typed and checked when they are read.

Beyond OpenAI's: `text_check` (what Promptfoo's plain assertions test), `rouge_1_recall`, and `pass_threshold` on every grader.
Fields that are not known are ignored, as exports carry ids and the like.
"""

import ast
import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from vllm_quality.eval.graders.expression import parse_expression
from vllm_quality.eval.graders.templates import parse_template

_LARGEST_SOURCE = 256 * 1024  # bytes, as OpenAI has it


def _checked(template: str) -> str:
    parse_template(template)
    return template


Template = Annotated[str, AfterValidator(_checked)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TextPart(_Part):
    """A piece of a message that is text."""

    type: Literal["input_text", "output_text", "text"]
    text: Template


def _as_parts(content: object) -> object:
    """A content in its longest form: a list of parts."""
    listed = content if isinstance(content, list | tuple) else [content]
    kinds = {str(part.get("type")) for part in listed if isinstance(part, dict)} & {"input_audio", "input_image"}
    if kinds:
        raise ValueError(f"has {min(kinds)}, and only texts are sent here")
    return [{"type": "text", "text": part} if isinstance(part, str) else part for part in listed]


class Message(_Part):
    """A message of a prompt; `developer` is OpenAI's newer word for `system`."""

    role: Literal["user", "assistant", "system", "developer"]
    content: Annotated[tuple[TextPart, ...], BeforeValidator(_as_parts)]


class _Grader(BaseModel):
    """What all graders have; a sub-grader of a multi grader goes by its key and may have no name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = ""
    pass_threshold: float | None = None

    @property
    def span(self) -> tuple[float, float]:
        """The worst and the best score."""
        return 0.0, 1.0


class StringCheck(_Grader):
    """1 when `input` is (eq), is not (ne), contains (like), or contains without regard to case (ilike) `reference`."""

    type: Literal["string_check"]
    operation: Literal["eq", "ne", "like", "ilike"]
    input: Template
    reference: Template


class TextSimilarity(_Grader):
    """How alike `input` and `reference` are; see `similarity.py`."""

    type: Literal["text_similarity"]
    evaluation_metric: Literal[
        "cosine", "fuzzy_match", "bleu", "gleu", "meteor", "rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5",
        "rouge_l", "rouge_1_recall",
    ]  # fmt: skip
    input: Template
    reference: Template


class TextCheck(_Grader):
    """1 when `input` passes a plain test against `reference`; see `text_checks.py`. Ours, not OpenAI's."""

    type: Literal["text_check"]
    operation: Literal[
        "starts_with", "regex", "contains_any", "contains_all", "icontains_any", "icontains_all", "is_json",
        "contains_json", "equals_json", "levenshtein", "word_count", "is_refusal",
    ]  # fmt: skip
    input: Template
    reference: Any = None

    @model_validator(mode="after")
    def _is_count(self) -> "TextCheck":
        wanted = self.reference
        numbers = [wanted.get("min", 0), wanted.get("max", 0)] if isinstance(wanted, dict) else [wanted]
        if self.operation == "word_count" and not all(isinstance(number, int | float) for number in numbers):
            raise ValueError("has a word count that is neither a number nor min and max")
        return self


class PythonCode(_Grader):
    """`def grade(sample, item) -> float`, run in a process of its own; `image_tag` has no meaning here."""

    type: Literal["python"]
    source: str

    @model_validator(mode="after")
    def _has_grade(self) -> "PythonCode":
        if len(self.source.encode("utf-8", "surrogatepass")) > _LARGEST_SOURCE:
            raise ValueError(f"has more than {_LARGEST_SOURCE} bytes of source")
        try:
            body = ast.parse(self.source).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"has a source that is no Python ({error})") from None
        if not any("grade" in _bound(node) for node in body):
            raise ValueError("has no function grade(sample, item) in its source")
        return self


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


class ScoreModel(_Grader):
    """A number that a judge gives, cut to `range`. `model` is OpenAI's name: the configured judge answers in its place."""

    type: Literal["score_model"]
    input: tuple[Message, ...] = Field(min_length=1)
    model: str = ""
    range: tuple[float, float] | None = None

    @property
    def span(self) -> tuple[float, float]:
        """The worst and the best score."""
        return self.range or (0.0, 1.0)

    @model_validator(mode="after")
    def _is_range(self) -> "ScoreModel":
        low, high = self.span
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError("has a range that does not rise from its first to its second number")
        return self


class LabelModel(_Grader):
    """A label that a judge chooses; 1 when it is one of `passing_labels`."""

    type: Literal["label_model"]
    input: tuple[Message, ...] = Field(min_length=1)
    model: str = ""
    labels: tuple[str, ...] = Field(min_length=1)
    passing_labels: tuple[str, ...]

    @model_validator(mode="after")
    def _is_subset(self) -> "LabelModel":
        strangers = sorted(set(self.passing_labels) - set(self.labels))
        if strangers:
            raise ValueError(f"has the passing label {strangers[0]!r}, which is none of its labels")
        return self


Simple = StringCheck | TextSimilarity | TextCheck | PythonCode | ScoreModel | LabelModel
_Sub = Annotated[Simple, Field(discriminator="type")]


def _by_name(graders: object) -> object:
    """OpenAI's library types the graders as a single one; its guide, and the API, as an object of them."""
    return {graders.get("name"): graders} if isinstance(graders, dict) and "type" in graders else graders


class Multi(_Grader):
    """A formula over the scores of other graders; a multi grader inside another is not allowed."""

    type: Literal["multi"]
    graders: Annotated[dict[str, _Sub], BeforeValidator(_by_name)] = Field(min_length=1)
    calculate_output: str

    @model_validator(mode="after")
    def _is_formula(self) -> "Multi":
        parse_expression(self.calculate_output, self.graders)
        return self


Grader = Simple | Multi
AnyGrader = Annotated[Grader, Field(discriminator="type")]


def parts_of(grader: Grader) -> tuple[Simple, ...]:
    """The graders that do the work: a multi grader's own, or the grader itself."""
    return tuple(grader.graders.values()) if isinstance(grader, Multi) else (grader,)


def templates_of(grader: Grader) -> list[str]:
    """Every template in a grader."""
    found: list[str] = []
    for part in parts_of(grader):
        if isinstance(part, StringCheck | TextSimilarity):
            found += [part.input, part.reference]
        elif isinstance(part, TextCheck):
            found += [part.input, *_strings(part.reference)]
        elif isinstance(part, ScoreModel | LabelModel):
            found += [piece.text for message in part.input for piece in message.content]
    return found


def _strings(reference: Any) -> list[str]:
    listed = reference if isinstance(reference, list | tuple) else [reference]
    return [text for text in listed if isinstance(text, str)]


def needs_judge(grader: Grader) -> bool:
    """Whether a judge has to be asked."""
    return any(isinstance(part, ScoreModel | LabelModel) for part in parts_of(grader))


def needs_embeddings(grader: Grader) -> bool:
    """Whether embeddings have to be asked for."""
    return any(isinstance(part, TextSimilarity) and part.evaluation_metric == "cosine" for part in parts_of(grader))


def runs_python(grader: Grader) -> bool:
    """Whether somebody's code is run."""
    return any(isinstance(part, PythonCode) for part in parts_of(grader))
