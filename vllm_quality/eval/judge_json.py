"""What a judge says, as the JSON that was asked for: schemas as servers want them, and how far a broken answer is mended."""

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

# How a server is held to JSON, the strictest first. "plain" is asked for JSON in words alone.
ResponseForm = Literal["json_schema", "json_object", "plain"]
FORMS: tuple[ResponseForm, ...] = ("json_schema", "json_object", "plain")

Schema = TypeVar("Schema", bound=BaseModel)

_TRAILING_COMMA = re.compile(r",\s*([\]}])")


class BrokenJSONError(ValueError):
    """A text holds no JSON of the schema. The text of the error says what is wrong with it, for the judge to read."""


def strict(schema: Any) -> Any:
    """A JSON schema as OpenAI's strict mode wants it: every property required, no others allowed."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    copied = {name: strict(part) for name, part in schema.items()}
    if isinstance(copied.get("properties"), dict):
        copied |= {"required": list(copied["properties"]), "additionalProperties": False}
    return copied


def response_format(form: ResponseForm, schema: type[BaseModel]) -> dict[str, Any]:
    """The request's `response_format` in a form; nothing for "plain"."""
    if form == "json_schema":
        described = {"name": schema.__name__, "schema": strict(schema.model_json_schema()), "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": described}}
    return {"response_format": {"type": "json_object"}} if form == "json_object" else {}


def in_words(schema: type[BaseModel]) -> str:
    """What to add to a prompt whose server cannot be held to a schema."""
    wanted = json.dumps(strict(schema.model_json_schema()), ensure_ascii=False)
    return f"Answer with one JSON object and nothing else. It follows this JSON schema: {wanted}"


def read_json(text: str, schema: type[Schema]) -> Schema:
    """The first object in a text that fits the schema. Raises `BrokenJSONError`.

    Words, a code fence or a reasoning part around it are passed over, commas before a closing bracket taken out. An object
    that breaks off is not completed: what it would have said is not known.
    """
    wrong = "there is no JSON object in it"
    for found in _objects(text.rpartition("</think>")[2]):
        try:
            return schema.model_validate(found)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            wrong = f"{'.'.join(map(str, first['loc'])) or 'the object'}: {first['msg'][0].lower()}{first['msg'][1:]}"
    raise BrokenJSONError(wrong)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    reader = json.JSONDecoder(strict=False)  # a line break within a string is a usual slip
    for candidate in (text, _TRAILING_COMMA.sub(r"\1", text)):
        at = candidate.find("{")
        while at >= 0:
            try:
                found, end = reader.raw_decode(candidate, at)
            except (ValueError, RecursionError):
                end = at + 1
            else:
                if isinstance(found, dict):
                    yield found
            at = candidate.find("{", end)
