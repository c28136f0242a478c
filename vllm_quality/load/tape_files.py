"""How a tape's requests lie on disk: rows of one length in `requests.index`, their text in `requests.bytes`.

The index is mapped into memory (36 bytes a request) and the text read from the file as it is asked for, so that a process
that plays a million requests holds none of them, and one costs a few microseconds whichever comes next. (Arrow files would
be read as a whole, in milliseconds that a hot loop does not have; pages of a mapped text would count as memory in use.)
`numpy.fromfile(path, vllm_quality.load.tape_files.RECORD)` shows the index to a person.
"""

import math
import mmap
import os
import struct
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, overload

if TYPE_CHECKING:
    import numpy as np

# Little-endian, unpadded, in the order of `_LAYOUT`. due_s: NaN where a request has no time. start: where in the bytes its
# item begins, which its body follows. prompt_tokens: -1 where they were not counted.
RECORD = [
    ("due_s", "<f8"),
    ("start", "<u8"),
    ("item_bytes", "<u2"),
    ("body_bytes", "<u4"),
    ("prompt_tokens", "<i4"),
    ("session", "<u4"),
    ("turn", "<u2"),
    ("output_tokens", "<u4"),
]
_LAYOUT = struct.Struct("<dQHIiIHI")
_INDEX, _BYTES = "requests.index", "requests.bytes"
_UNKNOWN = -1

# due_s, item, body, prompt_tokens, session, turn, output_tokens
Row = tuple[float | None, str, bytes, int | None, int, int, int]


class RowWriter:
    """Writes rows as they come; holds none. Replaces what is in the folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._index: BinaryIO = (folder / _INDEX).open("wb")
        self._bytes: BinaryIO = (folder / _BYTES).open("wb")
        self._start = 0
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write out what is buffered. Closing twice is as good as once."""
        self._index.close()
        self._bytes.close()

    def add(self, row: Row) -> None:
        """Append one row."""
        due_s, item, body, prompt_tokens, session, turn, output_tokens = row
        name = item.encode()
        self._index.write(
            _LAYOUT.pack(
                math.nan if due_s is None else due_s,
                self._start,
                len(name),
                len(body),
                _UNKNOWN if prompt_tokens is None else prompt_tokens,
                session,
                turn,
                output_tokens,
            )
        )
        self._bytes.write(name)
        self._bytes.write(body)
        self._start += len(name) + len(body)
        self.rows += 1


class RowReader:
    """The rows of a folder. Raises `ValueError` or `OSError` when they are not all there."""

    def __init__(self, folder: Path) -> None:
        self._index = _mapped(folder / _INDEX)
        self._bytes = os.open(folder / _BYTES, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._bytes)
        if len(self._index) % _LAYOUT.size:
            raise ValueError("the index ends in the middle of a row")
        self.rows = len(self._index) // _LAYOUT.size
        expected = 0
        if self.rows:
            _, start, item_bytes, body_bytes, *_ = _LAYOUT.unpack_from(self._index, len(self._index) - _LAYOUT.size)
            expected = start + item_bytes + body_bytes
        if (size := os.fstat(self._bytes).st_size) != expected:
            raise ValueError(f"there are {size} bytes of requests, not {expected}")

    def row(self, index: int) -> Row:
        """One row; the index is not checked."""
        due_s, start, item_bytes, body_bytes, prompt_tokens, session, turn, output_tokens = _LAYOUT.unpack_from(
            self._index, index * _LAYOUT.size
        )
        text = os.pread(self._bytes, item_bytes + body_bytes, start)
        return (
            None if due_s != due_s else due_s,  # NaN is the one number that is not itself
            text[:item_bytes].decode(),
            text[item_bytes:],
            None if prompt_tokens == _UNKNOWN else prompt_tokens,
            session,
            turn,
            output_tokens,
        )

    def session_starts(self, first: int, count: int) -> Sequence[int]:
        """Where, from `first` on, each session of `count` rows begins, counted from `first`."""
        import numpy as np

        dtype = np.dtype(RECORD)
        rows: np.ndarray[Any, Any] = np.frombuffer(self._index, dtype, count, first * dtype.itemsize)
        starts = np.flatnonzero(np.diff(rows["session"], prepend=-1))
        return range(count) if len(starts) == count else _Numbers(starts.astype(np.uint32))


class _Numbers(Sequence[int]):
    """Numbers of four bytes each that come out as Python's own."""

    def __init__(self, numbers: "np.ndarray[Any, Any]") -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        return _Numbers(self._numbers[index]) if isinstance(index, slice) else int(self._numbers[index])


def _mapped(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as file:
        # An empty file cannot be mapped.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
