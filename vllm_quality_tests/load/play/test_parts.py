from dataclasses import replace
from itertools import islice
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.load.play.parts import Part, Unit, Units, probe_part, stage_part
from vllm_quality.load.schedule import Concurrency, Poisson
from vllm_quality.load.tape import Entry, build_tape
from vllm_quality_tests.load.asking import scenario

LOAD = Concurrency(type="concurrency", streams=1, requests=1)


def part(units: int, *, repeated: bool = False) -> Part:
    entries = [Entry(None, str(number), b"{}", None) for number in range(units)]
    return Part("a", LOAD, entries, Units(units, lambda index: Unit(None, index, 1, 0, index)), repeated=repeated)


@given(units=st.integers(0, 40), lanes=st.integers(1, 7))
def test_the_lanes_of_a_part_play_every_unit_once(units: int, lanes: int) -> None:
    whole = part(units)
    played = [unit.index for lane in range(lanes) for unit in replace(whole, lane=lane, lanes=lanes)]
    assert sorted(played) == list(range(units))


@given(units=st.integers(1, 20), lanes=st.integers(1, 5), most=st.integers(1, 60))
def test_laps_number_their_requests_on(units: int, lanes: int, most: int) -> None:
    whole = part(units, repeated=True)
    played = [
        (unit.index, unit.lap, unit.first)
        for lane in range(lanes)
        for unit in islice(iter(replace(whole, lane=lane, lanes=lanes)), most)
    ]
    assert len({index for index, _, _ in played}) == len(played)
    assert all(index == lap * units + first for index, lap, first in played)


def test_a_worker_without_a_unit_has_nothing_to_play_however_often() -> None:
    assert list(replace(part(2, repeated=True), lane=2, lanes=3)) == []


def test_a_stage_is_played_at_the_tapes_times(tmp_path: Path) -> None:
    tape = build_tape(scenario(), None, tmp_path)
    units = list(stage_part(tape, 0))
    assert [unit.due_s for unit in units] == [index / 50 for index in range(10)]


def test_probes_go_on_through_the_pool_and_salt_it_anew_when_it_starts_over(tmp_path: Path) -> None:
    wanted = scenario(
        stages=[],
        slo={"ttft": 1},
        capacity={"lowest": 1, "highest": 9, "requests": 6, "probe_s": 1, "longest_probe_s": 2},
    )
    tape = build_tape(wanted, None, tmp_path)
    load = Poisson(type="poisson", rate=20, duration_s=1, name="probe-2")
    units = list(probe_part(tape, load, 4))
    assert [unit.due_s for unit in units] == load.due_s("probe-2")
    assert [(unit.first, unit.lap) for unit in units[:9]] == [
        (4, 0), (5, 0), (0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (0, 2),
    ]  # fmt: skip
    assert [unit.index for unit in units] == list(range(len(units)))
