"""Say once how a run ended.

In the order of Alertmanager (docs/high_availability.md): look into the ledger, deliver, then write the ledger. So a card
comes once in normal operation, and at least once when a process dies or the ledger is away in between.
"""

import logging
from datetime import UTC, datetime
from typing import Literal, Protocol

from vllm_quality.alerts.card import Mentions, build_card
from vllm_quality.alerts.delivery import Sender
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.errors import UserError
from vllm_quality.results.rows import AlertRow

Announced = Literal["sent", "already sent", "sent, not recorded"]

_log = logging.getLogger(__name__)


class AlertLedger(Protocol):
    """What was sent for which run; `ResultStore` is one."""

    def alert_sent(self, run_id: str, kind: str) -> bool:
        """Whether an alert of this kind was sent for the run."""
        ...

    def record_alert(self, row: AlertRow) -> None:
        """Remember a sent alert."""
        ...


def announce(notice: RunNotice, *, store: AlertLedger, sender: Sender, mentions: Mentions) -> Announced:
    """Deliver the card of an ended run unless the ledger has it.

    A ledger that cannot be read or written does not keep the card back: that is logged, and "sent, not recorded" means
    that a repetition would send it again. Raises the sender's `UserError` when the card was not delivered.
    """
    kind = notice.kind
    try:
        if store.alert_sent(notice.run_id, kind):
            return "already sent"
    except Exception as error:
        _log.warning("The alert ledger cannot be read, so the card of run %s is sent: %s", notice.run_id, _words(error))
    detail = sender.send(build_card(notice, mentions), name=f"{notice.run_id}-{kind}")
    row = AlertRow(
        run_id=notice.run_id,
        model_tag=notice.model_tag,
        kind=kind,
        sent_at=datetime.now(UTC),
        channel=sender.channel,
        detail=detail,
    )
    try:
        store.record_alert(row)
    except Exception as error:
        _log.warning("The card of run %s was sent but cannot be recorded: %s", notice.run_id, _words(error))
        return "sent, not recorded"
    return "sent"


def _words(error: Exception) -> str:
    """Only a UserError's text is known to hold no secret."""
    return str(error) if isinstance(error, UserError) else type(error).__name__
