"""The Adaptive Card that tells a Teams channel how a run ended. Pure: a `RunNotice` goes in, a message comes out."""

from dataclasses import dataclass
from typing import Any

from vllm_quality.alerts.elements import Element, Style, fits, header, message, open_url
from vllm_quality.alerts.facts import facts_section, failure_section
from vllm_quality.alerts.markdown import plain
from vllm_quality.alerts.mentions import Mentions, checked, entities, mention_line
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.alerts.sections import (
    flip_section,
    lead,
    moved_section,
    slice_section,
    speed_section,
    untold_section,
    worse_section,
)
from vllm_quality.report.units import verdict_words
from vllm_quality.verdict.types import VerdictStatus

_STYLES: dict[VerdictStatus, Style] = {
    "pass": "good",
    "better": "good",
    "worse": "attention",
    "underpowered": "warning",
    "not_comparable": "warning",
    "no_baseline": "warning",
    "invalid": "warning",
}
_MARKS: dict[Style, str] = {"good": "✓", "attention": "✗", "warning": "?", "emphasis": "■"}


@dataclass(frozen=True)
class _Room:
    """How much of what can grow is shown: so many rows or items, so many characters."""

    findings: int
    slices: int
    moved: int
    flips: int
    stages: int
    letters: int
    label: int
    mentions: int


# Tried in order until the message fits; the last always does (tests: test_card.py).
_ROOMS = (
    _Room(6, 5, 2, 5, 8, 120, 120, 50),
    _Room(6, 4, 2, 5, 6, 80, 60, 20),
    _Room(4, 3, 2, 3, 4, 60, 40, 10),
    _Room(2, 0, 1, 0, 0, 40, 40, 5),
    _Room(0, 0, 0, 0, 0, 40, 40, 1),
)


def build_card(notice: RunNotice, mentions: Mentions = (), *, smallest: bool = False) -> dict[str, Any]:
    """The message for one ended run, under 28 KB.

    mentions  (name, UPN or Entra object id) of those to call; they are called only when something is worse or failed
    smallest  no more than the verdict, the failure and the links: for a channel that refused the whole card
    """
    for room in _ROOMS[-1:] if smallest else _ROOMS:
        made = _message(notice, mentions, room)
        if fits(made):
            break
    return made


def headline(notice: RunNotice) -> tuple[str, Style]:
    """What happened, in words that follow the tag, and its colour."""
    if notice.outcome == "canceled":
        return "was canceled before it was done", "emphasis"
    if notice.outcome == "failure" and not notice.regressed:
        return "could not be evaluated: the run failed", "attention"
    if notice.verdict is None:
        return "was measured, but no verdict was found", "warning"
    return verdict_words(notice.verdict), _STYLES[notice.verdict.status]


def mark(style: Style) -> str:
    """The sign before a headline: colour alone does not reach everybody."""
    return _MARKS[style]


def _message(notice: RunNotice, mentions: Mentions, room: _Room) -> dict[str, Any]:
    words, style = headline(notice)
    called = checked(mentions if notice.needs_people else ())
    tag, verdict = plain(notice.model_tag, 128), notice.verdict
    body: list[Element] = [
        header(f"{mark(style)} {tag} {words}", lead(notice, room.label), style),
        *mention_line(called, room.mentions),
        *failure_section(notice, 5 * room.letters),
        *worse_section(verdict, room.findings, room.label),
        *slice_section(verdict, room.slices, room.label),
        *untold_section(verdict, room.findings, room.label),
        *moved_section(verdict, room.moved, room.label),
        *flip_section(notice.flips, room.flips, room.letters),
        *speed_section(notice.speed, verdict, room.stages),
        *facts_section(notice),
    ]
    actions = [
        *open_url("Open the report", notice.report_url),
        *open_url("Open the run", notice.run_url),
        *open_url("Open the release in Dagster", notice.partition_url),
    ]
    return message(f"{tag} {words}", body, actions, entities(called, room.mentions))
