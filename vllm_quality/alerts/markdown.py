"""Text from elsewhere, made harmless inside an Adaptive Card's TextBlock, whose text is Markdown."""

import re

_SPECIAL = re.compile(r"([\\`*_\[\]<>~|#])")
_LIST_MARKER = re.compile(r"^([-+])(?=[\s-])|^(\d+)([.)])(?=\s)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


def plain(text: str, limit: int) -> str:
    """The text on one line, at most `limit` characters, that shows as it is: no formatting, link or `<at>` mention."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    if len(line) > limit:
        line = line[: limit - 1].rstrip() + "…"
    return _LIST_MARKER.sub(_escape_marker, _SPECIAL.sub(r"\\\1", line))


def _escape_marker(match: re.Match[str]) -> str:
    return f"\\{match[1]}" if match[1] else f"{match[2]}\\{match[3]}"
