"""Which of the waiting alerts go now, and which of them together. Pure: what waits and what was sent go in.

A backfill of fifty releases is one matter, not fifty: its runs are told of in digests. So are those that waited together
while Teams was away, and all once this hour has had many messages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from pydantic import BaseModel, ConfigDict

from vllm_quality.alerts.digest import MOST_RUNS
from vllm_quality.alerts.pacing import in_the_last_hour, room_again, room_left

MOST_SINGLES = 4  # at once; the connector takes four a second
BUSY_HOUR = 50  # messages, half of what the connector takes; from here on digests alone, and rarely
_PAUSE = timedelta(minutes=10)  # between digests, at least
_LONGEST_PAUSE = timedelta(hours=4)
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=30)


class Waiting(BaseModel):
    """An ended run that nobody was told of yet.

    run_id            Dagster's
    evaluation, kind  what the ledger knows the alert by
    backfill          the id of the backfill that it belongs to
    ended_at          when the run ended
    tries             how often its alert could not be made; `reason` is why, `bug` whether nobody can put that right,
                      `next_try` when the next attempt is due
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    evaluation: str
    kind: str
    model_tag: str
    ended_at: datetime
    backfill: str | None = None
    tries: int = 0
    reason: str = ""
    bug: bool = False
    next_try: datetime | None = None


@dataclass(frozen=True)
class Batch:
    """Alerts that go in one message; more than one is a digest."""

    members: tuple[Waiting, ...]
    backfill: str | None = None


@dataclass(frozen=True)
class Plan:
    """What goes now, and a sentence on each group of what does not."""

    batches: tuple[Batch, ...]
    held: tuple[str, ...]


def plan(
    waiting: Sequence[Waiting], open_backfills: Mapping[str, datetime], sent: Sequence[datetime], now: datetime
) -> Plan:
    """What to send at this moment.

    open_backfills  backfills with runs still to come, and when each began
    sent            when messages went to the channel within a day
    """
    batches: list[Batch] = []
    held: list[str] = []
    backfills: dict[str, list[Waiting]] = {}
    others: list[Waiting] = []
    for alert in sorted(waiting, key=lambda each: each.ended_at):
        if alert.next_try is not None and alert.next_try > now:
            held.append(f"The alert of {alert.model_tag} is tried again at {clock(alert.next_try)}: {alert.reason}")
        elif alert.backfill is not None:
            backfills.setdefault(alert.backfill, []).append(alert)
        else:
            others.append(alert)
    for backfill, members in backfills.items():
        due = _due(members[0].ended_at, open_backfills[backfill], now) if backfill in open_backfills else now
        if due <= now:
            batches += [Batch(chunk, backfill) for chunk in _chunks(members)]
        else:
            held.append(f"{count(members)} of backfill {backfill} held for a digest at its end, or at {clock(due)}.")
    singles, sentence = _of_others(others, sent, now)
    batches += singles
    held += sentence
    return _within_limits(batches, held, sent, now)


def backoff(tries: int) -> timedelta:
    """How long to wait after so many failures in a row: half a minute, doubling up to half an hour."""
    doublings = min(max(tries - 1, 0), 10)
    return min(_LONGEST_WAIT, _FIRST_WAIT * (1 << doublings))


def clock(moment: datetime) -> str:
    """A time of today or tomorrow."""
    return f"{moment:%H:%M:%S} UTC"


def _due(oldest: datetime, began: datetime, now: datetime) -> datetime:
    """When a digest of a backfill that goes on is due: the longer it has lasted, the longer it may wait."""
    return oldest + min(_LONGEST_PAUSE, max(_PAUSE, (now - began) / 2))


def _of_others(others: Sequence[Waiting], sent: Sequence[datetime], now: datetime) -> tuple[list[Batch], list[str]]:
    if not others:
        return [], []
    busy = in_the_last_hour(sent, now) + len(others) > BUSY_HOUR
    if not busy and len(others) <= min(MOST_SINGLES, room_left(sent, now)):
        return [Batch((alert,)) for alert in others], []
    due = others[0].ended_at + _PAUSE
    if busy and due > now:
        return [], [f"{count(others)} held for a digest at {clock(due)}: this hour has had many messages."]
    return [Batch(chunk) for chunk in _chunks(others)], []


def _within_limits(batches: list[Batch], held: list[str], sent: Sequence[datetime], now: datetime) -> Plan:
    room = min(MOST_SINGLES, room_left(sent, now))
    for batch in batches[room:]:
        again = room_again([*sent, *[now] * room], now)
        held.append(f"{count(batch.members)} held until {clock(again)}: the channel takes no more before.")
    return Plan(tuple(batches[:room]), tuple(held))


def _chunks(members: Sequence[Waiting]) -> list[tuple[Waiting, ...]]:
    rest = iter(members)
    return list(iter(lambda: tuple(islice(rest, MOST_RUNS)), ()))


def count(members: Sequence[Waiting]) -> str:
    """ "1 alert", "3 alerts"."""
    return f"{len(members)} alert{'s' if len(members) != 1 else ''}"
