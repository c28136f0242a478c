"""What a Promptfoo configuration refers to: other files, and variables in Nunjucks' `{{name}}`.

Source: promptfoo.dev/docs/configuration (reference, prompts, expected-outputs), read in November 2026.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml

_FILE = "file://"
_TAG = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
_PLAIN = re.compile(r"\s*([A-Za-z_]\w*)((?:\.\w+|\[\d+\]|\['[^']*'\]|\[\"[^\"]*\"\])*)\s*(?:\|\s*safe\s*)?")
_LARGEST = 64 * 1024 * 1024  # bytes of a file that is referred to


class UnsupportedError(Exception):
    """Something that cannot be done here. `kind` is what, `advice` what to do about it."""

    def __init__(self, kind: str, advice: str) -> None:
        super().__init__(f"{kind}: {advice}")
        self.kind, self.advice = kind, advice


def is_file(value: object) -> bool:
    """Whether a value is a reference to a file."""
    return isinstance(value, str) and value.startswith(_FILE)


def path_of(value: str, folder: Path) -> Path:
    """The file that a `file://` reference names, relative to the configuration's folder. Raises `UnsupportedError`."""
    name = value.removeprefix(_FILE)
    if "*" in name:
        raise UnsupportedError(f"several files by {value!r}", "name each file")
    return folder / name


def read_text(path: Path) -> str:
    """A text that is referred to. Raises `UnsupportedError`."""
    try:
        if path.stat().st_size > _LARGEST:
            raise UnsupportedError(f"the file {path.name}", f"it is larger than {_LARGEST} bytes")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnsupportedError(f"the file {path}", f"it cannot be read ({error})") from None


def read_value(path: Path) -> Any:
    """What is in a referred file: parsed where it is JSON or YAML, else its text. Raises `UnsupportedError`."""
    suffix = path.suffix.lower()
    if suffix in (".js", ".cjs", ".mjs", ".ts", ".py", ".rb", ".sh"):
        raise UnsupportedError(f"values from code ({path.name})", "write the value itself")
    text = read_text(path)
    try:
        if suffix == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        if suffix == ".json":
            return json.loads(text)
        return yaml.safe_load(text) if suffix in (".yaml", ".yml") else text
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise UnsupportedError(f"the file {path}", f"it is broken ({' '.join(str(error).split())[:120]})") from None


def to_template(text: str, special: dict[str, str] | None = None) -> str:
    """Nunjucks' text as one of our templates: `{{name.part}}` becomes `{{item.name.part}}`. Raises `UnsupportedError`.

    special  names that stand for something else than a variable
    """
    if "{%" in text or "{#" in text:
        raise UnsupportedError("Nunjucks logic ({% … %})", "write the text out, or one prompt for each case")

    def turn(found: re.Match[str]) -> str:
        plain = _PLAIN.fullmatch(found[1])
        if plain is None:
            raise UnsupportedError(f"the expression {found[0][:60]!r}", "use plain variables")
        name, path = plain[1], plain[2]
        if name == "env":
            raise UnsupportedError("environment variables in texts", "write the value itself")
        if special and name in special and not path:
            return special[name]
        return f"{{{{item.{name}{path}}}}}"

    return _TAG.sub(turn, text)
