"""One card about many runs: a backfill's, or those that waited while Teams was away. Pure: notices in, a message out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vllm_quality.alerts.card import mark
from vllm_quality.alerts.elements import (
    Element,
    Style,
    fits,
    header,
    link,
    message,
    open_url,
    opens_in_teams,
    table,
    text,
)
from vllm_quality.alerts.markdown import plain
from vllm_quality.alerts.mentions import Mentions, checked, entities, mention_line
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.alerts.sections import finding_label, movement, worse_findings

MOST_RUNS = 60  # in one digest: so many tags of 128 characters fit into a message

Ending = Literal["worse", "failed", "canceled", "unclear", "fine"]

_STYLES: dict[Ending, Style] = {
    "worse": "attention",
    "failed": "attention",
    "unclear": "warning",
    "canceled": "emphasis",
    "fine": "good",
}
_WORDS: dict[Ending, str] = {
    "worse": "worse",
    "failed": "failed",
    "unclear": "unclear",
    "canceled": "canceled",
    "fine": "not worse",
}
_COLORS = {"worse": "Attention", "failed": "Attention", "unclear": "Warning"}


@dataclass(frozen=True)
class _Room:
    """How many rows, how many characters of a finding and of a tag, how many mentions."""

    rows: int
    letters: int
    tag: int
    mentions: int


_ROOMS = (_Room(40, 120, 128, 20), _Room(25, 80, 64, 10), _Room(10, 60, 64, 5), _Room(0, 0, 60, 1))


def build_digest(
    notices: Sequence[RunNotice],
    mentions: Mentions = (),
    *,
    about: str,
    url: str | None = None,
    smallest: bool = False,
) -> dict[str, Any]:
    """The message for up to `MOST_RUNS` ended runs, under 28 KB: each is counted, each that is not fine is named.

    about     what the runs have in common, such as "backfill abcdefgh"
    url       where these runs are to be seen
    smallest  without the table, for a channel that refused the whole card
    """
    for room in _ROOMS[-1:] if smallest else _ROOMS:
        made = _message(notices, mentions, about, url, room)
        if fits(made):
            break
    return made


def ending(notice: RunNotice) -> Ending:
    """How a run ended, in one of five words."""
    if notice.regressed:
        return "worse"
    if notice.outcome == "canceled":
        return "canceled"
    if notice.outcome == "failure":
        return "failed"
    return "fine" if notice.verdict is not None and notice.verdict.status in ("pass", "better") else "unclear"


def _message(
    notices: Sequence[RunNotice], mentions: Mentions, about: str, url: str | None, room: _Room
) -> dict[str, Any]:
    endings = [ending(notice) for notice in notices]
    counts = Counter(endings)
    called = checked(mentions if any(notice.needs_people for notice in notices) else ())
    worst = next(kind for kind in _STYLES if counts[kind])
    title = f"{mark(_STYLES[worst])} {_title(counts, len(notices))}"
    named = [
        (notice, kind)
        for wanted in _STYLES
        if wanted != "fine"
        for notice, kind in zip(notices, endings, strict=True)
        if kind == wanted
    ]
    body: list[Element] = [
        header(title, [f"{plain(about, 160)}: {_tally(counts)}."], _STYLES[worst]),
        *mention_line(called, room.mentions),
        *_rows(named[: room.rows], room),
        *_actions(named, room),
        *_names("Also", [f"{notice.model_tag} ({_WORDS[kind]})" for notice, kind in named[room.rows :]], room),
        *_names("Not worse", [n.model_tag for n, kind in zip(notices, endings, strict=True) if kind == "fine"], room),
    ]
    actions = open_url("Open these runs", url)
    return message(title, body, actions, entities(called, room.mentions))


def _title(counts: Counter[Ending], total: int) -> str:
    releases = f"{total} release{'s' if total != 1 else ''}"
    bad = [f"{counts[kind]} {_WORDS[kind]}" for kind in ("worse", "failed") if counts[kind]]
    if bad:
        return f"{' and '.join(bad)} of {releases}"
    return f"None of {releases} is worse" if not counts["unclear"] else f"{counts['unclear']} of {releases} unclear"


def _tally(counts: Counter[Ending]) -> str:
    return ", ".join(f"{counts[kind]} {_WORDS[kind]}" for kind in _STYLES if counts[kind])


def _rows(named: Sequence[tuple[RunNotice, Ending]], room: _Room) -> list[Element]:
    if not named:
        return []
    rows = []
    for notice, kind in named:
        color = {"color": _COLORS[kind]} if kind in _COLORS else {}
        rows.append(
            [
                [text(link(plain(notice.model_tag, room.tag), _address(notice)), weight="Bolder")],
                [text(_WORDS[kind], **color)],
                [text(_why(notice, kind, room.letters), size="Small")],
            ]
        )
    return [table((5, 4, 9), ("Release", "Verdict", "Worst finding"), rows)]


def _actions(named: Sequence[tuple[RunNotice, Ending]], room: _Room) -> list[Element]:
    """What to do about the failures, each action once: what broke fifty runs is mostly one thing."""
    failures = Counter(n.failure.action for n, kind in named if kind == "failed" and n.failure is not None)
    if not room.rows:
        return []
    return [
        text(f"**Do next** ({count} failed): {plain(action, 400)}", spacing="Small")
        for action, count in failures.most_common(3)
    ]


def _address(notice: RunNotice) -> str | None:
    """The report of what was evaluated, the run of what was not."""
    return notice.report_url if notice.report_url and opens_in_teams(notice.report_url) else notice.run_url


def _why(notice: RunNotice, kind: Ending, letters: int) -> str:
    if kind == "worse" and notice.verdict is not None:
        worse = worse_findings(notice.verdict)
        if worse:
            more = f" (+{len(worse) - 1} more)" if len(worse) > 1 else ""
            return f"{finding_label(worse[0].metric, letters)}: {movement(worse[0])}{more}"
    if kind == "failed" and notice.failure is not None:
        step = f"{plain(notice.failure.step, 60)}: " if notice.failure.step else ""
        return step + plain(notice.failure.cause, 2 * letters)
    return plain(notice.verdict.summary, 2 * letters) if notice.verdict is not None else "–"


def _names(title: str, names: Sequence[str], room: _Room) -> list[Element]:
    if not names:
        return []
    return [text(f"**{title}**: {', '.join(plain(name, room.tag) for name in names)}", spacing="Medium")]
