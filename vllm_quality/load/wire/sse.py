"""Server-sent events, as the WHATWG HTML standard has them (section 9.2.6, "Interpreting an event stream")."""

import re
from typing import NamedTuple

BOM = b"\xef\xbb\xbf"
_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\n|\r)")


class Event(NamedTuple):
    """One event. end: offset in the body behind the blank line that dispatched it; kind: its `event:`, mostly empty."""

    end: int
    kind: bytes
    data: bytes


def next_event(body: bytes, position: int) -> Event | None:
    """The first event at or after an offset at which no line is begun; None when the rest of the body dispatches none.

    Lines end in CRLF, LF or CR. Comments, unknown fields and events without data are passed over. What the body's end
    cuts off before its blank line was never dispatched, and is no event.
    """
    data: list[bytes] = []
    kind = b""
    while line := _LINE.match(body, position):
        text, position = line[1], line.end()
        if not text:
            if data:
                return Event(position, kind, b"\n".join(data))
            kind = b""
            continue
        field, _, value = text.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            kind = value.removeprefix(b" ")
    return None
