"""One request on the wire and what came back, as raw bytes with the times of their reads. Parsed later, by `answer`."""

from array import array
from collections.abc import Callable
from typing import Literal, get_args

Outcome = Literal["ok", "http_error", "connect_error", "timeout", "stalled", "stream_error", "truncated", "invalid"]
"""How a request ended.

ok             every part of the answer came and it holds at least one token
http_error     a status other than 200
connect_error  no connection, or it was closed before a byte of the answer
timeout        given up; the error says which: connect, first token or total
stalled        tokens came, then silence for longer than the stall timeout
stream_error   the server reported an error inside the stream
truncated      the answer began and was cut off: before its end, or before `[DONE]`
invalid        an answer that is not what was asked for: not HTTP, not an event stream, not JSON, or without a token
"""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class Exchange:
    """Times are `time.perf_counter()` seconds; None where the thing did not happen.

    due         when the schedule wanted it sent       dispatched  when the client took it up
    sent        when its bytes were written            headers     when the answer's head had come
    end         when it ended, one way or the other
    lap         which round through its entries a pool is in, from 0
    pieces      the answer's body as it came; stamps: the time of the read that brought each piece
    framed      the pieces still carry the framing of HTTP's chunks; see `stream`
    failure     what the wire itself saw go wrong; None where only the content can tell
    retried     sent again, after its kept-alive connection closed without a byte
    started     a token is known to have come; the content is looked into only where a timeout turns on it
    """

    __slots__ = (
        "_size", "_sized", "content_type", "dispatched", "due", "end", "failure", "framed", "headers", "index", "lap",
        "on_end", "pieces", "request", "retried", "sent", "stamps", "started", "status",
    )  # fmt: skip

    def __init__(
        self, index: int, due: float, dispatched: float, request: bytes, on_end: "OnEnd", lap: int = 0
    ) -> None:
        self.index, self.due, self.dispatched, self.lap = index, due, dispatched, lap
        self.request, self.on_end = request, on_end
        self.sent: float | None = None
        self.headers: float | None = None
        self.end: float | None = None
        self.status: int | None = None
        self.content_type = b""
        self.pieces: list[bytes] = []
        self.stamps = array("d")
        self.framed = False
        self.failure: tuple[Outcome, str] | None = None
        self.retried = False
        self.started = False
        self._size = self._sized = 0

    def size(self) -> int:
        """Bytes of body so far. Adds up what is new since it was last asked: counting every read would cost more."""
        self._size += sum(map(len, self.pieces[self._sized :]))
        self._sized = len(self.pieces)
        return self._size


OnEnd = Callable[[Exchange], None]
