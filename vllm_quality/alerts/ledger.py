"""The alerts table as a round of alerts uses it: opened when it is needed, and not asked again once it was away.

That it cannot be opened must keep no card back. And a server that answers nothing costs half a minute a question: a tick that
asked it four times would be cut off by Dagster after it had sent, and would send again.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from vllm_quality.results.database import ResultStore
from vllm_quality.results.rows import AlertRow, ResultsError

T = TypeVar("T")


class RoundLedger:
    """An `AlertLedger` on the results store, for one round."""

    def __init__(self, open_store: Callable[[], ResultStore]) -> None:
        self._open = open_store
        self._store: ResultStore | None = None
        self.away = False

    def alerts_of(self, run_ids: Sequence[str]) -> set[tuple[str, str]]:
        """(run, kind) of the alerts that were recorded for these runs."""
        return self._ask(lambda store: store.alerts_of(run_ids))

    def messages_since(self, moment: datetime, channel: str) -> list[datetime]:
        """When messages went to a channel after a moment, oldest first."""
        return self._ask(lambda store: store.messages_since(moment, channel))

    def record_alerts(self, rows: Sequence[AlertRow]) -> None:
        """Remember sent alerts."""
        self._ask(lambda store: store.record_alerts(rows))

    def _ask(self, question: Callable[[ResultStore], T]) -> T:
        if self.away:
            raise ResultsError("the results store was away a moment ago; the next round asks it again.")
        try:
            if self._store is None:
                self._store = self._open()
            return question(self._store)
        except Exception:
            self.away = True
            raise
