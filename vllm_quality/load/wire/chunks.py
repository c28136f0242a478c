"""The framing of HTTP's chunks (RFC 9112, section 7.1), taken off after the run."""

from collections.abc import Iterable
from functools import cache

from httptools import HttpParserError, HttpResponseParser

_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Unframer:
    """Takes the reads of one chunked body in their order.

    at_boundary  what came so far ends with a chunk
    fault        what was wrong with the framing; from there on there is no body
    """

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._parser.feed_data(_HEAD)
        self._parts: list[bytes] = []
        self._inside = self._over = False
        self.at_boundary = True
        self.fault: str | None = None

    def body(self, piece: bytes) -> bytes:
        """What a read brings of the body; nothing behind its end."""
        if self._over:
            return b""
        self._parts = []
        try:
            self._parser.feed_data(piece)
        except HttpParserError as error:
            if not self._over:
                self.fault, self._over = str(error), True
        # A size line in pieces is no boundary either: its last bytes make it one that is inside.
        self.at_boundary = not self._inside and not self._over and piece.endswith(b"\r\n")
        return b"".join(self._parts)

    def on_chunk_header(self) -> None:
        self._inside = True

    def on_body(self, body: bytes) -> None:
        if not self._over:
            self._parts.append(body)

    def on_chunk_complete(self) -> None:
        self._inside = False

    def on_message_complete(self) -> None:
        self._over = True


def unframed(pieces: Iterable[bytes]) -> bytes:
    """The body in the reads of a chunked one."""
    return b"".join(map(Unframer().body, pieces))


class ChunkHeads(dict[int, bytes]):
    """By the length of a read that holds one whole chunk and nothing else: how it begins, up to some bytes of its data.

    Where no chunk has that length: more bytes than such a read has.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data

    def __missing__(self, length: int) -> bytes:
        head = self[length] = _size_line(length) + self._data
        return head


@cache
def _size_line(length: int) -> bytes:
    for digits in range(1, 9):
        size = length - digits - 4
        if size > 0 and len(line := b"%x\r\n" % size) == digits + 2:
            return line
    return b"\0" * (length + 1)
