"""One HTTP/1.1 connection with at most one request on it. The hot path of the load engine.

What runs for every chunk of every stream is the first half of `data_received`: a clock read, two appends, one look at the
fourth byte from the end. Once the head of a chunked event stream has come, its reads are kept as they are; the framing
is taken off after the run (`stream`). Only what may be its end is looked at now, by the parser that has waited since
the head.
"""

import asyncio
from array import array
from collections.abc import Callable
from time import perf_counter
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from vllm_quality.load.wire.exchange import Exchange

_CR = 13
# How event streams end. A stream that says [DONE] is whole, whatever else its last chunk may hold.
_USUAL_ENDS = (b"\ndata: [DONE]\n\n\r\n0\r\n\r\n", b"\ndata: [DONE]\r\n\r\n\r\n0\r\n\r\n")
_USUAL_END_LENGTH = max(map(len, _USUAL_ENDS))


class Connection(asyncio.Protocol):
    """Carries one exchange at a time.

    on_end    called with (connection, exchange) when an answer is complete or broken; the connection may be `usable` again
    on_lost   called with (connection, exchange or None) when the connection closes, the exchange's failure set if it
              was not complete
    """

    def __init__(
        self,
        on_end: Callable[["Connection", Exchange], None],
        on_lost: Callable[["Connection", Exchange | None], None],
    ) -> None:
        self._on_end, self._on_lost = on_end, on_lost
        self._transport: asyncio.Transport | None = None
        self._now = 0.0
        self._reusable = True
        self.exchange: Exchange | None = None
        self.uses = 0
        self.unanswered = False
        self._renew_parser()
        self._expect([], array("d"))

    @property
    def usable(self) -> bool:
        """Whether another request can be sent on it."""
        return (
            self._transport is not None
            and self._reusable
            and self.exchange is None
            and not self._transport.is_closing()
        )

    def send(self, exchange: Exchange) -> None:
        """Write the request now."""
        if self._streaming:  # the parser has not seen the end of the answer before
            self._renew_parser()
        self.exchange = exchange
        self._expect(exchange.pieces, exchange.stamps)
        self.unanswered = True
        self.uses += 1
        transport = cast(asyncio.Transport, self._transport)
        # Before the write: what the kernel takes to accept the bytes belongs to the request.
        exchange.sent = perf_counter()
        transport.write(exchange.request)

    def drop(self) -> None:
        """Close at once and forget the exchange."""
        self.exchange = None
        if self._transport is not None:
            self._transport.abort()

    def settle(self) -> None:
        """Parse what has only been kept so far; ends the exchange where that was its end, or is no HTTP."""
        pieces, stamps = self._pieces, self._stamps
        while self._streaming and self.exchange is not None and not self._complete and self._parsed < len(pieces):
            self._now = stamps[self._parsed]
            self._parsed += 1
            self._parse(pieces[self._parsed - 1])
        if self._complete and self.exchange is not None:
            if self._streaming and self._parsed < len(pieces):
                # Reads behind the end, which nobody asked for.
                self._reusable = False
                del pieces[self._parsed :], stamps[self._parsed :]
            self._end()

    def _renew_parser(self) -> None:
        self._parser = HttpResponseParser(self)
        self._feed = self._parser.feed_data

    def _expect(self, pieces: list[bytes], stamps: "array[float]") -> None:
        self._pieces, self._stamps = pieces, stamps
        self._keep, self._stamp = pieces.append, stamps.append
        self._head: list[bytes] = []
        self._heads = self._parsed = 0
        self._streaming = self._chunked = self._complete = self._framed = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        if self._streaming and self.exchange is not None:
            self._stamp(now)
            self._keep(data)
            # The end is an empty line behind the last chunk's; events end in other bytes, but for those with CRLF.
            if len(data) < 4 or data[-4] == _CR:
                self._look_for_end(data, now)
            return
        self._now = now
        if self.exchange is None:
            # Bytes that nobody asked for: what comes next on this connection cannot be trusted.
            self._reusable = False
            self.drop()
            return
        self.unanswered = False
        if self.exchange.headers is None:
            self._head.append(data)
        self._parse(data)
        if self._complete:
            self._end()
        elif self._chunked and self._head:
            self._keep_raw(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._reusable = False
        self.settle()
        self._transport = None
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.end = perf_counter()
            if self.unanswered:
                exchange.failure = ("connect_error", "connection closed before an answer")
            elif self._framed or exc is not None or exchange.headers is None:
                exchange.failure = ("truncated", "connection closed in the middle of the answer")
            # Else the answer has neither length nor chunks: its end is the connection's (RFC 9112, section 6.3).
        self._on_lost(self, exchange)

    def _keep_raw(self, data: bytes) -> None:
        """From now on keep the reads of this answer as they are, from the one with the end of its head on."""
        exchange, came, start = cast(Exchange, self.exchange), b"".join(self._head), 0
        self._head = []
        for _ in range(self._heads):
            if not came.startswith(b"HTTP/", start):
                return
            start = came.find(b"\r\n\r\n", start) + 4
        begin = start - (len(came) - len(data))
        if begin <= 0:
            return
        self._pieces.clear()
        del self._stamps[:]
        if begin < len(data):
            self._keep(data[begin:])
            self._stamp(self._now)
        self._parsed = len(self._pieces)
        self._streaming = exchange.framed = True

    def _look_for_end(self, data: bytes, now: float) -> None:
        tail = data if len(data) >= _USUAL_END_LENGTH else b"".join(self._pieces[-3:])
        if tail.endswith(_USUAL_ENDS):
            self._now, self._parsed = now, len(self._pieces)
            self._complete = True
            self._reusable = self._reusable and self._keep_alive
        self.settle()

    # httptools' side

    def _parse(self, data: bytes) -> None:
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._reusable = False
            if not self._complete and self.exchange is not None:
                self.exchange.failure = ("invalid", f"the answer is not HTTP/1.1: {error}")
                self._complete = True

    def on_message_begin(self) -> None:
        if self._complete:
            # An answer that nobody asked for, in the same read: kept apart from the one before it.
            self._reusable = False
            strays: list[bytes] = []
            self._keep, self._stamp = strays.append, array("d").append

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.lower()
        if key == b"content-type" and not self._complete:
            cast(Exchange, self.exchange).content_type = value.strip().lower()
        elif key in (b"content-length", b"transfer-encoding"):
            self._framed = True
            self._chunked = key == b"transfer-encoding" and value.strip().lower() == b"chunked"

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._heads += 1
        if status >= 200 and self.exchange is not None and not self._complete:
            self.exchange.status, self.exchange.headers = status, self._now
            self._keep_alive = self._parser.should_keep_alive()
            streams = status == 200 and self.exchange.content_type.startswith(b"text/event-stream")
            self._chunked = self._chunked and streams

    def on_body(self, body: bytes) -> None:
        if not self._streaming:
            self._keep(body)
            self._stamp(self._now)

    def on_message_complete(self) -> None:
        # An interim answer (100 Continue, 103 Early Hints) is followed by the answer.
        if self._parser.get_status_code() >= 200:
            self._complete = True
            self._reusable = self._reusable and self._parser.should_keep_alive()

    def _end(self) -> None:
        exchange, self.exchange = cast(Exchange, self.exchange), None
        transport = cast(asyncio.Transport, self._transport)
        exchange.end = self._now
        # An answer that came before all of the request was taken leaves the rest of it on the line.
        if not self._reusable or transport.get_write_buffer_size():
            self._reusable = False
            transport.close()
        self._on_end(self, exchange)
