"""A judge for a fake server that answers any request for JSON with the least that follows its schema."""

import json
from typing import Any

from vllm_quality_tests.servers.openai_api import Body


def obey(body: Body) -> str:
    """JSON of the request's schema: first choices, one element in a list, 5 or 1 as a number; "yes" without a schema."""
    wanted = body.get("response_format", {}).get("json_schema")
    return json.dumps(least(wanted["schema"], wanted["schema"])) if wanted else "yes"


def least(schema: Any, root: Any) -> Any:
    """The least value that follows a JSON schema as pydantic writes it."""
    if "$ref" in schema:
        return least(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return least(schema["anyOf"][0], root)
    match schema.get("type"):
        case "object":
            return {name: least(part, root) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [least(schema.get("items", {}), root)]
        case "integer":
            return 5
        case "number":
            return 1
        case "boolean":
            return True
    return "yes"
