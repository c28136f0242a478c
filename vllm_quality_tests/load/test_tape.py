import json

import pytest

from vllm_quality.load.errors import LoadError
from vllm_quality.load.tape import Tape, build_tape, load_tape
from vllm_quality_tests.load.asking import scenario

STAGES = [
    {"type": "constant", "rate": 10, "duration_s": 1},
    {"type": "concurrency", "streams": 2, "requests": 5},
]


def test_the_same_scenario_makes_the_same_tape_to_the_byte() -> None:
    one, two = build_tape(scenario(stages=STAGES)), build_tape(scenario(stages=STAGES))
    assert one == two
    assert one.dump() == two.dump()
    # Pinned: a change here makes every release before it incomparable.
    assert one.sha256 == "3f886067b62f304dc0f81ac76817cb326b2a81ff757284f0dc5a5179b44ea459"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"input_tokens": 9},
        {"output_tokens": 4},
        {"ignore_eos": False},
        {"api": "chat"},
        {"temperature": 1},
    ],
)
def test_whatever_changes_the_work_changes_the_hash(change: dict[str, object]) -> None:
    assert build_tape(scenario(**change)).sha256 != build_tape(scenario()).sha256


def test_a_saved_tape_is_read_back_to_the_byte() -> None:
    tape = build_tape(scenario(stages=STAGES, api="chat"), lambda text: len(text.split()))
    again = load_tape(tape.dump())
    assert again == tape
    assert again.dump() == tape.dump()
    assert again.sha256 == tape.sha256
    assert [entry.prompt_tokens for entry in again.stages[0].entries] == [8] * 10


def test_bodies_say_what_is_asked_and_nothing_of_the_endpoint() -> None:
    tape = build_tape(scenario())
    body = json.loads(tape.stages[0].entries[0].body)
    assert body.keys() == {"max_tokens", "temperature", "ignore_eos", "stream", "prompt"}
    assert (body["max_tokens"], body["ignore_eos"], body["stream"]) == (3, True, True)
    chat = json.loads(build_tape(scenario(api="chat", streaming=False, ignore_eos=False)).warmup[0].body)
    assert chat.keys() == {"max_tokens", "temperature", "messages"}


def test_prompts_differ_over_the_warm_up_and_all_stages() -> None:
    tape = build_tape(scenario(stages=STAGES, warmup_requests=3))
    items = [entry.item for part in (tape.warmup, *(stage.entries for stage in tape.stages)) for entry in part]
    assert len(set(items)) == len(items) == 18


def test_open_loop_entries_are_due_and_closed_loop_entries_are_not() -> None:
    constant, closed = build_tape(scenario(stages=STAGES)).stages
    assert [entry.due_s for entry in constant.entries] == [index / 10 for index in range(10)]
    assert [entry.due_s for entry in closed.entries] == [None] * 5


@pytest.mark.parametrize(
    "saved", [b"", b"{}", b"[]\n", b'{"format":1}', b'{"format":9}\n', b"\xff", Tape("/", True, (), ()).dump()[:-20]]
)
def test_what_is_no_tape_is_one_sentence(saved: bytes) -> None:
    with pytest.raises(LoadError, match="build it again"):
        load_tape(saved)
