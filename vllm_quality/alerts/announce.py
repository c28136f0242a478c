"""Say once how runs ended.

In the order of Alertmanager (docs/high_availability.md): look into the ledger, deliver, then write the ledger. So a run is told
of once in normal operation, and at least once when a process dies or the ledger is away in between.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from vllm_quality.alerts.card import build_card
from vllm_quality.alerts.delivery import Sender
from vllm_quality.alerts.digest import build_digest
from vllm_quality.alerts.mentions import Mentions
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.alerts.teams import TeamsError
from vllm_quality.errors import UserError
from vllm_quality.results.rows import AlertRow

_IDS_AT_ONCE = 100  # they travel in a URL, and a proxy before ClickHouse may take 8 KB of it

_log = logging.getLogger(__name__)


class AlertLedger(Protocol):
    """What was sent for which run; `ResultStore` is one. Every method may raise."""

    def alerts_of(self, run_ids: Sequence[str]) -> set[tuple[str, str]]:
        """(run, kind) of the alerts that were recorded for these runs."""
        ...

    def messages_since(self, moment: datetime, channel: str) -> list[datetime]:
        """When messages went to a channel after a moment, oldest first."""
        ...

    def record_alerts(self, rows: Sequence[AlertRow]) -> None:
        """Remember sent alerts: all of them or, after an error, none."""
        ...


@dataclass(frozen=True)
class Announced:
    """What became of some notices.

    sent        those that were told of now
    unrecorded  the rows of these that could not be written: until they are, a repetition would send them again
    """

    sent: tuple[RunNotice, ...] = ()
    unrecorded: tuple[AlertRow, ...] = ()


def announce(
    notices: Sequence[RunNotice],
    *,
    ledger: AlertLedger,
    sender: Sender,
    mentions: Mentions,
    about: str = "",
    url: str | None = None,
) -> Announced:
    """Deliver one message for ended runs, those left out that the ledger has: a card for one run, a digest for more.

    A ledger that cannot be read or written does not keep the message back. Raises the sender's `UserError` when it was not
    delivered; then nobody was told of any of these runs.

    about, url  of a digest, see `build_digest`
    """
    known = known_alerts(ledger, [notice.run_id for notice in notices])
    new = [notice for notice in notices if (notice.run_id, notice.kind) not in known]
    if not new:
        return Announced()
    detail = _send(new, sender, mentions, about, url)
    sent_at = datetime.now(UTC)
    rows = [AlertRow(notice.run_id, notice.model_tag, notice.kind, sent_at, sender.channel, detail) for notice in new]
    return Announced(tuple(new), tuple(rows) if not record(ledger, rows) else ())


def announce_once(
    card: dict[str, Any], *, subject: str, kind: str, model_tag: str, ledger: AlertLedger, sender: Sender
) -> bool:
    """Deliver a card that is not about a run, unless the ledger has (subject, kind); whether it was delivered now.

    Raises the sender's `UserError` when it was not delivered.
    """
    if (subject, kind) in known_alerts(ledger, [subject]):
        return False
    detail = sender.send(card, name=f"{kind}-{subject}")
    record(ledger, [AlertRow(subject, model_tag, kind, datetime.now(UTC), sender.channel, detail)])
    return True


def known_alerts(ledger: AlertLedger, run_ids: Sequence[str]) -> set[tuple[str, str]]:
    """(run, kind) of what was told before; nothing, and a warning, when the ledger cannot be read."""
    known: set[tuple[str, str]] = set()
    try:
        for start in range(0, len(run_ids), _IDS_AT_ONCE):
            known |= ledger.alerts_of(run_ids[start : start + _IDS_AT_ONCE])
    except Exception as error:
        _log.warning("The alert ledger cannot be read, so alerts may come twice: %s", in_words(error))
    return known


def record(ledger: AlertLedger, rows: Sequence[AlertRow]) -> bool:
    """Write rows to the ledger; False, and a warning, when that failed."""
    try:
        ledger.record_alerts(rows)
    except Exception as error:
        names = ", ".join(row.model_tag for row in rows[:5])
        _log.warning("%d sent alerts (%s) cannot be recorded: %s", len(rows), names, in_words(error))
        return False
    return True


def in_words(error: Exception) -> str:
    """Only a UserError's text is known to hold no secret."""
    return str(error) if isinstance(error, UserError) else type(error).__name__


def _send(notices: Sequence[RunNotice], sender: Sender, mentions: Mentions, about: str, url: str | None) -> str:
    def built(smallest: bool) -> dict[str, Any]:
        if len(notices) == 1:
            return build_card(notices[0], mentions, smallest=smallest)
        return build_digest(notices, mentions, about=about, url=url, smallest=smallest)

    first = notices[0]
    name = f"{first.run_id}-{first.kind}" if len(notices) == 1 else f"digest-of-{len(notices)}-{first.run_id}"
    try:
        detail = sender.send(built(smallest=False), name=name)
    except TeamsError as error:
        if not error.card_refused:
            raise
        # A flow may add to a card, or know fewer elements than we do: the verdict alone may still get through.
        _log.warning("The whole card was refused, so the smallest one is sent: %s", error)
        detail = sender.send(built(smallest=True), name=name)
    return detail if len(notices) == 1 else f"{detail}, digest of {len(notices)}"
