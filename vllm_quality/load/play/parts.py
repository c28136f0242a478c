"""What a worker can be told to play: a stage of the tape, a probe of a rate, or a calibration."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from vllm_quality.load.schedule import ClosedLoop, Load, Poisson
from vllm_quality.load.tape import Entry, Tape, sessions_of

_CALIBRATION_ENTRIES = 1024


@dataclass(frozen=True)
class Unit:
    """Requests that follow each other: the turns of one session, mostly one.

    due_s   of the first, seconds after the stage's start; None in a closed loop
    first   its place among the entries; count: how many
    lap     how often the entries came before; index: the first one's number among the stage's requests
    """

    due_s: float | None
    first: int
    count: int
    lap: int
    index: int


class Units:
    """So many units, each made when it is asked for: a stage may have millions."""

    def __init__(self, count: int, make: Callable[[int], Unit]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Unit:
        return self._make(index)


@dataclass(frozen=True)
class Part:
    """What one worker plays of a stage: the units number `lane`, `lane + lanes`, …, at times that count from one common start.

    repeated   when the units are used up they come again, until the load's time is over
    """

    label: str
    load: Load
    entries: Sequence[Entry]
    units: Units
    lane: int = 0
    lanes: int = 1
    repeated: bool = False

    def __iter__(self) -> Iterator[Unit]:
        """The units in the order in which they are sent."""
        for lap in count():
            for place in range(self.lane, len(self.units), self.lanes):
                unit = self.units[place]
                if lap:
                    shift = lap * len(self.entries)
                    unit = Unit(unit.due_s, unit.first, unit.count, unit.lap + lap, unit.index + shift)
                yield unit
            if not self.repeated or self.lane >= len(self.units):
                return


def stage_part(tape: Tape, number: int) -> Part:
    """A stage as it is on the tape."""
    stage = tape.stages[number]
    sessions, entries, load = stage.sessions, stage.entries, stage.load

    def unit(index: int) -> Unit:
        first, count = sessions[index]
        return Unit(entries[first].due_s, first, count, 0, first)

    repeated = isinstance(load, ClosedLoop) and load.in_laps
    return Part(load.label, load, entries, Units(len(sessions), unit), repeated=repeated)


def probe_part(tape: Tape, load: Poisson, offset: int) -> Part:
    """A rate that is tried: the pool's sessions from number `offset` on, over and over, at the load's times."""
    sessions, due_s = sessions_of(tape.pool), load.due_s(load.label)
    begins: list[int] = []
    index = 0
    for number in range(len(due_s)):
        begins.append(index)
        index += sessions[(offset + number) % len(sessions)][1]

    def unit(number: int) -> Unit:
        lap, place = divmod(offset + number, len(sessions))
        first, count = sessions[place]
        return Unit(due_s[number], first, count, lap, begins[number])

    return Part(load.label, load, tape.pool, Units(len(due_s), unit))


def calibration_part(load: Load, output_tokens: int) -> Part:
    """Requests to a server of ours, each like the other."""
    body = json.dumps({"max_tokens": output_tokens, "prompt": "calibration", "stream": True}).encode()
    entries = [Entry(None, "calibration", body, None, 0, 0, output_tokens)] * _CALIBRATION_ENTRIES
    units = Units(len(entries), lambda number: Unit(None, number, 1, 0, number))
    return Part(load.label, load, entries, units, repeated=True)
