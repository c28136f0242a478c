import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.load.errors import LoadError
from vllm_quality.load.scenario import Scenario
from vllm_quality.load.schedule import Concurrency, Constant
from vllm_quality.load.tape import Entry, Tape, TapeStage, build_tape, open_tape
from vllm_quality_tests.load.asking import scenario

STAGES: list[dict[str, Any]] = [
    {"type": "constant", "rate": 10, "duration_s": 1},
    {"type": "concurrency", "streams": 2, "requests": 5},
]
# Pinned: a change here makes every release before it incomparable.
SHA256 = "13441b936dd1b445e6a3bab1030b2ce5c2d1417fc4216bed62f223b47ff0fbda"


def taped(wanted: Scenario, folder: Path) -> Tape:
    return build_tape(wanted, None, folder)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_scenario_makes_the_same_tape_to_the_byte(tmp_path: Path) -> None:
    one, two = taped(scenario(stages=STAGES), tmp_path / "1"), taped(scenario(stages=STAGES), tmp_path / "2")
    assert files(tmp_path / "1") == files(tmp_path / "2")
    assert one.sha256 == two.sha256 == SHA256


def test_another_process_with_other_hash_seeds_makes_the_same_tape(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from vllm_quality.load.tape import build_tape;"
        "from vllm_quality.load.scenario import Scenario;"
        "wanted = Scenario.model_validate_json(sys.argv[1]);"
        "print(build_tape(wanted, None, Path(sys.argv[2])).sha256)"
    )
    stages = [{"type": "gamma", "rate": 20, "duration_s": 2, "burstiness": 0.5}]
    lengths = {"mean": 20, "std": 9, "min": 5, "max": 40}
    wanted = scenario(stages=stages, input_tokens=lengths, shared_prefix={"groups": 2, "tokens": 4})
    told = subprocess.run(
        [sys.executable, "-c", program, wanted.model_dump_json(), str(tmp_path / "other")],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert told == taped(wanted, tmp_path / "own").sha256


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"input_tokens": 9},
        {"input_tokens": {"mean": 8, "std": 1, "min": 7, "max": 9}},
        {"output_tokens": 4},
        {"ignore_eos": False},
        {"api": "chat"},
        {"temperature": 1},
        {"hyperparameters": {"top_p": 0.9}},
        {"shared_prefix": {"groups": 1, "tokens": 4}},
        {"stages": [{"type": "constant", "rate": 10, "duration_s": 1}]},
        {"warmup_requests": 2},
        {"slo": {"ttft": 1}, "capacity": {"lowest": 1, "highest": 2, "requests": 3}},
    ],
)
def test_whatever_changes_the_work_changes_the_hash(change: dict[str, object], tmp_path: Path) -> None:
    assert taped(scenario(**change), tmp_path / "1").sha256 != taped(scenario(), tmp_path / "2").sha256


def test_a_saved_tape_is_read_back_to_the_byte(tmp_path: Path) -> None:
    built = build_tape(scenario(stages=STAGES, api="chat"), lambda asked: len(str(asked).split()), tmp_path / "built")
    built.save(tmp_path / "kept")
    assert files(tmp_path / "kept") == files(tmp_path / "built")
    again = open_tape(tmp_path / "kept", verify=True)
    assert again.sha256 == built.sha256
    assert [list(stage.entries) for stage in again.stages] == [list(stage.entries) for stage in built.stages]
    assert [stage.load for stage in again.stages] == [stage.load for stage in built.stages]
    assert [entry.prompt_tokens for entry in again.stages[0].entries] == [8] * 10
    # Where it lies already, nothing is written over it.
    again.save(tmp_path / "kept")
    assert files(tmp_path / "kept") == files(tmp_path / "built")


ENTRIES = st.lists(
    st.builds(
        Entry,
        due_s=st.none() | st.floats(0, 1e6),
        item=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        body=st.binary(max_size=60),
        prompt_tokens=st.none() | st.integers(0, 2**31 - 1),
        session=st.integers(0, 2**32 - 1),
        turn=st.integers(0, 2**16 - 1),
        output_tokens=st.integers(0, 2**32 - 1),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(warmup=ENTRIES, stage=ENTRIES, pool=ENTRIES)
def test_whatever_is_on_a_tape_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, warmup: list[Entry], stage: list[Entry], pool: list[Entry]
) -> None:
    folder = tmp_path_factory.mktemp("tape")
    load = Constant(type="constant", rate=1, duration_s=1)
    made = Tape(
        "/v1/completions",
        True,
        warmup,
        (TapeStage(load, stage),),
        pool,
        repeated=2,
        left_out=3,
        shortened=4,
        data={"a": "가"},
    )
    made.save(folder)
    again = open_tape(folder, verify=True)
    assert [*again.warmup] == warmup
    assert [*again.stages[0].entries] == stage
    assert [*again.pool] == pool
    assert again.sha256 == made.sha256
    assert (again.path, again.repeated, again.left_out, again.data) == (made.path, 2, 3, {"a": "가"})
    assert again.shortened == 4


def test_entries_are_a_sequence(tmp_path: Path) -> None:
    entries = taped(scenario(), tmp_path).stages[0].entries
    assert len(entries) == 10
    assert entries[-1] == entries[9] == list(entries)[9]
    assert entries[2:4] == [entries[2], entries[3]]
    with pytest.raises(IndexError):
        entries[10]


def test_bodies_say_what_is_asked_and_nothing_of_the_endpoint(tmp_path: Path) -> None:
    tape = taped(scenario(hyperparameters={"top_p": 0.9}), tmp_path / "1")
    body = json.loads(tape.stages[0].entries[0].body)
    assert body.keys() == {"max_tokens", "temperature", "ignore_eos", "stream", "top_p", "prompt"}
    assert (body["max_tokens"], body["ignore_eos"], body["stream"], body["top_p"]) == (3, True, True, 0.9)
    plain = scenario(api="chat", streaming=False, ignore_eos=False)
    chat = json.loads(taped(plain, tmp_path / "2").warmup[0].body)
    assert chat.keys() == {"max_tokens", "temperature", "messages"}


def test_prompts_differ_over_the_warm_up_all_stages_and_the_pool(tmp_path: Path) -> None:
    capacity = {"lowest": 1, "highest": 2, "requests": 4}
    tape = taped(scenario(stages=STAGES, warmup_requests=3, slo={"ttft": 1}, capacity=capacity), tmp_path)
    parts = (tape.warmup, *(stage.entries for stage in tape.stages), tape.pool)
    items = [entry.item for part in parts for entry in part]
    assert [len(part) for part in parts] == [3, 10, 5, 4]
    assert len(set(items)) == len(items)


def test_open_loop_entries_are_due_and_closed_loop_entries_are_not(tmp_path: Path) -> None:
    constant, closed = taped(scenario(stages=STAGES), tmp_path).stages
    assert [entry.due_s for entry in constant.entries] == [index / 10 for index in range(10)]
    assert [entry.due_s for entry in closed.entries] == [None] * 5


def test_what_time_ends_has_a_pool_on_the_tape(tmp_path: Path) -> None:
    stages = [
        {"type": "concurrency", "streams": 2, "duration_s": 9, "pool": 7},
        {"type": "users", "users": 2, "runtime_s": 9},
    ]
    assert [len(stage.entries) for stage in taped(scenario(stages=stages), tmp_path).stages] == [7, 256]


def test_lengths_are_drawn_and_kept_with_each_entry(tmp_path: Path) -> None:
    wanted = scenario(
        stages=[{"type": "concurrency", "streams": 1, "requests": 50}],
        input_tokens={"mean": 30, "std": 10, "min": 10, "max": 60},
        output_tokens={"mean": 20, "std": 10, "min": 5, "max": 40},
    )
    entries = build_tape(wanted, lambda asked: 4 + len(str(asked).split()), tmp_path).stages[0].entries
    bodies = [json.loads(entry.body) for entry in entries]
    assert [entry.output_tokens for entry in entries] == [body["max_tokens"] for body in bodies]
    assert [entry.prompt_tokens for entry in entries] == [4 + len(body["prompt"].split()) for body in bodies]
    assert len({entry.output_tokens for entry in entries}) > 10
    assert all(10 <= (entry.prompt_tokens or 0) <= 60 for entry in entries)


def test_a_traces_own_lengths_win_over_the_scenarios(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("offset_s,input_tokens,output_tokens\n0,12,5\n0.5,,\n2,20,7\n", encoding="utf-8")
    wanted = scenario(stages=[{"type": "trace", "path": str(path), "speed": 2}])
    (stage,) = build_tape(wanted, lambda asked: len(str(asked).split()), tmp_path / "tape").stages
    found = [(entry.due_s, entry.prompt_tokens, entry.output_tokens) for entry in stage.entries]
    assert found == [(0, 12, 5), (0.25, 8, 3), (1, 20, 7)]
    elsewhere = tmp_path / "elsewhere.csv"
    path.rename(elsewhere)
    moved = scenario(stages=[{"type": "trace", "path": str(elsewhere), "speed": 2}])
    built = build_tape(moved, lambda asked: len(str(asked).split()), tmp_path / "moved")
    assert built.sha256 == open_tape(tmp_path / "tape").sha256


def test_lengths_that_are_drawn_longer_than_the_window_are_cut_down_to_it(tmp_path: Path) -> None:
    spread = {"mean": 30, "std": 20, "min": 5, "max": 80}
    stages = [{"type": "concurrency", "streams": 1, "requests": 50}]
    wanted = scenario(input_tokens=spread, output_tokens=spread, stages=stages)
    tape = build_tape(wanted, lambda said: len(str(said).split()), tmp_path, max_model_len=60)
    together = [(entry.prompt_tokens or 0) + entry.output_tokens for entry in tape.stages[0].entries]
    assert max(together) == 60
    assert 0 < tape.shortened <= together.count(60)
    assert min(entry.output_tokens for entry in tape.stages[0].entries) >= 5


def test_lengths_that_the_window_does_not_hold_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="of 11 tokens together at the least, and the model's window holds 10"):
        build_tape(scenario(), None, tmp_path, max_model_len=10)
    assert len(build_tape(scenario(), None, tmp_path, max_model_len=11).stages) == 1


def test_sessions_are_the_runs_of_one_number() -> None:
    def entry(session: int) -> Entry:
        return Entry(None, "i", b"{}", None, session)

    stage = TapeStage(Concurrency(type="concurrency", streams=1, requests=6), [entry(n) for n in (0, 0, 1, 2, 2, 2)])
    assert list(stage.sessions) == [(0, 2), (2, 1), (3, 3)]
    assert stage.sessions[-1] == (3, 3)
    assert stage.sessions[1:] == [(2, 1), (3, 3)]


def test_sessions_of_a_saved_tape_are_the_same(tmp_path: Path) -> None:
    load = Concurrency(type="concurrency", streams=1, requests=6)
    entries = [Entry(None, "i", b"{}", None, session) for session in (0, 0, 1, 2, 2, 2)]
    made = Tape("/v1/completions", True, entries[:1], (TapeStage(load, entries), TapeStage(load, entries[1:4])))
    made.save(tmp_path)
    again = open_tape(tmp_path)
    assert [list(stage.sessions) for stage in again.stages] == [[(0, 2), (2, 1), (3, 3)], [(0, 1), (1, 1), (2, 1)]]


def test_a_folder_without_a_tape_or_with_one_of_another_format_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        LoadError, match=r"holds no tape that can be read \(No such file or directory\); build it again"
    ):
        open_tape(tmp_path)
    (tmp_path / "head.json").write_text('{"format": 9}', encoding="utf-8")
    with pytest.raises(LoadError, match="is a tape of format 9; this version reads 2: build it again"):
        open_tape(tmp_path)


@pytest.mark.parametrize("name", ["head.json", "requests.index", "requests.bytes"])
@pytest.mark.parametrize("damage", [lambda kept: b"", lambda kept: kept[:-7], lambda kept: b"\xff" * len(kept)])
def test_a_damaged_tape_is_one_sentence(tmp_path: Path, name: str, damage: Any) -> None:
    taped(scenario(), tmp_path)
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LoadError, match="build it again") as caught:
        open_tape(tmp_path, verify=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("head", ["[]", "{}", '{"format": 2}', '{"format": 2, "sections": [1]}'])
def test_a_head_that_tells_something_else_is_one_sentence(tmp_path: Path, head: str) -> None:
    taped(scenario(), tmp_path)
    (tmp_path / "head.json").write_text(head, encoding="utf-8")
    with pytest.raises(LoadError, match="build it again"):
        open_tape(tmp_path)


def test_a_tape_that_was_not_finished_is_none(tmp_path: Path) -> None:
    taped(scenario(), tmp_path)
    with pytest.raises(LoadError):
        build_tape(scenario(shared_prefix={"groups": 1, "tokens": 7}), lambda asked: 99, tmp_path)
    with pytest.raises(LoadError, match="holds no tape"):
        open_tape(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LoadError, match=r"The tape cannot be written to .*file"):
        taped(scenario(), tmp_path / "file")
