"""The connector's published limits."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.alerts.pacing import LIMITS, room_again, room_left

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("sent", "room", "again_s"),
    [
        ([], 4, 0),
        ([ago(0.5)] * 4, 0, 0.5),
        ([ago(1)] * 4, 4, 0),
        ([ago(20)] * 60, 0, 10),
        ([ago(1000)] * 99, 1, 0),
        ([ago(1000)] * 100, 0, 2600),
        ([ago(5000)] * 100 + [ago(100)] * 50, 0, 2200),
        ([ago(40_000)] * 1800, 0, 46_400),
        ([ago(86_400)] * 5000, 4, 0),
    ],
)
def test_room(sent: list[datetime], room: int, again_s: float) -> None:
    assert room_left(sent, NOW) == room
    assert room_again(sent, NOW) == NOW + timedelta(seconds=again_s)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 2), min_size=150, max_size=400))
def test_sending_whenever_there_is_room_never_breaks_a_limit(pauses: list[float]) -> None:
    sent: list[datetime] = []
    now = NOW
    for pause in pauses:
        now = max(now + timedelta(seconds=pause), room_again(sent, now))
        if room_left(sent, now):
            sent.append(now)
    for most, span in LIMITS:
        for index in range(len(sent) - most):
            assert sent[index + most] - sent[index] >= span
