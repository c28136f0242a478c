import json
from array import array
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.load.wire.content import Content
from vllm_quality.load.wire.stream import read_stream
from vllm_quality_tests.servers.sse import DONE, delta_event, event, text_event, usage_event


def read(*events: bytes) -> Content:
    """Each argument comes in a read of its own; the n-th at n seconds."""
    return read_stream(list(events), array("d", range(len(events))))


def text_of(content: Content) -> str:
    return b"".join(content.pieces).decode()


def test_each_event_with_text_is_stamped_with_the_read_that_completed_it() -> None:
    content = read(text_event("a"), text_event("b"), text_event("c")[:20], text_event("c")[20:], DONE)
    assert list(content.times) == [0.0, 1.0, 3.0]
    assert text_of(content) == "abc"
    assert content.done
    assert content.fault is None


def test_several_events_of_one_read_share_its_time() -> None:
    content = read(text_event("a") + text_event("b"), text_event("c") + DONE)
    assert list(content.times) == [0.0, 0.0, 1.0]


def test_a_role_delta_is_no_token_and_reasoning_is() -> None:
    content = read(
        delta_event(role="assistant", content=""), delta_event(reasoning_content="hm"), delta_event(content="x"), DONE
    )
    assert list(content.times) == [1.0, 2.0]
    assert text_of(content) == "hmx"


def test_reasoning_under_its_newer_name_and_null_content() -> None:
    content = read(delta_event(content=None, reasoning="hm"), delta_event(content="x", reasoning=None), DONE)
    assert list(content.times) == [0.0, 1.0]
    assert text_of(content) == "hmx"


def test_a_tool_call_is_output() -> None:
    call = [{"index": 0, "function": {"name": "f", "arguments": "{"}}]
    assert list(read(delta_event(role="assistant"), delta_event(tool_calls=call), DONE).times) == [1.0]


def test_empty_deltas_bring_nothing() -> None:
    content = read(text_event(""), text_event("a"), text_event(""), text_event("b"), text_event(""), DONE)
    assert list(content.times) == [1.0, 3.0]


def test_usage_at_the_end_gives_the_count() -> None:
    content = read(text_event("a"), text_event("b"), usage_event(7, 5), DONE)
    assert (content.prompt_tokens, content.output_tokens, content.counts) == (7, 5, [])


def test_missing_usage_leaves_the_counts_open() -> None:
    content = read(text_event("a"), text_event("b"), DONE)
    assert (content.prompt_tokens, content.output_tokens, content.counts) == (None, None, [])


def test_continuous_usage_counts_the_tokens_of_each_event() -> None:
    content = read(text_event("a b c", 3), text_event(" d", 4), text_event(" e f", 6), usage_event(5, 6), DONE)
    assert content.counts == [3, 1, 2]
    assert content.output_tokens == 6


def test_a_token_whose_text_is_held_back_is_a_token_where_the_server_counts() -> None:
    """vLLM sends half of a multi-byte character as an empty text, and an end-of-sequence token too."""
    content = read(text_event("", 1), text_event("한", 2), text_event("", 3, finish_reason="stop"), DONE)
    assert list(content.times) == [0.0, 1.0, 2.0]
    assert content.counts == [1, 1, 1]
    assert content.finish_reason == "stop"


def test_the_role_delta_of_a_counting_server_is_no_token() -> None:
    role = json.loads(delta_event(role="assistant", content="")[6:])
    content = read(event({**role, "usage": {"prompt_tokens": 5, "completion_tokens": 0}}), text_event("a", 1), DONE)
    assert list(content.times) == [1.0]
    assert content.counts == [1]


def test_usage_with_the_finishing_delta_only_is_no_running_count() -> None:
    """As llama.cpp: nothing counts along, then the finishing event, without text, has all counts."""
    content = read(text_event("a"), text_event("b"), text_event("", 2, finish_reason="length"), DONE)
    assert list(content.times) == [0.0, 1.0]
    assert content.counts == []
    assert content.output_tokens == 2


def test_a_count_that_stays_at_zero_is_no_running_count() -> None:
    content = read(text_event("a", 0), text_event("b", 0), usage_event(5, 2), DONE)
    assert list(content.times) == [0.0, 1.0]
    assert content.output_tokens == 2


def test_an_error_object_inside_the_stream_ends_it() -> None:
    content = read(text_event("a"), event({"error": {"message": "out of memory", "code": 500}}), text_event("b"), DONE)
    assert content.fault == ("stream_error", '{"message": "out of memory", "code": 500}')
    assert list(content.times) == [0.0]


def test_other_forms_of_an_error() -> None:
    told = read(b'event: error\ndata: {"message": "no"}\n\n').fault
    assert told == ("stream_error", '{"message": "no"}')
    assert (read(event({"object": "error", "message": "no"})).fault or [""])[0] == "stream_error"


@pytest.mark.parametrize("data", [b"nonsense", b"[1]", b'"text"', b'{"choices": [', b"[" * 100_000])
def test_an_event_that_is_no_json_object_is_invalid(data: bytes) -> None:
    content = read(text_event("a"), b"data: " + data + b"\n\n", DONE)
    assert content.fault is not None
    assert content.fault[0] == "invalid"


@pytest.mark.parametrize("value", [{}, {"choices": None}, {"choices": [1]}, {"type": "ping"}, {"choices": [{}]}])
def test_an_object_without_output_is_passed_over(value: object) -> None:
    content = read(event(value), text_event("a"), DONE)
    assert (content.fault, list(content.times), content.done) == (None, [1.0], True)


def test_nothing_after_done_counts() -> None:
    assert list(read(text_event("a"), DONE, text_event("b"), event({"error": "late"})).times) == [0.0]


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n\r\n"])
def test_done_needs_no_blank_line(end: bytes) -> None:
    assert read(text_event("a"), end).done


def test_a_cut_off_stream_is_not_done() -> None:
    assert not read(text_event("a"), text_event("b")[:-1]).done


def test_text_that_looks_like_the_wire_is_text() -> None:
    texts = [
        '"text": "x"',
        "\n\ndata: [DONE]\n\n",
        '{"usage": {"completion_tokens": 9}}',
        "\\",
        '"}]}',
        "한국어",
        "\x7f",
    ]
    content = read(text_event("plain"), *(text_event(text) for text in texts), text_event("plain"), DONE)
    assert text_of(content) == "plain" + "".join(texts) + "plain"
    assert len(content.times) == len(texts) + 2


PIECES = st.one_of(
    st.tuples(st.text(max_size=8), st.none() | st.integers(0, 12)).map(lambda pair: text_event(*pair)),
    st.text(max_size=4).map(lambda text: delta_event(content=text)),
    st.text(max_size=4).map(lambda text: delta_event(reasoning_content=text)),
    st.sampled_from([b": ping\n\n", b"event: chunk\n", b"id: 7\n", b"retry: 5\n\n", usage_event(3, 4)]),
    st.sampled_from([event({"error": {"message": "no"}}), b"data: {\n\n", b"data: {}\ndata: \n\n"]),
)
STREAMS = st.tuples(st.lists(PIECES, max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans()).map(
    lambda parts: (b"".join(parts[0]) + (DONE if parts[2] else b"")).replace(b"\n", parts[1])
)


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    """The body cut at these offsets."""
    return [body[start:end] for start, end in pairwise([0, *cuts, len(body)]) if start < end]


@given(body=STREAMS, data=st.data())
def test_any_chunking_of_the_same_bytes_gives_the_same_events_counts_and_text(body: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=20).map(sorted))
    once, cut = read(body), read(*pieces_of(body, cuts))
    assert summary(once) == summary(cut)
    assert all(earlier <= later for earlier, later in pairwise(cut.times))


def summary(content: Content) -> Sequence[object]:
    return (
        content.pieces, content.counts, content.prompt_tokens, content.output_tokens, content.finish_reason,
        content.fault, content.done, len(content.times),
    )  # fmt: skip


@given(texts=st.lists(st.text(max_size=6), min_size=1, max_size=20), counted=st.booleans(), data=st.data())
def test_events_read_by_template_say_what_they_say_when_parsed(
    texts: list[str], counted: bool, data: st.DataObject
) -> None:
    """The same stream with one key's place changed in every other event fits no template, and is parsed event by event."""
    counts: Sequence[int | None] = [None] * len(texts)
    if counted:
        steps = data.draw(st.lists(st.integers(0, 3), min_size=len(texts), max_size=len(texts)))
        counts = [sum(steps[: number + 1]) for number in range(len(steps))]
    alike = [text_event(text, count) for text, count in zip(texts, counts, strict=True)]
    unlike = [
        event({"n": number, **json.loads(block[6:])}) if number % 2 else block for number, block in enumerate(alike)
    ]
    assert summary(read(*alike, DONE)) == summary(read(*unlike, DONE))
    assert text_of(read(*alike, DONE)) == "".join(texts)
