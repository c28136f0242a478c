"""The few elements of Adaptive Cards 1.5 that our cards are made of, and the message around them.

https://adaptivecards.io/explorer/ has the schema. Teams adds `msteams` (width, mentions), and refuses messages of more than
28 KB (learn.microsoft.com, "Create and send actionable messages", rate limiting and size of incoming webhooks).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

Element = dict[str, Any]
Style = Literal["good", "attention", "warning", "emphasis"]

MAX_BYTES = 28 * 1024

_LONGEST_URL = 1000
_COLORS: Mapping[Style, str] = {"good": "Good", "attention": "Attention", "warning": "Warning", "emphasis": "Default"}


def text(content: str, **properties: Any) -> Element:
    """Markdown that wraps; text of others must have been made `plain`."""
    return {"type": "TextBlock", "text": content, "wrap": True, **properties}


def heading(content: str) -> Element:
    """The title of a section."""
    return text(content, weight="Bolder", spacing="Medium", separator=True)


def header(title: str, lead: Iterable[str], style: Style) -> Element:
    """What is to be grasped in two seconds: the title in its colour, and a line or two below."""
    items = [text(title, size="Large", weight="Bolder", color=_COLORS[style])]
    items += [text(line, spacing="Small") for line in lead if line]
    return {"type": "Container", "style": style, "bleed": True, "items": items}


def facts(pairs: Iterable[tuple[str, str | None]]) -> Element:
    """Titles and values; those without a value are left out."""
    return {
        "type": "FactSet",
        "separator": True,
        "facts": [{"title": title, "value": value} for title, value in pairs if value],
    }


def table(widths: Sequence[int], titles: Sequence[str], rows: Iterable[Sequence[Sequence[Element]]]) -> Element:
    """A table whose first row is its header: the renderer's default, which the schema misspells, so it is not written."""
    head = [[text(title, weight="Bolder", isSubtle=True)] for title in titles]
    return {
        "type": "Table",
        "spacing": "Medium",
        "separator": True,
        "gridStyle": "default",
        "showGridLines": False,
        "columns": [{"width": width} for width in widths],
        "rows": [_row(head), *(_row(row) for row in rows)],
    }


def _row(cells: Iterable[Sequence[Element]]) -> Element:
    return {"type": "TableRow", "cells": [{"type": "TableCell", "items": list(items)} for items in cells]}


def link(words: str, url: str | None) -> str:
    """Plain words as a Markdown link, if Teams can open the address."""
    if not url or not opens_in_teams(url) or set("()<> ") & set(url):
        return words
    return f"[{words}]({url})"


def open_url(title: str, url: str | None) -> list[Element]:
    """A button, if Teams can open the address."""
    return [{"type": "Action.OpenUrl", "title": title, "url": url}] if url and opens_in_teams(url) else []


def opens_in_teams(url: str) -> bool:
    """Whether a button may lead there; what lies in a bucket or a folder is named instead."""
    return url.startswith(("https://", "http://")) and len(url) <= _LONGEST_URL and url.isascii() and url.isprintable()


def message(
    summary: str, body: Iterable[Element], actions: Iterable[Element] = (), entities: Iterable[Element] = ()
) -> dict[str, Any]:
    """What is posted: one card in full width, with the text for where it cannot be shown, and whom it mentions."""
    teams: Element = {"width": "Full"}
    mentioned, buttons = list(entities), list(actions)
    if mentioned:
        teams["entities"] = mentioned
    content: Element = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "fallbackText": summary,
        "body": list(body),
        "msteams": teams,
    }
    if buttons:
        content["actions"] = buttons
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def encode(posted: Mapping[str, Any]) -> bytes:
    """The bytes that go over the wire; the size limit is held against these."""
    return json.dumps(posted, ensure_ascii=False, separators=(",", ":")).encode()


def fits(posted: Mapping[str, Any]) -> bool:
    """Whether Teams takes a message of this size."""
    return len(encode(posted)) <= MAX_BYTES
