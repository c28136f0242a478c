"""Numbers that are kept in a raw file once they are many: float32, native byte order, nothing but values."""

import os
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import polars as pl

if TYPE_CHECKING:
    import numpy as np

# A mebibyte at a time: more would hold up the clock while it is written, and memory gains nothing from it.
_HELD_VALUES = 2**18
_VALUE = 4  # bytes of a float32
_BUFFER = 2**22


class GapFile:
    """An append-only sequence of float32 values. Those that are few stay in memory until `close`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._held = array("f")

    def extend(self, values: Iterable[float]) -> None:
        """Append the values."""
        self._held.extend(values)
        if len(self._held) >= _HELD_VALUES:
            self._spill()

    def close(self) -> Path:
        """Write what is still held; the file, which may be empty."""
        self._spill()
        if self._file is not None:
            self._file.close()
        return self._path

    def _spill(self) -> None:
        if self._file is None:
            self._file = self._path.open("wb")
        self._held.tofile(self._file)
        del self._held[:]


def gather(folder: Path, paths: Sequence[str], places: pl.DataFrame) -> "np.ndarray[Any, Any]":
    """The values of every place, one place after the other: a read-only map of a file without a name, made in `folder`.

    places: (number of the file among the paths, its first value, how many), one row each. It costs about a microsecond per
    place and no memory for the values; the file goes when the array does.
    """
    import numpy as np

    with ExitStack() as opened:
        sources = [opened.enter_context(Path(path).open("rb")).fileno() for path in paths]
        merged = opened.enter_context(tempfile.TemporaryFile(dir=folder, buffering=_BUFFER))
        for source, at, count in places.iter_rows():
            if count:
                merged.write(os.pread(sources[source], count * _VALUE, at * _VALUE))
        merged.flush()
        size = merged.tell() // _VALUE
        return np.memmap(merged, np.float32, "r", shape=(size,)) if size else np.empty(0, np.float32)
