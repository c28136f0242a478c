"""One HTTP/1.1 connection with at most one request on it. The hot path of the load engine.

What runs for every chunk of every stream is `data_received` and `on_body`: a clock read, httptools, two appends.
"""

import asyncio
from array import array
from collections.abc import Callable
from time import perf_counter
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from vllm_quality.load.wire.exchange import Exchange


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
        self._parser = HttpResponseParser(self)
        self._feed = self._parser.feed_data
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._stamps = array("d")
        self._now = 0.0
        self._complete = False
        self._framed = False
        self._reusable = True
        self.exchange: Exchange | None = None
        self.uses = 0
        self.unanswered = False

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
        self.exchange = exchange
        self._pieces, self._stamps = exchange.pieces, exchange.stamps
        self._complete = self._framed = False
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

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._now = perf_counter()
        if self.exchange is None:
            # Bytes that nobody asked for: what comes next on this connection cannot be trusted.
            self._reusable = False
            self.drop()
            return
        self.unanswered = False
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._reusable = False
            if not self._complete:
                self.exchange.failure = ("invalid", f"the answer is not HTTP/1.1: {error}")
                self._complete = True
        if self._complete:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
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

    # httptools' side

    def on_message_begin(self) -> None:
        if self._complete:
            # An answer that nobody asked for, in the same read: kept apart from the one before it.
            self._reusable = False
            self._pieces, self._stamps = [], array("d")

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.lower()
        if key == b"content-type" and not self._complete:
            cast(Exchange, self.exchange).content_type = value.strip().lower()
        elif key in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and self.exchange is not None and not self._complete:
            self.exchange.status, self.exchange.headers = status, self._now

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._stamps.append(self._now)

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
