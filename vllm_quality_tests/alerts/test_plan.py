"""What goes now, and what of it together: a backfill is a few messages, however long it lasts."""

from datetime import UTC, datetime, timedelta

import pytest

from vllm_quality.alerts.digest import MOST_RUNS
from vllm_quality.alerts.plan import Plan, Waiting, backoff, plan

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def alert(number: int, backfill: str | None = None, ended_at: datetime = NOW) -> Waiting:
    run = f"run-{number}"
    tag = f"release-{number}"
    return Waiting(run_id=run, evaluation=run, kind="run_success", model_tag=tag, ended_at=ended_at, backfill=backfill)


def sizes(found: Plan) -> list[int]:
    return [len(batch.members) for batch in found.batches]


def test_up_to_four_go_one_by_one_and_more_together() -> None:
    assert sizes(plan([alert(n) for n in range(4)], {}, [], NOW)) == [1, 1, 1, 1]
    assert sizes(plan([alert(n) for n in range(5)], {}, [], NOW)) == [5]


def test_a_backfill_waits_for_its_end() -> None:
    waiting = [alert(n, "b") for n in range(50)]
    going_on = plan(waiting, {"b": NOW - MINUTE}, [], NOW)
    assert going_on.batches == ()
    assert going_on.held == ("50 alerts of backfill b held for a digest at its end, or at 12:10:00 UTC.",)
    ended = plan([*waiting, alert(99)], {}, [], NOW)
    assert sizes(ended) == [50, 1]
    assert ended.batches[0].backfill == "b"


def test_a_backfill_that_lasts_a_day_is_about_a_dozen_messages() -> None:
    began, messages, told, waiting = NOW, 0, 0, list[Waiting]()
    for minute in range(25 * 60):
        now = began + minute * MINUTE
        if minute % 30 == 29:
            waiting.append(alert(minute, "b", now))
        found = plan(waiting, {"b": began} if minute < 25 * 60 - 1 else {}, [], now)
        for batch in found.batches:
            messages, told = messages + 1, told + len(batch.members)
            waiting = [each for each in waiting if each not in batch.members]
    assert (told, waiting) == (50, [])
    assert messages <= 14


def test_a_very_large_backfill_is_several_digests_of_which_four_go_at_once() -> None:
    found = plan([alert(n, "b") for n in range(6 * MOST_RUNS)], {}, [], NOW)
    assert sizes(found) == [MOST_RUNS] * 4
    assert len(found.held) == 2


def test_after_many_messages_in_an_hour_there_are_digests_alone() -> None:
    sent = [NOW - timedelta(minutes=index) for index in range(51)]
    held = plan([alert(1)], {}, sent, NOW)
    assert held.batches == ()
    assert "this hour has had many messages" in held.held[0]
    assert sizes(plan([alert(1, ended_at=NOW - 11 * MINUTE), alert(2)], {}, sent, NOW)) == [2]


def test_nothing_goes_when_the_channel_takes_no_more() -> None:
    found = plan([alert(1, ended_at=NOW - 11 * MINUTE)], {}, [NOW - 30 * MINUTE] * 100, NOW)
    assert found.batches == ()
    assert found.held == ("1 alert held until 12:30:00 UTC: the channel takes no more before.",)


def test_what_could_not_be_made_waits_for_its_own_time() -> None:
    late = alert(1).model_copy(update={"next_try": NOW + MINUTE, "reason": "Why."})
    found = plan([late, alert(2)], {}, [], NOW)
    assert sizes(found) == [1]
    assert found.held == ("The alert of release-1 is tried again at 12:01:00 UTC: Why.",)
    assert sizes(plan([late], {}, [], NOW + MINUTE)) == [1]


@pytest.mark.parametrize(("tries", "seconds"), [(0, 30), (1, 30), (2, 60), (5, 480), (7, 1800), (1000, 1800)])
def test_backoff(tries: int, seconds: int) -> None:
    assert backoff(tries) == timedelta(seconds=seconds)
