"""What the sensor remembers between ticks: Dagster keeps it as the sensor's cursor, so restarts change nothing."""

from datetime import datetime, timedelta

from pydantic import BaseModel, ValidationError

from vllm_quality.alerts.plan import Waiting
from vllm_quality.results.rows import AlertRow

# A run's row may show up a little after one that ended later; so each look goes back so far, and leaves out what was seen.
OVERLAP = timedelta(minutes=10)
FIRST_LOOK = timedelta(hours=24)


class Sent(BaseModel):
    """A row of the ledger that could not be written yet."""

    run_id: str
    model_tag: str
    kind: str
    sent_at: datetime
    channel: str
    detail: str

    def row(self) -> AlertRow:
        """As the ledger takes it."""
        return AlertRow(**self.model_dump())


class Memory(BaseModel):
    """The sensor's state.

    looked_until  ended runs up to here are known
    seen          run -> when it ended, of those that ended within `OVERLAP` before that
    waiting       alerts that nobody got yet
    unrecorded    alerts that somebody got, whose ledger row is still to be written
    failures      failed deliveries in a row; `reason` of the last; nothing is sent before `next_try`
    """

    looked_until: datetime
    seen: dict[str, datetime] = {}
    waiting: list[Waiting] = []
    unrecorded: list[Sent] = []
    failures: int = 0
    reason: str = ""
    next_try: datetime | None = None

    @classmethod
    def read(cls, cursor: str | None, now: datetime) -> "Memory":
        """From the cursor; a sensor without one looks back a day, and the ledger tells what was sent before."""
        if cursor:
            try:
                return cls.model_validate_json(cursor)
            except ValidationError:
                pass  # of another version; the ledger knows
        return cls(looked_until=now - FIRST_LOOK)

    @property
    def look_from(self) -> datetime:
        """Runs that ended after this are looked at."""
        return self.looked_until - OVERLAP

    def learn(self, found: list[Waiting], now: datetime) -> list[Waiting]:
        """Add the runs that were not seen before; they are returned."""
        new = [alert for alert in found if alert.run_id not in self.seen]
        self.seen |= {alert.run_id: now for alert in new}
        self.waiting += new
        return new

    def looked(self, until: datetime) -> None:
        """Note that all runs that ended before were found; forget what no later look can find again."""
        self.looked_until = max(self.looked_until, until)
        # Twice, since what was seen is noted by the clock of this process and found by that of the run's.
        self.seen = {run: when for run, when in self.seen.items() if when > self.looked_until - 2 * OVERLAP}

    def write(self) -> str:
        """As the cursor."""
        return self.model_dump_json(exclude_defaults=True)
