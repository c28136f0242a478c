"""The Adaptive Card that tells a Teams channel how a run ended. Pure: a `RunNotice` goes in, a message comes out.

Adaptive Cards 1.5 as the Workflows webhook takes them; https://adaptivecards.io/explorer/ has the schema. Teams adds
`msteams` (width, mentions), and refuses messages of more than 28 KB.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vllm_quality.alerts.markdown import plain
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.report.units import (
    human_change,
    human_duration,
    human_limit,
    human_time,
    metric_label,
    scale_for,
    short_hash,
    verdict_words,
)
from vllm_quality.verdict.types import Finding, VerdictStatus

MAX_BYTES = 28 * 1024

Element = dict[str, Any]
Mentions = Sequence[tuple[str, str]]
Style = Literal["good", "attention", "warning", "emphasis"]

_STYLES: dict[VerdictStatus, Style] = {
    "pass": "good",
    "worse": "attention",
    "no_baseline": "warning",
    "invalid": "warning",
}
_LONGEST_URL = 1000
_COLUMNS = ("Metric", "Now", "Baseline", "Change", "Limit")


@dataclass(frozen=True)
class _Room:
    """How much of what can grow is shown."""

    findings: int
    error: int
    label: int
    mentions: int


# Tried in order until the message fits; the last always does (tests: test_card.py).
_ROOMS = (_Room(6, 1200, 120, 50), _Room(6, 600, 60, 20), _Room(3, 300, 40, 5), _Room(0, 100, 40, 1))


def build_card(notice: RunNotice, mentions: Mentions) -> dict[str, Any]:
    """The message for one ended run, under 28 KB.

    mentions  (name, UPN or Entra object id) of those to call; they are called only when something is worse or failed
    """
    for room in _ROOMS:
        message = _message(notice, mentions, room)
        if len(encode(message)) <= MAX_BYTES:
            break
    return message


def encode(message: Mapping[str, Any]) -> bytes:
    """The bytes that go over the wire; the size limit is held against these."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def headline(notice: RunNotice) -> tuple[str, Style]:
    """What happened, in words that follow the tag, and its colour."""
    if notice.outcome == "canceled":
        return "was canceled before it was done", "emphasis"
    if notice.outcome == "failure" and not notice.regressed:
        return "could not be evaluated: the run failed", "attention"
    if notice.verdict is None:
        return "was measured, but no verdict was found", "warning"
    return verdict_words(notice.verdict), _STYLES[notice.verdict.status]


def _message(notice: RunNotice, mentions: Mentions, room: _Room) -> dict[str, Any]:
    words, style = headline(notice)
    called = _callable(mentions, room) if notice.needs_people else []
    body = [_header(notice, words, style), _facts(notice), *_failure(notice, room), *_findings(notice, room)]
    teams: Element = {"width": "Full"}
    if called:
        body.append(_text(" ".join(f"<at>{name}</at>" for name, _ in called), spacing="Medium"))
        teams["entities"] = [
            {"type": "mention", "text": f"<at>{name}</at>", "mentioned": {"id": identity, "name": name}}
            for name, identity in called
        ]
    content: Element = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "fallbackText": f"{plain(notice.model_tag, 128)} {words}",
        "body": body,
        "msteams": teams,
    }
    actions = _actions(notice)
    if actions:
        content["actions"] = actions
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def _text(text: str, **properties: Any) -> Element:
    return {"type": "TextBlock", "text": text, "wrap": True, **properties}


def _header(notice: RunNotice, words: str, style: Style) -> Element:
    color = {"good": "Good", "attention": "Attention", "warning": "Warning"}.get(style, "Default")
    items = [_text(f"{plain(notice.model_tag, 128)} {words}", size="Large", weight="Bolder", color=color)]
    if notice.verdict is not None:
        items.append(_text(plain(notice.verdict.summary, 300), spacing="Small"))
    return {"type": "Container", "style": style, "bleed": True, "items": items}


def _facts(notice: RunNotice) -> Element:
    facts: list[tuple[str, str | None]] = [("Digest", short_hash(notice.image_digest))]
    target = notice.target
    if target is not None:
        facts += [
            ("Model", target.endpoint.model),
            ("Engine", f"{target.endpoint.engine} {target.endpoint.engine_version}"),
            ("Profile", target.profile),
            ("Hardware", target.hardware),
        ]
    took = None
    if notice.started_at is not None and notice.finished_at is not None:
        took = f", took {human_duration((notice.finished_at - notice.started_at).total_seconds())}"
    facts.append(("Ended", f"{human_time(notice.finished_at)}{took or ''}" if notice.finished_at else None))
    facts.append(("Run", notice.run_id))
    if notice.report_url is not None and not _opens_in_teams(notice.report_url):
        facts.append(("Report", notice.report_url))
    return {
        "type": "FactSet",
        "facts": [{"title": title, "value": plain(value, 200)} for title, value in facts if value],
    }


def _failure(notice: RunNotice, room: _Room) -> list[Element]:
    if notice.outcome != "failure":
        return []
    where = f"Failed at step {plain(notice.failed_step, 128)}" if notice.failed_step else "The run failed"
    elements = [_text(where, weight="Bolder", color="Attention", spacing="Medium")]
    if notice.error:
        elements.append(_text(plain(notice.error, room.error), spacing="Small"))
    return elements


def _findings(notice: RunNotice, room: _Room) -> list[Element]:
    worst = notice.verdict.worst if notice.verdict is not None else ()
    shown = worst[: room.findings]
    if not shown:
        return []
    hidden = sum(finding.status == "worse" for finding in worst[len(shown) :])
    table = {
        "type": "Table",
        "spacing": "Medium",
        "gridStyle": "default",
        "showGridLines": False,
        "columns": [{"width": width} for width in (5, 2, 2, 2, 2)],
        "rows": [
            _row([_text(column, weight="Bolder") for column in _COLUMNS]),
            *(_finding_row(finding, room) for finding in shown),
        ],
    }
    more = f"{hidden} more {'metric is' if hidden == 1 else 'metrics are'} worse; the report has them all."
    return [table, _text(more, isSubtle=True)] if hidden else [table]


def _finding_row(finding: Finding, room: _Room) -> Element:
    scale = scale_for(finding.metric, finding.unit, (finding.current, finding.baseline))
    worse = {"color": "Attention", "weight": "Bolder"} if finding.status == "worse" else {}
    name = plain(metric_label(finding.metric), room.label)
    if finding.status in ("worse", "invalid") and finding.change is None:
        # Only the reason tells what a fixed limit or an untrusted measurement is about.
        name += f" ({plain(finding.reason, room.label)})"
    return _row(
        [
            _text(name, **worse),
            _text(scale.text(finding.current)),
            _text(scale.text(finding.baseline)),
            _text(human_change(finding.change), **worse),
            _text(human_limit(finding.limit, finding.higher_is_better)),
        ]
    )


def _row(texts: Sequence[Element]) -> Element:
    return {"type": "TableRow", "cells": [{"type": "TableCell", "items": [text]} for text in texts]}


def _opens_in_teams(url: str) -> bool:
    return url.startswith(("https://", "http://")) and len(url) <= _LONGEST_URL and url.isascii() and url.isprintable()


def _actions(notice: RunNotice) -> list[Element]:
    links = (("Open the report", notice.report_url), ("Open the run in Dagster", notice.run_url))
    return [
        {"type": "Action.OpenUrl", "title": title, "url": url} for title, url in links if url and _opens_in_teams(url)
    ]


def _callable(mentions: Mentions, room: _Room) -> list[tuple[str, str]]:
    # One id that Teams cannot resolve shifts all the others, and its text must match the body to the letter.
    usable = [(name, identity) for name, identity in mentions if len(name) <= 128 and len(identity) <= 256]
    sound = [
        (name, identity) for name, identity in usable if (name + identity).isprintable() and not set("<>") & set(name)
    ]
    return sound[: room.mentions]
