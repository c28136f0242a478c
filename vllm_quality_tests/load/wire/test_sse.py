"""The examples are those of the HTML standard, section 9.2.6."""

import time

import pytest

from vllm_quality.load.wire.sse import Event, next_event


def events(body: bytes) -> list[tuple[bytes, bytes]]:
    found, position = [], 0
    while event := next_event(body, position):
        found.append((event.kind, event.data))
        position = event.end
    return found


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_lf_crlf_or_cr(newline: bytes) -> None:
    body = b"data: one\n\nevent: add\ndata: two\n\n".replace(b"\n", newline)
    assert events(body) == [(b"", b"one"), (b"add", b"two")]


def test_data_lines_are_joined() -> None:
    assert events(b"data: YHOO\ndata: +2\ndata: 10\n\n") == [(b"", b"YHOO\n+2\n10")]


def test_comments_ids_and_retries_are_no_events() -> None:
    assert events(b": ping\n\nid: 1\nretry: 10\n\n:another\ndata: x\n\n") == [(b"", b"x")]


def test_an_event_without_data_leaves_nothing_to_the_next() -> None:
    assert events(b"event: add\n\ndata: x\n\n") == [(b"", b"x")]


def test_one_space_after_the_colon_is_dropped() -> None:
    assert events(b"data:x\n\ndata: x\n\ndata:  x\n\n") == [(b"", b"x"), (b"", b"x"), (b"", b" x")]


def test_a_field_without_a_colon_is_empty_and_empty_data_is_an_event() -> None:
    assert events(b"data\n\ndata\ndata\n\ndata:") == [(b"", b""), (b"", b"\n")]


def test_what_the_end_cuts_off_is_no_event() -> None:
    assert events(b"data: whole\n\ndata: cut\n") == [(b"", b"whole")]
    assert next_event(b"data: whole\n\ndata: cut", 13) is None
    assert next_event(b"data: whole\n\n", 0) == Event(13, b"", b"whole")


def test_a_long_line_without_an_end_costs_linear_time() -> None:
    start = time.perf_counter()
    assert next_event(b"data: " + b"x" * 5_000_000, 0) is None
    assert time.perf_counter() - start < 2
