"""What a child process says first: the address that it got."""

import os
import select
import time
from typing import IO


def first_line(output: IO[bytes], timeout_s: float) -> str:
    """The first line of an unbuffered pipe. Raises `TimeoutError`, and `EOFError` when the pipe ends before a line does."""
    # Not select(): a process that holds more than 1,024 files has pipes that it cannot wait for.
    waiting, deadline, line = select.poll(), time.monotonic() + timeout_s, b""
    waiting.register(output.fileno(), select.POLLIN)
    while not line.endswith(b"\n"):
        if not waiting.poll(1000 * max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        piece = os.read(output.fileno(), 4096)
        if not piece:
            raise EOFError
        line += piece
    return line.decode().strip()
