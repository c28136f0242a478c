"""However a stream is made, framed and cut into reads, the fast reader says what the slow one says."""

import json
from array import array
from collections.abc import Callable
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vllm_quality.load.wire.chunks import Unframer
from vllm_quality.load.wire.stream import read_stream
from vllm_quality_tests.load.wire.reference import reference
from vllm_quality_tests.servers.sse import DONE, chunk, delta_event, event, text_event, usage_event

Frame = Callable[[bytes], bytes]

TEXTS = st.one_of(
    st.sampled_from([" word", " a", "한국", "\n", '"', "\\", "é", "", "🙂", " the", "\x7f", "%d", "\r\n\r\n"]),
    st.text(max_size=5),
)
FRAMES: dict[str, Frame] = {
    "lower": chunk,
    "upper": lambda data: b"%X\r\n%b\r\n" % (len(data), data),
    "padded": lambda data: b"%05x\r\n%b\r\n" % (len(data), data),
    "extended": lambda data: b'%x;name="v"\r\n%b\r\n' % (len(data), data),
    "halves": lambda data: (
        chunk(data[: len(data) // 2]) + chunk(data[len(data) // 2 :]) if len(data) > 1 else chunk(data)
    ),
}


@st.composite
def token_events(draw: st.DrawFn) -> list[bytes]:
    """A model's tokens: mostly one per event, counted or not, and sometimes something else in between."""
    texts = draw(st.lists(TEXTS, min_size=1, max_size=40))
    counted, chat, escaped = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    rare = st.integers(0, 9).map(lambda value: value == 0)
    events, count = [], 0
    for text in texts:
        count += draw(st.sampled_from([0, 2, 5])) if draw(rare) else 1
        block = delta_event(content=text) if chat and not counted else text_event(text, count if counted else None)
        events.append(b"data: " + json.dumps(json.loads(block[6:])).encode() + b"\n\n" if escaped else block)
        if draw(rare):
            events.append(
                draw(st.sampled_from([b": ping\n\n", delta_event(role="assistant"), text_event(""), b"id: 7\n"]))
            )
    if draw(rare):
        events.append(draw(st.sampled_from([event({"error": {"message": "no"}}), b"data: {\n\n", b"event: error\n"])))
    return [*events, usage_event(5, count), DONE]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], bool]:
    """The reads of a stream, and whether they are framed."""
    events = draw(token_events())
    newline = draw(st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"]))
    units = [block.replace(b"\n", newline) for block in events]
    framed = draw(st.booleans())
    if framed:
        usual = FRAMES[draw(st.sampled_from(["lower", "lower", "lower", *FRAMES]))]
        odd = FRAMES[draw(st.sampled_from(list(FRAMES)))]
        units = [odd(unit) if draw(st.integers(0, 19)) == 0 else usual(unit) for unit in units]
        units.append(b"0\r\n\r\n")
    raw = b"".join(units)
    # Mostly a read per event; now and then two in one, or one cut in two; or any cuts at all.
    ends = set(accumulate(map(len, units)))
    if draw(st.booleans()):
        ends -= set(draw(st.lists(st.sampled_from(sorted(ends)), max_size=8)))
        ends |= set(draw(st.lists(st.integers(1, len(raw)), max_size=4)))
    elif draw(st.booleans()):
        ends = set(draw(st.lists(st.integers(1, len(raw)), max_size=30)))
    if draw(st.integers(0, 4)) == 0:
        raw = raw[: draw(st.integers(1, len(raw)))]
    cuts = [0, *sorted(end for end in ends if end < len(raw)), len(raw)]
    return [raw[start:end] for start, end in pairwise(cuts)], framed


def assert_alike(pieces: list[bytes], *, framed: bool) -> None:
    stamps = [float(number) for number in range(len(pieces))]
    fast, slow = read_stream(pieces, array("d", stamps), framed=framed), reference(pieces, stamps, framed=framed)
    assert list(fast.times) == slow.times
    assert fast.counts == slow.counts
    assert b"".join(fast.pieces).decode() == slow.text.encode("utf-8", "replace").decode()
    assert (fast.prompt_tokens, fast.output_tokens) == (slow.prompt_tokens, slow.output_tokens)
    assert (fast.finish_reason, fast.fault and fast.fault[0]) == (slow.finish_reason, slow.fault)
    assert fast.done == slow.done or pieces[-1].strip().endswith((b"[DONE]", b"data: [DONE"))


@given(stream=streams())
@example(stream=([chunk(text_event("a", 1)), chunk(text_event("b", 2)) + chunk(text_event("c", 3))], True))
@example(stream=([text_event("a"), text_event("b"), text_event(""), text_event('"'), text_event("c")], False))
def test_any_stream_in_any_reads(stream: tuple[list[bytes], bool]) -> None:
    pieces, framed = stream
    assert_alike(pieces, framed=framed)


@pytest.mark.parametrize("count", [1, 2, 9, 10, 99, 128, 129, 300, 1000])
@pytest.mark.parametrize("counted", [True, False])
def test_long_runs_of_one_event_per_read(count: int, counted: bool) -> None:
    words = [" the", " of", " quantum", "한국", '"', "\n", " superposition" * 20]
    texts = [text_event(words[n * n % len(words)], n + 1 if counted else None) for n in range(count)]
    pieces = [*map(chunk, texts), chunk(usage_event(5, count)) + chunk(DONE), b"0\r\n\r\n"]
    content = read_stream(pieces, array("d", range(len(pieces))), framed=True)
    assert list(content.times) == [float(number) for number in range(count)]
    assert content.counts == ([1] * count if counted else [])
    assert_alike(pieces, framed=True)


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(chunk(text_event("b", 2))[:-2] + b"!!", id="a chunk that does not end where it says"),
        pytest.param(b"1" + chunk(text_event("b", 2)), id="a chunk that says it is longer"),
        pytest.param(b"zz\r\n", id="no chunk"),
    ],
)
def test_broken_framing_in_the_middle_of_a_run_is_found(odd: bytes) -> None:
    pieces = [chunk(text_event("a", 1)), odd, chunk(text_event("c", 3)), chunk(DONE), b"0\r\n\r\n"]
    content = read_stream(pieces, array("d", range(len(pieces))), framed=True)
    assert content.fault is not None
    assert content.fault[0] == "invalid"
    assert list(content.times)[:1] == [0.0]


def test_text_that_ends_its_own_json_is_not_taken_for_text() -> None:
    sly = text_event("SLY").replace(b"SLY", b'b","text":"c')
    content = read_stream([text_event("a"), sly, text_event("d"), DONE], array("d", range(4)))
    assert b"".join(content.pieces) == b"acd"


def test_nothing_behind_the_last_chunk_is_body() -> None:
    unframer = Unframer()
    assert [unframer.body(piece) for piece in (chunk(b"a"), b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nb", chunk(b"c"))] == [
        b"a",
        b"",
        b"",
    ]
    assert unframer.fault is None


@pytest.mark.parametrize(
    ("pieces", "at_boundary"),
    [
        ([b"1\r\na\r\n"], True),
        ([b"1\r\na"], False),
        ([b"1\r\na\r"], False),
        ([b"1\r\na", b"\r\n"], True),
        ([b"1\r\na\r\n1"], False),
        ([b"1\r\na\r\n1", b"\r\n"], False),
        ([b"2\r\n", b"\r\n"], False),
        ([b"2\r\n\r\n"], False),
        ([b"2\r\n\r\n\r\n"], True),
        ([b"1\r\na\r\n0\r\n"], False),
    ],
)
def test_where_chunks_end(pieces: list[bytes], at_boundary: bool) -> None:
    unframer = Unframer()
    for piece in pieces:
        unframer.body(piece)
    assert unframer.at_boundary is at_boundary
