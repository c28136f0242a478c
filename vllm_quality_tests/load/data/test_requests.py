import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.datasets.schema import Message
from vllm_quality.load.errors import LoadError
from vllm_quality.load.tape import Tape, build_tape
from vllm_quality_tests.load.asking import scenario

CLOSED = {"type": "concurrency", "streams": 2}


def talk(name: str, turns: int, words: int = 3) -> dict[str, Any]:
    """A conversation of so many turns; each answer has `words` words."""
    said = [{"role": "system", "content": f"You are {name}."}] if name == "system" else []
    for turn in range(turns):
        said += [{"role": "user", "content": f"{name} asks {turn}"}]
        said += [{"role": "assistant", "content": " ".join([f"{name}{turn}"] * words)}]
    return {"messages": said}


def written(tmp_path: Path, talks: Sequence[dict[str, Any]]) -> Path:
    path = tmp_path / "talks.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in talks), encoding="utf-8")
    return path


def count(asked: str | Sequence[Message]) -> int:
    """Ten tokens of template, and one for each word."""
    texts = [asked] if isinstance(asked, str) else [message.content for message in asked]
    return 10 + sum(len(text.split()) for text in texts)


def taped(tmp_path: Path, talks: Sequence[dict[str, Any]], turns: str = "last", **settings: Any) -> Tape:
    options = {
        "counting": settings.pop("counting", None),
        "window": settings.pop("window", None),
    }
    defaults = {
        "api": "chat",
        "input_tokens": None,
        "output_tokens": None,
        "stages": [CLOSED | {"requests": len(talks)}],
    }
    data = {"path": str(written(tmp_path, talks)), "turns": turns}
    wanted = scenario(**{**defaults, "warmup_requests": 1, "data": data, **settings})
    return build_tape(wanted, options["counting"], tmp_path / "tape", max_model_len=options["window"])


def bodies(tape: Tape, stage: int = 0) -> list[dict[str, Any]]:
    return [json.loads(entry.body) for entry in tape.stages[stage].entries]


def last_words(tape: Tape, stage: int = 0) -> list[str]:
    return [body["messages"][-1]["content"] for body in bodies(tape, stage)]


def test_the_last_turn_is_sent_with_all_that_was_said_before(tmp_path: Path) -> None:
    (body,) = bodies(taped(tmp_path, [talk("system", 3)]))
    assert [message["role"] for message in body["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert body["messages"][-1]["content"] == "system asks 2"
    assert body["messages"][2]["content"] == "system0 system0 system0"


def test_the_first_turn_is_sent_alone(tmp_path: Path) -> None:
    (body,) = bodies(taped(tmp_path, [talk("system", 3)], turns="first"))
    assert body["messages"] == [
        {"role": "system", "content": "You are system."},
        {"role": "user", "content": "system asks 0"},
    ]


def test_a_session_is_every_turn_with_the_history_as_it_was_recorded(tmp_path: Path) -> None:
    tape = taped(tmp_path, [talk("a", 2), talk("b", 3)], turns="sessions", stages=[CLOSED | {"duration_s": 5}])
    (stage,) = tape.stages
    assert [count for _, count in stage.sessions] in ([2, 3], [3, 2])
    for first, count_ in stage.sessions:
        session = stage.entries[first : first + count_]
        assert [entry.turn for entry in session] == list(range(count_))
        assert len({entry.session for entry in session}) == 1
        assert [entry.item.rpartition("/")[2] for entry in session] == [str(turn) for turn in range(count_)]
        assert len({entry.item.rpartition("/")[0] for entry in session}) == 1
        earlier = json.loads(session[0].body)["messages"]
        assert json.loads(session[1].body)["messages"][: len(earlier)] == earlier


def test_only_a_sessions_first_turn_is_due(tmp_path: Path) -> None:
    stages = [{"type": "constant", "rate": 2, "duration_s": 1}]
    (stage,) = taped(tmp_path, [talk("a", 2), talk("b", 2)], turns="sessions", stages=stages).stages
    assert [entry.due_s for entry in stage.entries] == [0, None, 0.5, None]


def test_so_many_requests_are_so_many_turns(tmp_path: Path) -> None:
    tape = taped(tmp_path, [talk("a", 2), talk("b", 2)], turns="sessions", stages=[CLOSED | {"requests": 3}])
    assert [count for _, count in tape.stages[0].sessions] == [2, 1]


def test_for_completions_one_word_is_its_text_and_a_history_is_written_out(tmp_path: Path) -> None:
    (single,) = bodies(taped(tmp_path, [talk("system", 1)], api="completions"))
    assert single["prompt"] == "You are system.\n\nsystem asks 0"
    (history,) = bodies(taped(tmp_path, [talk("system", 2, words=1)], api="completions"))
    assert history["prompt"] == (
        "You are system.\n\nUser: system asks 0\nAssistant: system0\nUser: system asks 1\nAssistant:"
    )


def test_an_answer_is_asked_for_as_long_as_the_recorded_one(tmp_path: Path) -> None:
    estimated = taped(tmp_path, [talk("a", 1, words=30)])
    assert [entry.output_tokens for entry in estimated.stages[0].entries] == [40]
    counted = taped(tmp_path, [talk("a", 1, words=30)], counting=count)
    (entry,) = counted.stages[0].entries
    assert (entry.output_tokens, entry.prompt_tokens) == (30, 13)
    assert bodies(counted)[0]["max_tokens"] == 30
    asked = taped(tmp_path, [talk("a", 1, words=30)], output_tokens=7)
    assert [entry.output_tokens for entry in asked.stages[0].entries] == [7]


def test_where_no_answer_was_recorded_128_tokens_are_asked_for(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "hello"}]}
    assert [entry.output_tokens for entry in taped(tmp_path, [row]).stages[0].entries] == [128]


def test_conversations_come_in_a_seeded_order_each_once_before_any_comes_again(tmp_path: Path) -> None:
    talks = [talk(f"t{number}", 1) for number in range(20)]
    stages = [CLOSED | {"requests": 19}, {"type": "constant", "rate": 20, "duration_s": 1.5}]
    tape = taped(tmp_path, talks, stages=stages)
    first, second = last_words(tape, 0), last_words(tape, 1)
    # One went to the warm-up.
    assert len({*first, json.loads(tape.warmup[0].body)["messages"][-1]["content"]}) == 20
    assert max(Counter(second[:20]).values()) == 1
    assert first != sorted(first, key=lambda word: int(word.split()[0][1:]))
    assert tape.repeated == 30
    again = taped(tmp_path, talks, stages=stages)
    assert again.sha256 == tape.sha256
    assert taped(tmp_path, talks, stages=stages, seed=1).sha256 != tape.sha256


def test_a_pool_holds_no_conversation_twice(tmp_path: Path) -> None:
    talks = [talk(f"t{number}", 1) for number in range(20)]
    tape = taped(
        tmp_path, talks, stages=[CLOSED | {"duration_s": 5}, CLOSED | {"duration_s": 5, "pool": 7, "name": "x"}]
    )
    assert len(last_words(tape, 0)) == len(set(last_words(tape, 0))) == 20
    assert len(last_words(tape, 1)) == len(set(last_words(tape, 1))) == 7


def test_users_without_a_runtime_get_every_conversation_once(tmp_path: Path) -> None:
    talks = [talk(f"t{number}", 1) for number in range(9)]
    tape = taped(tmp_path, talks, stages=[{"type": "users", "users": 2, "runtime_s": 0}])
    assert sorted(last_words(tape)) == sorted(f"t{number} asks 0" for number in range(9))


def test_what_the_window_does_not_hold_is_left_out_and_counted(tmp_path: Path) -> None:
    talks = [talk("short", 1), talk("long", 1, words=500), talk("brief", 1)]
    tape = taped(tmp_path, talks, window=100, stages=[CLOSED | {"duration_s": 5}])
    assert {word.split()[0] for word in last_words(tape)} == {"short", "brief"}
    assert tape.left_out == 1


def test_a_session_ends_before_the_turn_that_the_window_does_not_hold(tmp_path: Path) -> None:
    tape = taped(
        tmp_path,
        [talk("a", 9, words=5)],
        turns="sessions",
        counting=count,
        window=40,
        stages=[CLOSED | {"duration_s": 5}],
    )
    # Prompts of 13, 21, 29, 37 tokens and answers of 5.
    assert [entry.prompt_tokens for entry in tape.stages[0].entries] == [13, 21, 29]
    assert tape.left_out == 6


def test_a_window_that_holds_nothing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"No conversation of .* fits into the model's window of 5 tokens"):
        taped(tmp_path, [talk("a", 1), talk("b", 1)], window=5)


def test_hangul_is_estimated_at_more_tokens_than_latin_letters(tmp_path: Path) -> None:
    korean = {"messages": [{"role": "user", "content": "가" * 90}, {"role": "assistant", "content": "네"}]}
    english = {"messages": [{"role": "user", "content": "a" * 90}, {"role": "assistant", "content": "yes"}]}
    tape = taped(tmp_path, [korean, english], window=40, stages=[CLOSED | {"duration_s": 5}])
    assert last_words(tape) == ["a" * 90]


def test_what_the_file_held_is_told(tmp_path: Path) -> None:
    tape = taped(tmp_path, [talk("a", 1), {"nothing": 1}, talk("b", 1)], stages=[CLOSED | {"duration_s": 5}])
    assert tape.data is not None
    assert (tape.data["rows"], tape.data["bad_rows"], tape.data["conversations"]) == (3, 1, 2)
    assert [row["line"] for row in tape.data["quarantined"]] == [2]


def test_half_a_surrogate_pair_becomes_a_question_mark(tmp_path: Path) -> None:
    row = '{"messages": [{"role": "user", "content": "x \\ud83d y"}, {"role": "assistant", "content": "z"}]}\n'
    path = tmp_path / "half.jsonl"
    path.write_text(row + json.dumps(talk("a", 1)), encoding="utf-8")
    wanted = scenario(
        api="chat", input_tokens=None, data={"path": str(path)}, stages=[{"type": "users", "users": 1, "runtime_s": 0}]
    )
    for entry in build_tape(wanted, None, tmp_path / "tape").stages[0].entries:
        assert "messages" in json.loads(entry.body)


@pytest.mark.parametrize("turns", ["first", "last", "sessions"])
def test_the_packages_own_conversations_can_be_played(tmp_path: Path, turns: str) -> None:
    stages = [{"type": "users", "users": 1, "runtime_s": 0}]
    wanted = scenario(api="chat", input_tokens=None, data={"path": "sample", "turns": turns}, stages=stages)
    assert len(build_tape(wanted, None, tmp_path).stages[0].sessions) >= 30
