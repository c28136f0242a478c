"""Once in normal operation, at least once when something breaks between sending and recording."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.alerts.announce import announce
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.alerts.teams import TeamsError
from vllm_quality.results.database import ResultStore
from vllm_quality.results.rows import AlertRow
from vllm_quality_tests.alerts.notices import FAILURE, REGRESSION, SUCCESS
from vllm_quality_tests.alerts.webhook import Answer, webhook


@dataclass
class Ledger:
    """An alert ledger in memory, which can be out of order."""

    rows: list[AlertRow] = field(default_factory=list)
    readable: bool = True
    writable: bool = True

    def alerts_of(self, run_ids: Sequence[str]) -> set[tuple[str, str]]:
        if not self.readable:
            raise OSError("password=hunter2")
        return {(row.run_id, row.kind) for row in self.rows if row.run_id in run_ids}

    def messages_since(self, moment: datetime, channel: str) -> list[datetime]:
        return sorted({row.sent_at for row in self.rows if row.sent_at > moment and row.channel == channel})

    def record_alerts(self, rows: Sequence[AlertRow]) -> None:
        if not self.writable:
            raise OSError("password=hunter2")
        self.rows += rows


@dataclass
class Channel:
    """A way of delivery in memory, which can be broken."""

    cards: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    broken: bool = False
    channel: str = "memory"
    limited: bool = True

    def send(self, card: Mapping[str, Any], *, name: str) -> str:
        if self.broken:
            raise TeamsError("Teams is away.")
        self.cards.append((name, card))
        return "delivered"


def tell(notice: RunNotice, ledger: Ledger, channel: Channel) -> str:
    done = announce([notice], ledger=ledger, sender=channel, mentions=())
    if not done.sent:
        return "already sent"
    return "sent, not recorded" if done.unrecorded else "sent"


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

    def record_alerts(self, rows: Sequence[AlertRow]) -> None:
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


def test_a_digest_leaves_out_what_was_told_before_and_is_recorded_run_by_run() -> None:
    ledger, channel = Ledger(), Channel()
    notices = [replace(SUCCESS, run_id=f"run-{number}", model_tag=f"release-{number}") for number in range(4)]
    tell(notices[1], ledger, channel)
    done = announce(notices, ledger=ledger, sender=channel, mentions=(), about="Backfill b")
    assert [notice.run_id for notice in done.sent] == ["run-0", "run-2", "run-3"]
    name, card = channel.cards[-1]
    assert name == "digest-of-3-run-0"
    assert "release-1" not in json.dumps(card)
    assert {row.detail for row in ledger.rows[1:]} == {"delivered, digest of 3"}
    assert len({row.sent_at for row in ledger.rows[1:]}) == 1, "one message"
    assert announce(notices, ledger=ledger, sender=channel, mentions=()).sent == ()


def test_what_is_left_of_a_digest_is_a_card_of_its_own() -> None:
    ledger, channel = Ledger(), Channel()
    tell(SUCCESS, ledger, channel)
    announce([SUCCESS, replace(REGRESSION, run_id="run-8")], ledger=ledger, sender=channel, mentions=())
    assert channel.cards[-1][0] == "run-8-run_success"


ALERTING = """
import json, sys
from pydantic import SecretStr
from vllm_quality.alerts.announce import announce
from vllm_quality.alerts.teams import TeamsSender
from vllm_quality.results.database import ResultStore
from vllm_quality_tests.alerts.notices import MENTIONS, REGRESSION

url, results = sys.argv[1:]
done = announce([REGRESSION], ledger=ResultStore(results), sender=TeamsSender(SecretStr(url)), mentions=MENTIONS)
print(json.dumps({"sent": len(done.sent), "unrecorded": len(done.unrecorded)}))
"""


def start_alerting(url: str, results: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ALERTING, url, results],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_killed_between_sending_and_recording_it_is_sent_again_and_then_never_more(tmp_path: Path) -> None:
    """kill -9 of a real process while the webhook holds its answer back: Teams has the card, the ledger has not."""
    results = f"chdb://{tmp_path}/results"
    with webhook(Answer(after_s=600.0)) as hook:
        process = start_alerting(hook.url, results)
        deadline = time.monotonic() + 120
        while not hook.received and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors
        hook.release()
        assert len(hook.received) == 1
        for sent in (1, 0, 0):
            process = start_alerting(hook.url, results)
            said, errors = process.communicate(timeout=180)
            assert json.loads(said) == {"sent": sent, "unrecorded": 0}, errors
            assert "s3cr3t" not in said + errors
        assert len(hook.received) == 2
    assert ResultStore(results).alerts_of(["run-7"]) == {("run-7", "run_success")}
