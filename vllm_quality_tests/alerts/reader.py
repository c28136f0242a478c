"""A card as a person reads it, and whether Microsoft's schema takes it."""

import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def content(message: Mapping[str, Any]) -> dict[str, Any]:
    """The card of a message."""
    (attachment,) = message["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card: dict[str, Any] = attachment["content"]
    return card


def lines(message: Mapping[str, Any]) -> list[str]:
    """A line per text, fact, table row and button."""
    card = content(message)
    return [line for element in card["body"] for line in _lines(element)] + [
        f"[{action['title']}]({action['url']})" for action in card.get("actions", [])
    ]


def _lines(element: Mapping[str, Any]) -> Iterator[str]:
    match element["type"]:
        case "TextBlock":
            yield element["text"]
        case "Container":
            for item in element["items"]:
                yield from _lines(item)
        case "FactSet":
            yield from (f"{fact['title']}: {fact['value']}" for fact in element["facts"])
        case "Table":
            for row in element["rows"]:
                cells = [[line for item in cell["items"] for line in _lines(item)] for cell in row["cells"]]
                yield " | ".join(" / ".join(cell) for cell in cells)
        case unknown:
            raise AssertionError(unknown)


def elements(card: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every element of a card, at any depth."""
    for value in card.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                if "type" in each:
                    yield each
                yield from elements(each)


@cache
def _validator() -> Any:
    from jsonschema import Draft6Validator

    spec = find_spec("adaptive_cards")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    schema = Path(spec.submodule_search_locations[0]) / "schemas" / "schema-1.5.json"
    return Draft6Validator(json.loads(schema.read_text(encoding="utf-8")))


def check_schema(message: Mapping[str, Any]) -> None:
    """Fail unless the official schema of Adaptive Cards 1.5 takes the card.

    `msteams` is Teams' own and not in it. It says `firstRowAsHeader` where the documentation and the renderer have
    `firstRowAsHeaders`, which is true unless it is written: our tables write neither.
    """
    card = copy.deepcopy(content(message))
    del card["msteams"]
    assert all("firstRowAsHeader" not in name for element in elements(card) for name in element)
    # The schema is a choice of kinds, each naming its type: of a card, that of AdaptiveCard is meant.
    definition = {"$ref": "#/definitions/AdaptiveCard"}
    errors = [
        error.message
        for error in _validator().evolve(schema=_validator().schema | {"anyOf": [definition]}).iter_errors(card)
    ]
    assert errors == []
