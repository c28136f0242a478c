"""The wire client: HTTP/1.1 over asyncio protocols, kept-alive connections, every read stamped as it arrives.

While requests are in flight it does as little as it can: a read is stamped, split from its HTTP framing and kept. What
the bytes say is found out later (`answer`). Nothing here raises for what a server or a network does: each request ends
in its `Exchange`, through `on_end`.
"""

import asyncio
import errno
import itertools
import os
import resource
import socket
import ssl
from time import perf_counter

from vllm_quality.load.scenario import Timeouts
from vllm_quality.load.wire.answer import has_token
from vllm_quality.load.wire.connection import Connection
from vllm_quality.load.wire.exchange import Exchange, Outcome
from vllm_quality.load.wire.target import Target

MAX_ANSWER_BYTES = 256 * 2**20
_CONNECTING_AT_ONCE = 64


class Client:
    """A pool of connections to one target. Use from one event loop: `open`, `send` as often as wanted, `close`."""

    def __init__(self, target: Target, timeouts: Timeouts) -> None:
        self.target = target
        self._timeouts = timeouts
        self._idle: dict[Connection, None] = {}
        self._busy: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._addresses: itertools.cycle[str] = itertools.cycle([target.host])
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self) -> str | None:
        """Look up the target's addresses and try each; why none of them answers, or None when one does."""
        try:
            async with asyncio.timeout(self._timeouts.connect):
                found = await asyncio.get_running_loop().getaddrinfo(
                    self.target.host, self.target.port, type=socket.SOCK_STREAM
                )
        except (OSError, UnicodeError) as error:
            return f"its name cannot be looked up ({_reason(error)})"
        # A name may stand for several servers, all to be loaded, or for addresses of which some do not answer.
        answering, refusals = [], []
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            self._addresses = itertools.cycle([address])
            connection = await self._connect()
            if isinstance(connection, Connection):
                answering.append(address)
                self._idle[connection] = None
            else:
                refusals.append(connection[1])
        self._addresses = itertools.cycle(answering or addresses)
        self._sweeper = asyncio.create_task(self._sweep())
        return None if answering else refusals[0]

    async def warm(self, idle: int) -> None:
        """Open connections until so many are idle, so that a burst does not measure its own handshakes."""
        missing = idle - len(self._idle)
        while missing > 0:
            opened = await asyncio.gather(*(self._connect() for _ in range(min(missing, _CONNECTING_AT_ONCE))))
            connections = [connection for connection in opened if isinstance(connection, Connection)]
            self._idle.update(dict.fromkeys(connections))
            if len(connections) < len(opened):
                return
            missing -= len(opened)

    def send(self, exchange: Exchange) -> None:
        """Send now, on an idle connection or a new one. `exchange.on_end` is called once, later, whatever happens."""
        while self._idle:
            # The one used last: the others grow old, and the server may close them.
            connection, _ = self._idle.popitem()
            if connection.usable:
                self._busy.add(connection)
                connection.send(exchange)
                return
        self._send_on_new(exchange)

    async def close(self) -> None:
        """Drop every connection; exchanges still in flight are forgotten, and not ended."""
        tasks = [*self._tasks, *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in [*self._idle, *self._busy]:
            connection.drop()
        # The loop closes a dropped connection's socket on its next turns.
        await asyncio.sleep(0.01)

    async def _connect(self) -> Connection | tuple[Outcome, str]:
        tls = self.target.tls
        try:
            async with asyncio.timeout(self._timeouts.connect):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self._ended, self._lost),
                    next(self._addresses),
                    self.target.port,
                    ssl=tls,
                    server_hostname=self.target.host if tls else None,
                )
        except TimeoutError:
            return "timeout", f"connect: no connection within {self._timeouts.connect:g} s"
        except OSError as error:
            return "connect_error", _reason(error)
        return connection

    def _send_on_new(self, exchange: Exchange) -> None:
        task = asyncio.create_task(self._connect_and_send(exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect_and_send(self, exchange: Exchange) -> None:
        connection = await self._connect()
        if isinstance(connection, Connection) and connection.usable:
            self._busy.add(connection)
            connection.send(exchange)
            return
        closed: tuple[Outcome, str] = ("connect_error", "connection closed as soon as it was made")
        exchange.failure = closed if isinstance(connection, Connection) else connection
        exchange.end = perf_counter()
        exchange.on_end(exchange)

    def _ended(self, connection: Connection, exchange: Exchange) -> None:
        self._busy.discard(connection)
        if connection.usable:
            self._idle[connection] = None
        exchange.on_end(exchange)

    def _lost(self, connection: Connection, exchange: Exchange | None) -> None:
        self._busy.discard(connection)
        self._idle.pop(connection, None)
        if exchange is None:
            return
        # A kept-alive connection may be closed by the server just as it is used again. That is not the request's
        # failure: it is tried once more, on a new connection (RFC 9112, section 9.3.1).
        if connection.unanswered and connection.uses > 1 and not exchange.retried:
            exchange.failure, exchange.end, exchange.retried = None, None, True
            self._send_on_new(exchange)
        else:
            exchange.on_end(exchange)

    async def _sweep(self) -> None:
        """Give up what is overdue. One timer for all requests: a timer for each would cost more than their chunks."""
        limits = self._timeouts
        pause = min(0.25, min(limits.first_token, limits.stall, limits.total) / 10)
        while True:
            await asyncio.sleep(pause)
            for connection in tuple(self._busy):
                exchange, now = connection.exchange, perf_counter()
                if exchange is None:
                    continue
                failure = _overdue(exchange, limits, now)
                if failure is not None or (exchange.stamps and now - exchange.stamps[-1] > pause):
                    # An end of an unusual form is found in the silence that follows it.
                    connection.settle()
                if failure is not None and connection.exchange is exchange:
                    self._busy.discard(connection)
                    connection.drop()
                    exchange.failure, exchange.end = failure, perf_counter()
                    exchange.on_end(exchange)


def _overdue(exchange: Exchange, limits: Timeouts, now: float) -> tuple[Outcome, str] | None:
    """Why an exchange must be given up, if so. Looks into the content only where the answer turns on it."""
    sent = exchange.sent or now
    age, silence = now - sent, now - (exchange.stamps[-1] if exchange.stamps else sent)
    if age > limits.total:
        return "timeout", f"total: no end within {limits.total:g} s"
    if exchange.size() > MAX_ANSWER_BYTES:
        return "invalid", f"the answer is larger than {MAX_ANSWER_BYTES // 2**20} MB"
    if age > limits.first_token and not exchange.started:
        exchange.started = has_token(exchange)
        if not exchange.started:
            return "timeout", f"first token: none within {limits.first_token:g} s"
    if silence > limits.stall and (exchange.started or has_token(exchange)):
        exchange.started = True
        return "stalled", f"silence for {limits.stall:g} s in the middle of the answer"
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"the file descriptor limit ({limit}) is reached, and each connection takes one; raise it with ulimit -n or "
            "use fewer streams"
        )
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        return os.strerror(error.errno).lower()
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
