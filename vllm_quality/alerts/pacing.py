"""How many messages a Teams connector still takes. Pure: times of sending go in.

Limits per connector from learn.microsoft.com, "Create and send messages" (connectors-using): 4 a second, 60 in 30 seconds,
100 an hour, 150 in two hours, 1800 a day. What is beyond them is answered with 429, or with 200 and "HTTP error 429".
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

LIMITS: tuple[tuple[int, timedelta], ...] = (
    (4, timedelta(seconds=1)),
    (60, timedelta(seconds=30)),
    (100, timedelta(hours=1)),
    (150, timedelta(hours=2)),
    (1800, timedelta(days=1)),
)
LONGEST = LIMITS[-1][1]


def room_left(sent: Sequence[datetime], now: datetime) -> int:
    """How many messages may go at this moment."""
    return max(0, min(most - _within(sent, now, span) for most, span in LIMITS))


def room_again(sent: Sequence[datetime], now: datetime) -> datetime:
    """When one more message may go; now, if it may."""
    at = now
    for most, span in LIMITS:
        recent = sorted(moment for moment in sent if moment > now - span)
        if len(recent) >= most:
            at = max(at, recent[-most] + span)
    return at


def _within(sent: Sequence[datetime], now: datetime, span: timedelta) -> int:
    return sum(moment > now - span for moment in sent)


def in_the_last_hour(sent: Sequence[datetime], now: datetime) -> int:
    """How many went within an hour."""
    return _within(sent, now, timedelta(hours=1))
