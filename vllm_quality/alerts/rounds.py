"""One round of the sensor: tell of what waits, as far as it may go now, and say what still waits and why.

Without Dagster: how a run ended is what `build` makes of it.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vllm_quality.alerts.announce import AlertLedger, announce, in_words, known_alerts, record
from vllm_quality.alerts.delivery import Sender
from vllm_quality.alerts.memory import Memory, Sent
from vllm_quality.alerts.mentions import Mentions
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.alerts.pacing import LONGEST
from vllm_quality.alerts.plan import Batch, Waiting, backoff, clock, count, plan
from vllm_quality.alerts.teams import TeamsError
from vllm_quality.errors import UserError
from vllm_quality.results.rows import AlertRow

# How long an alert is tried: what a person can put right may take a long weekend, a bug does not go away.
PATIENCE = timedelta(days=7)
PATIENCE_WITH_BUGS = timedelta(hours=6)
_SECONDS = 15.0  # a tick has 60, and one message may take 30; what is not begun by then goes at the next
_MOST_SENTENCES = 6

_log = logging.getLogger(__name__)

Build = Callable[[Waiting, bool], RunNotice | None]


@dataclass
class Round:
    """One look at what waits; `memory` is changed as alerts are delivered.

    build           how the run of an alert ended, with its answers and speed or without; None when it is gone. May raise
    open_backfills  see `plan`
    url_of          where the runs of a backfill are to be seen
    """

    memory: Memory
    ledger: AlertLedger
    sender: Sender
    mentions: Mentions
    build: Build
    open_backfills: Mapping[str, datetime]
    url_of: Callable[[str], str | None]
    now: datetime
    told: int = 0
    messages: int = 0
    lines: list[str] = field(default_factory=list)

    def run(self) -> str:
        """Do the round; what it did and what still waits, for a person."""
        self._record_late()
        known = known_alerts(self.ledger, sorted({alert.evaluation for alert in self.memory.waiting}))
        self._keep(lambda alert: (alert.evaluation, alert.kind) not in known)
        self._give_up()
        if self.memory.waiting and (self.memory.next_try is None or self.memory.next_try <= self.now):
            self._send_due()
        return self._words()

    def _record_late(self) -> None:
        rows = [sent.row() for sent in self.memory.unrecorded]
        if rows and record(self.ledger, rows):
            self.memory.unrecorded = []
        if self.memory.unrecorded:
            self.lines.append(
                f"{len(self.memory.unrecorded)} sent alerts are not in the ledger yet; it cannot be written."
            )

    def _keep(self, wanted: Callable[[Waiting], bool]) -> None:
        unrecorded = {(sent.run_id, sent.kind) for sent in self.memory.unrecorded}
        self.memory.waiting = [
            alert for alert in self.memory.waiting if wanted(alert) and (alert.evaluation, alert.kind) not in unrecorded
        ]

    def _give_up(self) -> None:
        """Drop what was tried for too long: told of in the log and the ledger, not silently."""
        lost = [alert for alert in self.memory.waiting if alert.ended_at + _patience(alert) < self.now]
        if not lost:
            return
        for alert in lost:
            reason = alert.reason or self.memory.reason or "its channel took nothing"
            _log.error("The alert of %s (run %s) was given up: %s", alert.model_tag, alert.run_id, reason)
            self.lines.append(f"The alert of {alert.model_tag} was given up: {reason}")
            kind = f"given_up:{alert.kind}"
            row = AlertRow(alert.evaluation, alert.model_tag, kind, self.now, "none", reason)
            if not record(self.ledger, [row]):
                self.memory.unrecorded.append(Sent(**vars(row)))
        gone = {alert.run_id for alert in lost}
        self._keep(lambda alert: alert.run_id not in gone)

    def _send_due(self) -> None:
        planned = plan(self.memory.waiting, self.open_backfills, self._sent_lately(), self.now)
        self.lines += planned.held
        began = time.monotonic()
        for batch in planned.batches:
            if time.monotonic() - began > _SECONDS:
                self.lines.append(f"{count(batch.members)} left for the next tick: this one has lasted long enough.")
                continue
            if not self._send(batch):
                break

    def _sent_lately(self) -> list[datetime]:
        if not self.sender.limited:
            return []
        unrecorded = {sent.sent_at for sent in self.memory.unrecorded if sent.channel == self.sender.channel}
        try:
            recorded = self.ledger.messages_since(self.now - LONGEST, self.sender.channel)
        except Exception as error:
            _log.warning("The alert ledger cannot be read, so the channel's limits are guessed: %s", in_words(error))
            recorded = []
        return sorted({*unrecorded, *recorded})

    def _send(self, batch: Batch) -> bool:
        """Deliver a batch; False when the channel takes nothing at the moment."""
        built = self._built(batch)
        if not built:
            return True
        about = f"Backfill {batch.backfill}" if batch.backfill else "Runs that ended lately"
        url = self.url_of(batch.backfill) if batch.backfill else None
        try:
            done = announce(
                list(built.values()),
                ledger=self.ledger,
                sender=self.sender,
                mentions=self.mentions,
                about=about,
                url=url,
            )
        except UserError as error:
            if isinstance(error, TeamsError) and error.card_refused:
                self._put_off(list(built), str(error))  # of this card; the next may be taken
                return True
            self._channel_failed(error)
            return False
        self.memory.failures, self.memory.reason, self.memory.next_try = 0, "", None
        self.memory.unrecorded += [Sent(**vars(row)) for row in done.unrecorded]
        self._keep(lambda alert: alert.run_id not in built)
        self.told += len(done.sent)
        self.messages += bool(done.sent)
        return True

    def _built(self, batch: Batch) -> dict[str, RunNotice]:
        built: dict[str, RunNotice] = {}
        for alert in batch.members:
            try:
                notice = self.build(alert, len(batch.members) == 1)
            except Exception as error:  # one run's must not hold up the others'
                if not isinstance(error, UserError):
                    _log.exception("The alert of %s (run %s) cannot be made.", alert.model_tag, alert.run_id)
                self._put_off([alert.run_id], in_words(error), bug=not isinstance(error, UserError))
                continue
            if notice is None:
                self._keep(lambda each, gone=alert.run_id: each.run_id != gone)  # type: ignore[misc]  # bound now
                self.lines.append(f"Run {alert.run_id} of {alert.model_tag} was deleted, so it is not told of.")
            else:
                built[alert.run_id] = notice
        return built

    def _put_off(self, run_ids: Sequence[str], reason: str, *, bug: bool = False) -> None:
        def later(alert: Waiting) -> Waiting:
            tries = alert.tries + 1
            at = self.now + backoff(tries)
            self.lines.append(f"The alert of {alert.model_tag} is tried again at {clock(at)}: {reason}")
            return alert.model_copy(update={"tries": tries, "reason": reason, "next_try": at, "bug": bug})

        self.memory.waiting = [later(alert) if alert.run_id in run_ids else alert for alert in self.memory.waiting]

    def _channel_failed(self, error: UserError) -> None:
        self.memory.failures += 1
        wait = backoff(self.memory.failures)
        if isinstance(error, TeamsError) and error.after_s is not None:
            wait = max(wait, timedelta(seconds=min(error.after_s, 86_400)))
        self.memory.reason, self.memory.next_try = str(error), self.now + wait

    def _words(self) -> str:
        memory, lines = self.memory, list(self.lines)
        if memory.waiting and memory.failures and memory.next_try is not None:
            times = "once" if memory.failures == 1 else f"{memory.failures} times"
            lines.insert(
                0,
                f"{count(memory.waiting)} held; delivery failed {times} in a row and is tried again at "
                f"{clock(memory.next_try)}: {memory.reason}",
            )
        if self.told:
            messages = f"{self.messages} message{'s' if self.messages != 1 else ''}"
            lines.insert(0, f"{self.told} run{'s' if self.told != 1 else ''} told of in {messages}.")
        more = len(lines) - _MOST_SENTENCES
        if more > 0:
            lines = [*lines[:_MOST_SENTENCES], f"(And {more} more like that; {count(memory.waiting)} held.)"]
        return " ".join(lines) or "Every run that ended was told of."


def _patience(alert: Waiting) -> timedelta:
    return PATIENCE_WITH_BUGS if alert.bug else PATIENCE
