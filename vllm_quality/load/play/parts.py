"""What a worker can be told to play: a stage of the tape, a probe of a rate, or a calibration. See `player.Part`."""

import json
from collections.abc import Callable, Sequence
from typing import overload

from vllm_quality.load.play.player import Part, Unit
from vllm_quality.load.schedule import ClosedLoop, Load, Poisson
from vllm_quality.load.tape import Entry, Tape, sessions_of

_CALIBRATION_ENTRIES = 1024


class Units(Sequence[Unit]):
    """So many units, each made when it is asked for: a stage may have millions."""

    def __init__(self, count: int, make: Callable[[int], Unit]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Unit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Unit]: ...
    def __getitem__(self, index: int | slice) -> Unit | Sequence[Unit]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._make(index)


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
