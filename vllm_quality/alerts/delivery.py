"""How cards reach people: a Teams webhook where one is set, else the outbox folder."""

from collections.abc import Mapping
from typing import Any, Protocol

from vllm_quality.alerts.outbox import OutboxSender
from vllm_quality.alerts.teams import TeamsSender
from vllm_quality.settings import Settings


class Sender(Protocol):
    """A way for a card to reach people."""

    @property
    def channel(self) -> str:
        """Its name in the ledger."""
        ...

    @property
    def limited(self) -> bool:
        """Whether the channel takes only so many messages in a time (`pacing.py`)."""
        ...

    def send(self, card: Mapping[str, Any], *, name: str) -> str:
        """Deliver the card of that name; a few words on where it went. Raises `UserError` when it was not delivered."""
        ...


def open_sender(settings: Settings, *, patient: bool = True) -> Sender:
    """The way that the settings ask for; one that is not patient leaves trying again to its caller."""
    if settings.teams_webhook is not None:
        if patient:
            return TeamsSender(settings.teams_webhook)
        return TeamsSender(settings.teams_webhook, budget_s=15.0, attempts=2)
    return OutboxSender(settings.home / "outbox")
