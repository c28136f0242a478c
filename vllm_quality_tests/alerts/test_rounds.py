"""Whatever breaks and in whatever order, every run is told of; and once only, unless a process died or the ledger was away."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.alerts.memory import Memory
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.alerts.plan import Waiting
from vllm_quality.alerts.rounds import Round
from vllm_quality.alerts.teams import TeamsError
from vllm_quality.results.rows import AlertRow
from vllm_quality_tests.alerts.notices import SUCCESS
from vllm_quality_tests.alerts.reader import lines

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Killed(BaseException):
    """The process dies."""


@dataclass(frozen=True)
class Step:
    """What happens in one tick.

    ended   runs that end before it, in the backfill "b" or on their own
    die     where the process is killed: after the n-th message was taken, or before the cursor is kept
    """

    ended: int
    backfill: bool
    channel: str
    ledger: str
    die: str


@dataclass
class World:
    """Teams, the ledger, Dagster's runs and the sensor's cursor, as they survive a killed process."""

    now: datetime = START
    runs: dict[str, Waiting] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    rows: dict[tuple[str, str], AlertRow] = field(default_factory=dict)
    cursor: str | None = None
    step: Step = Step(0, False, "up", "up", "")

    # The channel.
    channel = "memory"
    limited = True

    def send(self, card: Mapping[str, Any], *, name: str) -> str:
        if self.step.channel == "away":
            raise TeamsError("Teams is away.", after_s=20)
        if self.step.channel == "refuses":
            raise TeamsError("Teams does not like it.", card_refused=True)
        self.messages += 1
        text = "\n".join(lines(card))
        self.told.update(run for run in self.runs if f"{self.runs[run].model_tag}!" in text)
        if self.step.die == "after sending":
            raise Killed
        return "taken"

    # The ledger.
    def alerts_of(self, run_ids: Sequence[str]) -> set[tuple[str, str]]:
        self._ledger_is("unreadable")
        return {key for key in self.rows if key[0] in run_ids}

    def messages_since(self, moment: datetime, channel: str) -> list[datetime]:
        self._ledger_is("unreadable")
        return []  # the limits have tests of their own

    def record_alerts(self, rows: Sequence[AlertRow]) -> None:
        self._ledger_is("unwritable")
        self.rows |= {(row.run_id, row.kind): row for row in rows}

    def _ledger_is(self, broken: str) -> None:
        if self.step.ledger in (broken, "away"):
            raise OSError("hunter2")

    # The sensor.
    def build(self, alert: Waiting, whole: bool) -> RunNotice:
        return replace(SUCCESS, run_id=alert.run_id, dagster_run_id=alert.run_id, model_tag=f"{alert.model_tag}!")

    def tick(self, step: Step) -> str:
        self.step, self.now = step, self.now + timedelta(seconds=15)
        for _ in range(step.ended):
            number = len(self.runs)
            self.runs[f"run-{number}"] = Waiting(
                run_id=f"run-{number}",
                evaluation=f"run-{number}",
                kind="run_success",
                model_tag=f"tag{number}",
                ended_at=self.now,
                backfill="b" if step.backfill else None,
            )
        memory = Memory.read(self.cursor, self.now)
        memory.learn([run for run in self.runs.values() if run.ended_at > memory.look_from], self.now)
        memory.looked(self.now)
        said = Round(
            memory, self, self, (), self.build, {"b": START} if step.ended else {}, lambda backfill: None, self.now
        ).run()
        if step.die == "before keeping the cursor":
            raise Killed
        self.cursor = memory.write()
        return said


STEPS = st.lists(
    st.builds(
        Step,
        ended=st.sampled_from([0, 0, 1, 2, 7]),
        backfill=st.booleans(),
        channel=st.sampled_from(["up", "up", "away", "refuses"]),
        ledger=st.sampled_from(["up", "up", "up", "unreadable", "unwritable", "away"]),
        die=st.sampled_from(["", "", "", "after sending", "before keeping the cursor"]),
    ),
    max_size=25,
)


def settle(world: World) -> None:
    """Everything works again, and time goes by."""
    for _ in range(60):
        world.now += timedelta(minutes=5)
        world.tick(Step(0, False, "up", "up", ""))


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_every_run_is_told_of_at_least_once_whatever_breaks(steps: list[Step]) -> None:
    world = World()
    for step in steps:
        with suppress(Killed):
            world.tick(step)
    settle(world)
    assert set(world.told) == set(world.runs)
    assert {run for run, _ in world.rows} == set(world.runs)
    memory = Memory.read(world.cursor, world.now)
    assert (memory.waiting, memory.unrecorded) == ([], [])


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_and_once_only_while_no_process_dies(steps: list[Step]) -> None:
    world = World()
    for step in steps:
        world.tick(replace(step, die=""))
    settle(world)
    assert world.told == Counter(dict.fromkeys(world.runs, 1))


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_and_once_only_where_the_cursor_is_lost_but_the_ledger_works(steps: list[Step]) -> None:
    world = World()
    for step in steps:
        die = "" if step.die == "after sending" else step.die
        with suppress(Killed):
            world.tick(replace(step, die=die, ledger="up"))
    settle(world)
    assert world.told == Counter(dict.fromkeys(world.runs, 1))


def test_a_bug_in_one_runs_alert_holds_up_no_other_and_ends() -> None:
    class Buggy(World):
        def build(self, alert: Waiting, whole: bool) -> RunNotice:
            if alert.run_id == "run-0":
                raise KeyError("hunter2")
            return super().build(alert, whole)

    world = Buggy()
    said = world.tick(Step(2, False, "up", "up", ""))
    assert "1 run told of in 1 message." in said
    assert "The alert of tag0 is tried again at 12:00:45 UTC: KeyError" in said
    world.now += timedelta(hours=7)
    assert world.tick(Step(0, False, "up", "up", "")) == "The alert of tag0 was given up: KeyError"
    assert ("run-0", "given_up:run_success") in world.rows
    assert Memory.read(world.cursor, world.now).waiting == []
