"""Once in normal operation, at least once when something breaks between sending and recording."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.alerts.announce import announce
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.alerts.teams import TeamsError
from vllm_quality.results.database import ResultStore
from vllm_quality.results.rows import AlertRow
from vllm_quality_tests.alerts.notices import FAILURE, REGRESSION, SUCCESS


@dataclass
class Ledger:
    """An alert ledger in memory, which can be out of order."""

    rows: list[AlertRow] = field(default_factory=list)
    readable: bool = True
    writable: bool = True

    def alert_sent(self, run_id: str, kind: str) -> bool:
        if not self.readable:
            raise OSError("password=hunter2")
        return any((row.run_id, row.kind) == (run_id, kind) for row in self.rows)

    def record_alert(self, row: AlertRow) -> None:
        if not self.writable:
            raise OSError("password=hunter2")
        self.rows.append(row)


@dataclass
class Channel:
    """A way of delivery in memory, which can be broken."""

    cards: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    broken: bool = False
    channel: str = "memory"

    def send(self, card: Mapping[str, Any], *, name: str) -> str:
        if self.broken:
            raise TeamsError("Teams is away.")
        self.cards.append((name, card))
        return "delivered"


def tell(notice: RunNotice, ledger: Ledger, channel: Channel) -> str:
    return announce(notice, store=ledger, sender=channel, mentions=())


def test_the_same_run_is_announced_once() -> None:
    ledger, channel = Ledger(), Channel()
    assert [tell(REGRESSION, ledger, channel) for _ in range(3)] == ["sent", "already sent", "already sent"]
    ((name, card),) = channel.cards
    assert name == "run-7-run_success"
    assert card["type"] == "message"
    (row,) = ledger.rows
    assert (row.run_id, row.model_tag, row.kind) == ("run-7", "release-1.4.0", "run_success")
    assert (row.channel, row.detail) == ("memory", "delivered")
    assert row.sent_at.utcoffset() is not None


def test_a_resumed_evaluation_announces_each_failure_and_its_success() -> None:
    ledger, channel = Ledger(), Channel()
    story = [
        FAILURE,
        FAILURE,
        replace(FAILURE, dagster_run_id="run-8"),
        replace(FAILURE, dagster_run_id="run-9", outcome="canceled"),
        replace(SUCCESS, dagster_run_id="run-10"),
        replace(SUCCESS, dagster_run_id="run-11"),
    ]
    assert [tell(notice, ledger, channel) for notice in story] == [
        "sent",
        "already sent",
        "sent",
        "sent",
        "sent",
        "already sent",
    ]
    assert [row.kind for row in ledger.rows] == [
        "run_failure:run-7",
        "run_failure:run-8",
        "run_canceled:run-9",
        "run_success",
    ]


def test_a_card_that_was_not_delivered_is_not_recorded() -> None:
    ledger, channel = Ledger(), Channel(broken=True)
    with pytest.raises(TeamsError):
        tell(SUCCESS, ledger, channel)
    assert ledger.rows == []
    channel.broken = False
    assert tell(SUCCESS, ledger, channel) == "sent"


class Crash(BaseException):
    """The process dies."""


class DyingLedger(Ledger):
    """The process dies while this is written."""

    def record_alert(self, row: AlertRow) -> None:
        raise Crash


def test_a_crash_between_sending_and_recording_sends_again() -> None:
    channel = Channel()
    with pytest.raises(Crash):
        tell(SUCCESS, DyingLedger(), channel)
    ledger = Ledger()
    assert [tell(SUCCESS, ledger, channel), tell(SUCCESS, ledger, channel)] == ["sent", "already sent"]
    assert len(channel.cards) == 2


def test_an_unreadable_ledger_does_not_keep_the_card_back(caplog: pytest.LogCaptureFixture) -> None:
    ledger, channel = Ledger(readable=False), Channel()
    assert tell(SUCCESS, ledger, channel) == "sent"
    assert "cannot be read" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_ledger_that_cannot_be_written_is_told_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    ledger, channel = Ledger(writable=False), Channel()
    assert tell(SUCCESS, ledger, channel) == "sent, not recorded"
    assert "cannot be recorded" in caplog.text
    assert "hunter2" not in caplog.text


def test_the_results_store_is_a_ledger(tmp_path: Path) -> None:
    store, channel = ResultStore(f"chdb://{tmp_path}/results"), Channel()
    assert announce(SUCCESS, store=store, sender=channel, mentions=()) == "sent"
    assert announce(SUCCESS, store=store, sender=channel, mentions=()) == "already sent"
    assert announce(FAILURE, store=store, sender=channel, mentions=()) == "sent"
