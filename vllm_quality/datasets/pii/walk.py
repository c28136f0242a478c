"""JSON values with every string in them cleaned."""

from collections.abc import Callable
from typing import Any

# Takes a string, the name of the field it is in ("" for none), and where it is: "messages[0].content".
Clean = Callable[[str, str, str], str]


def walk(value: Any, clean: Clean, label: str = "", path: str = "") -> Any:
    """The value with its strings cleaned, and the names in objects within it; those of the outermost one are a schema.

    An object's names may be as personal as its values: {"kim@example.com": 3}. So paths are made of cleaned names.
    """
    if isinstance(value, str):
        return clean(value, label, path)
    if isinstance(value, list | tuple):
        return [walk(one, clean, label, f"{path}[{at}]") for at, one in enumerate(value)]
    if isinstance(value, dict):
        cleaned: dict[str, Any] = {}
        for name, one in value.items():
            written = _unused(clean(name, "", f"{path}.*") if path else name, cleaned)
            cleaned[written] = walk(one, clean, name, f"{path}.{written}" if path else written)
        return cleaned
    return value


def _unused(name: str, taken: dict[str, Any]) -> str:
    """The name, numbered when another became the same: none may be lost."""
    if name not in taken:
        return name
    number = 2
    while f"{name} {number}" in taken:
        number += 1
    return f"{name} {number}"
