"""What `{{item.question}}` or `{{ sample.output_json.parts[0]['name'] }}` stands for: looked up in plain data, nothing executed.

Source: "Templating" in OpenAI's graders guide (namespaces `item` and `sample`, JSON path like syntax).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from vllm_quality.errors import UserError

_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_STEP = re.compile(r"""\.(?P<name>[\w$-]+)|\[(?P<index>-?\d{1,9})\]|\[(?P<quote>["'])(?P<key>(?s:.*?))(?P=quote)\]""")
NAMESPACES = ("item", "sample")


class TemplateError(UserError, ValueError):
    """A template that refers to nothing we know."""


class MissingValueError(Exception):
    """A reference that leads nowhere in this row. `namespace` says whose fault it is: the data's or the answer's."""

    def __init__(self, reference: "Reference", reason: str) -> None:
        super().__init__(f"{reference.text} has no value: {reason}")
        self.namespace = reference.namespace


@dataclass(frozen=True)
class Reference:
    """One `{{…}}`: where the value is found."""

    namespace: str
    steps: tuple[str | int, ...]
    text: str


@lru_cache(maxsize=4096)
def parse_template(template: str) -> tuple[str | Reference, ...]:
    """The template's literal texts and references, in order. Raises `TemplateError`."""
    parts: list[str | Reference] = []
    at = 0
    for found in _BRACES.finditer(template):
        parts += [template[at : found.start()], parse_reference(found[1].strip())]
        at = found.end()
    return tuple(part for part in (*parts, template[at:]) if part != "")


def parse_reference(text: str) -> Reference:
    """`item.a[0]['b c']` as a reference. Raises `TemplateError`."""
    namespace = next((name for name in NAMESPACES if re.match(rf"{name}(?![^.\[])", text)), None)
    steps: list[str | int] = []
    at = len(namespace or "")
    while namespace and at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            break
        steps.append(int(step["index"]) if step["index"] else step["name"] or step["key"])
        at = step.end()
    if namespace is None or at < len(text):
        raise TemplateError(
            f"{{{{{' '.join(text[:80].split())}}}}} is no reference; it must begin with item. or sample. and go on with .name, [0] or ['name']."
        )
    return Reference(namespace, tuple(steps), text)


def look_up(reference: Reference, values: Mapping[str, Any]) -> Any:
    """The referenced value, of any JSON type. Raises `MissingValueError`."""
    value: Any = values.get(reference.namespace)
    if value is None:
        raise MissingValueError(reference, f"there is no {reference.namespace}")
    for step in reference.steps:
        if isinstance(step, str) and isinstance(value, Mapping):
            if step not in value:
                raise MissingValueError(reference, f"{step!r} is not among {_names(value)}")
            value = value[step]
        elif isinstance(step, int) and isinstance(value, Sequence) and not isinstance(value, str):
            if not -len(value) <= step < len(value):
                raise MissingValueError(reference, f"the list has {len(value)} entries")
            value = value[step]
        else:
            raise MissingValueError(reference, f"{step!r} is looked for in {_kind(value)}")
    return value


def render(template: str, values: Mapping[str, Any]) -> str:
    """The template with its references filled in: texts as they are, other values as JSON.

    Raises `TemplateError`, `MissingValueError`.
    """
    return "".join(
        part if isinstance(part, str) else as_text(look_up(part, values)) for part in parse_template(template)
    )


def as_text(value: Any) -> str:
    """A value as it appears in a rendered template."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def references(template: str) -> list[Reference]:
    """The references of a template. Raises `TemplateError`."""
    return [part for part in parse_template(template) if isinstance(part, Reference)]


def _names(value: Mapping[str, Any]) -> str:
    names = [str(name) for name in value][:8]
    return ", ".join(names) + (", …" if len(value) > len(names) else "") if names else "its names: it has none"


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
