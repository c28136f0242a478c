"""What a child says first: whole, however it comes, and whatever else this process holds open."""

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from vllm_quality.first_line import first_line

Pipe = tuple[IO[bytes], IO[bytes]]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    read, write = os.pipe()
    with os.fdopen(read, "rb", 0) as output, os.fdopen(write, "wb", 0) as end:
        yield output, end


def test_a_line_in_pieces(pipe: Pipe) -> None:
    pipe[1].write(b"http://127.0.0.1")
    pipe[1].write(b":8000\n")
    assert first_line(pipe[0], 5) == "http://127.0.0.1:8000"


def test_silence(pipe: Pipe) -> None:
    pipe[1].write(b"half a li")
    with pytest.raises(TimeoutError):
        first_line(pipe[0], 0.05)


def test_an_end_before_the_line(pipe: Pipe) -> None:
    pipe[1].write(b"half a li")
    pipe[1].close()
    with pytest.raises(EOFError):
        first_line(pipe[0], 5)


def test_a_process_that_holds_a_thousand_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard) if hard > 0 else 4096, hard))
    try:
        with ExitStack() as held:
            while held.enter_context(Path(os.devnull).open("rb")).fileno() < 1100:
                pass
            read, write = os.pipe()
            output, end = held.enter_context(os.fdopen(read, "rb", 0)), held.enter_context(os.fdopen(write, "wb", 0))
            assert output.fileno() > 1024
            end.write(b"here\n")
            assert first_line(output, 5) == "here"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
