"""An eval as OpenAI's API writes it: the eval object, alone or together with a run of it.

Taken: `data_source_config` (custom, as it was sent and as the API answers it; logs; stored_completions), `testing_criteria`,
and of a run its `data_source`: jsonl, completions or responses, with its rows, messages and sampling parameters. The run's
model is not: the release is asked. Ours are `min_pass`, `optional` and `data` (a file beside the eval).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from vllm_quality.eval.evals.plan import EvalError
from vllm_quality.eval.graders.schema import AnyGrader, Message

_OLD_DATA = "needs the rows that OpenAI holds; export them as JSON lines and give them with --data"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class DataSourceConfig(_Part):
    """What rows look like. `schema` is the API's answer, of the whole row; `item_schema` is what was sent."""

    type: Literal["custom", "logs", "stored_completions"] = "custom"
    item_schema: dict[str, Any] | None = None
    row_schema: dict[str, Any] | None = Field(None, validation_alias=AliasChoices("schema", "schema_"))

    @property
    def of_items(self) -> Mapping[str, Any] | None:
        """The JSON schema of `item`; None where any object will do."""
        if self.item_schema is not None or self.type != "custom":
            return self.item_schema
        properties = (self.row_schema or {}).get("properties")
        found = properties.get("item") if isinstance(properties, dict) else None
        return found if isinstance(found, dict) else None


class InputMessages(_Part):
    """What the release is asked: messages with templates, or the place in the item where messages are."""

    type: Literal["template", "item_reference"] = "template"
    template: tuple[Message, ...] = ()
    item_reference: str | None = None


class SourceSampling(_Part):
    """How the release is asked. `text.format` is the Responses API's word for `response_format`."""

    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    reasoning_effort: str | None = None
    response_format: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    tools: list[Any] | None = None

    @property
    def wanted_format(self) -> dict[str, Any] | None:
        """The response format in the form of chat completions."""
        named = (self.text or {}).get("format")
        if self.response_format is not None or not isinstance(named, dict) or named.get("type") != "json_schema":
            return self.response_format or (named if isinstance(named, dict) and named.get("type") != "text" else None)
        return {"type": "json_schema", "json_schema": {key: value for key, value in named.items() if key != "type"}}


class RowSource(_Part):
    """Where a run's rows are."""

    type: str
    content: list[Any] | None = None
    id: str | None = None


class RunSource(_Part):
    """The data source of a run."""

    type: Literal["jsonl", "completions", "responses"]
    source: RowSource | None = None
    input_messages: InputMessages | None = None
    sampling_params: SourceSampling | None = None


def _listed(criteria: object) -> object:
    return [criteria] if isinstance(criteria, dict) else criteria


class OpenAIEval(_Part):
    """The eval object."""

    name: str = ""
    data_source_config: DataSourceConfig | None = None
    testing_criteria: Annotated[tuple[AnyGrader, ...], BeforeValidator(_listed)] = Field(min_length=1)
    data_source: RunSource | None = None
    min_pass: float | dict[str, float] | None = None
    optional: bool = False
    data: str | None = None


def read_openai_eval(stored: Mapping[str, Any], where: str) -> OpenAIEval:
    """The eval of an exported file, with its latest run's data source. Raises `EvalError`, one sentence.

    where  the file, for messages
    """
    found = _merged(stored, where)
    try:
        loaded = OpenAIEval.model_validate(found)
    except ValidationError as error:
        raise EvalError(_sentence(where, error, found)) from None
    source = loaded.data_source
    if source is not None and source.sampling_params is not None and source.sampling_params.tools:
        raise EvalError(f"{where}: the run's sampling_params have tools, which cannot be called here; take them out.")
    return loaded


def _merged(stored: Mapping[str, Any], where: str) -> dict[str, Any]:
    if stored.get("object") == "list" or ("data" in stored and isinstance(stored["data"], list)):
        evals = [entry for entry in stored["data"] if isinstance(entry, dict)]
        if len(evals) != 1:
            names = ", ".join(str(entry.get("name")) for entry in evals[:5])
            raise EvalError(
                f"{where} holds {len(evals)} evals ({names}); put each into a file of its own, or carry them over with `vllm-quality evals import`."
            )
        return _merged(evals[0], where)
    inner = stored.get("eval")
    found = {**(inner if isinstance(inner, dict) else stored)}
    if "testing_criteria" not in found:
        raise EvalError(
            f"{where} has no testing_criteria (nor Promptfoo's prompts and tests); give the eval object of OpenAI's API, "
            "a run alone does not say how it is graded."
        )
    runs = stored.get("runs", stored.get("run", found.get("runs", found.get("run"))))
    runs = runs.get("data") if isinstance(runs, dict) and isinstance(runs.get("data"), list) else runs
    listed = [run for run in (runs if isinstance(runs, list) else [runs]) if isinstance(run, dict)]
    if listed and "data_source" not in found:
        latest = max(listed, key=lambda run: run.get("created_at") or 0)
        found["data_source"] = latest.get("data_source")
    return found


def missing_rows(loaded: OpenAIEval, where: str) -> EvalError:
    """What to say when there is no data."""
    source = loaded.data_source.source if loaded.data_source else None
    if source is not None and source.type == "file_id":
        return EvalError(
            f"{where}: its rows are OpenAI's file {source.id}, which is not read here; download it and give it with --data."
        )
    if source is not None and source.type not in ("file_content", "file_id"):
        return EvalError(f"{where}: its source {source.type!r} {_OLD_DATA}.")
    return EvalError(f"{where} has no rows of its own; give them with --data DATA.jsonl.")


def _sentence(where: str, error: ValidationError, stored: Mapping[str, Any]) -> str:
    first = error.errors(include_url=False)[0]
    place = [part for part in first["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    spelled = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    name = _criterion(stored, place)
    reason = first["msg"].removeprefix("Value error, ")
    return f"{where}: {spelled or 'the file'}{f' (of {name!r})' if name else ''} cannot be used: {reason.rstrip('.')}."


def _criterion(stored: Mapping[str, Any], place: list[Any]) -> str | None:
    criteria = stored.get("testing_criteria")
    if len(place) < 2 or place[0] != "testing_criteria" or not isinstance(criteria, list):
        return None
    entry = criteria[place[1]] if isinstance(place[1], int) and place[1] < len(criteria) else None
    return str(entry["name"]) if isinstance(entry, dict) and entry.get("name") else None
