"""Texts that need not fit into memory: a sequence of strings kept in a file.

`<path>` is the UTF-8 of all texts, one behind the other; `<path>.ends` is where each ends, in bytes and in code points.
"""

import mmap
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from io import BufferedWriter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, overload

from vllm_quality.datasets.dedup.threshold import Threshold
from vllm_quality.datasets.schema import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ENDS = ".ends"
_MOST_RESIDENT = 64 << 20  # bytes of the map
_CHUNK = 1 << 19  # code points that are worked on at once: 2 MB


class TextFile(Sequence[str]):
    """A sequence of texts on disk: made by appending, read by position; a position costs 16 bytes of memory.

    An existing file is opened, and appended to; `close` (or leaving a `with`) writes it down. Not for two writers.
    Raises `DatasetError` when the file is not what was written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes, self._points = array("q", [0]), array("q", [0])
        self._file: BufferedWriter | None = None
        self._map: mmap.mmap | None = None
        self._resident = 0
        ends = path.with_name(path.name + _ENDS)
        if ends.exists():
            self._read_ends(ends)
        if (path.stat().st_size if path.exists() else 0) != self._bytes[-1]:
            raise DatasetError(f"{path} was not closed when it was written, or was changed; remove it and begin again.")

    def _read_ends(self, ends: Path) -> None:
        known = array("q", ends.read_bytes())
        half = len(known) // 2
        self._bytes, self._points = known[:half], known[half:]

    def append(self, text: str) -> None:
        """Add a text at the end."""
        coded = text.encode("utf-8", "surrogatepass")
        if self._file is None:
            self._file = self._path.open("ab")
        self._file.write(coded)
        self._bytes.append(self._bytes[-1] + len(coded))
        self._points.append(self._points[-1] + len(text))

    def extend(self, texts: Iterable[str]) -> None:
        """Add texts at the end."""
        for text in texts:
            self.append(text)

    def __len__(self) -> int:
        return len(self._bytes) - 1

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[position] for position in range(*at.indices(len(self)))]
        position = at + len(self) if at < 0 else at
        if not 0 <= position < len(self):
            raise IndexError(at)
        return self.joined(position, position + 1)

    def joined(self, first: int, last: int) -> str:
        """The texts from position `first` up to `last`, one behind the other."""
        start, end = self._bytes[first], self._bytes[last]
        return str(self._read(start, end), "utf-8", "surrogatepass") if end > start else ""

    def coded(self) -> Iterator[bytes]:
        """The UTF-8 of each text."""
        for start, end in pairwise(self._bytes):
            yield self._read(start, end) if end > start else b""

    def lengths(self) -> "array[int]":
        """How long each text is, code points."""
        return array("q", (end - start for start, end in pairwise(self._points)))

    def _read(self, start: int, end: int) -> bytes:
        mapped = self._mapped(end)
        found = mapped[start:end]
        self._resident += len(found)
        if self._resident > _MOST_RESIDENT:
            # Pages that were read count as this process's memory until they are given back; the system still caches them.
            mapped.madvise(mmap.MADV_DONTNEED)
            self._resident = 0
        return found

    def _mapped(self, end: int) -> mmap.mmap:
        if self._map is None or len(self._map) < end:
            if self._file is not None:
                self._file.flush()
            if self._map is not None:
                self._map.close()
            with self._path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._map

    def close(self) -> None:
        """Write down what was appended. The sequence can still be read."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._path.touch()
        self._path.with_name(self._path.name + _ENDS).write_bytes(self._bytes.tobytes() + self._points.tobytes())

    def __enter__(self) -> "TextFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True, eq=False)
class Ranked:
    """The texts of a sequence that are not empty, by length: a text and those which it can be near lie side by side.

    order    position in the sequence, by rank; where lengths are equal, a hash of the text decides
    lengths  code points, by rank, ascending
    places   by rank: who comes first stands for others where not all pairs can be held
    """

    texts: Sequence[str]
    order: "NDArray[np.int64]"
    lengths: "NDArray[np.int64]"
    places: "NDArray[np.int64]"

    def __len__(self) -> int:
        return len(self.order)

    def part(self, first: int, last: int) -> list[str]:
        """The texts from rank `first` up to `last`."""
        return [self.texts[at] for at in self.order[first:last].tolist()]

    def ends(self, threshold: Threshold) -> "NDArray[np.int64]":
        """For each rank, the first rank whose text is too long to be near it."""
        return reach(self.lengths, self.lengths, threshold)[1]

    def some(self, ranks: "NDArray[np.int64]") -> "Ranked":
        """Those at these ranks (ascending), ranked anew."""
        return Ranked(self.texts, self.order[ranks], self.lengths[ranks], self.places[ranks])

    def chunks(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Ranges of ranks that together are `first` up to `last`, each of about a million code points."""
        import numpy as np

        if first >= last:
            return
        total = np.cumsum(self.lengths[first:last])
        cuts = np.searchsorted(total, np.arange(_CHUNK, int(total[-1]), _CHUNK), side="right") + first + 1
        bounds = sorted({first, *(int(cut) for cut in cuts if cut < last), last})
        yield from pairwise(bounds)


def _longest(lengths: "NDArray[np.int64]", threshold: Threshold) -> "NDArray[np.int64]":
    """As Threshold.longest_near has it, of many lengths; none is 0."""
    return (threshold.den * lengths - 1) // (threshold.den - threshold.num)


def reach(
    ranked: "NDArray[np.int64]", lengths: "NDArray[np.int64]", threshold: Threshold
) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """For texts of these lengths: from which and up to which of the `ranked` lengths (ascending) lie those that can be near."""
    import numpy as np

    first = np.searchsorted(_longest(ranked, threshold), lengths, side="left")
    return first, np.searchsorted(ranked, _longest(lengths, threshold), side="right")


def rank_texts(texts: Sequence[str], preference: "Sequence[int] | NDArray[np.int64] | None" = None) -> Ranked:
    """The texts by length; places are by `preference`, a number per text of which the lowest comes first, then by the hash."""
    import numpy as np

    if isinstance(texts, TextFile):
        sizes, coded = texts.lengths(), texts.coded()
    else:
        sizes = array("q", map(len, texts))
        coded = (text.encode("utf-8", "surrogatepass") for text in texts)
    hashes = np.frombuffer(b"".join(blake2b(one, digest_size=8).digest() for one in coded), dtype="<u8")
    lengths = np.array(sizes, dtype=np.int64)
    order = np.lexsort((hashes, lengths))
    order = order[np.searchsorted(lengths[order], 1) :]
    wanted = np.zeros(len(lengths)) if preference is None else np.asarray(preference)
    places = np.empty(len(order), dtype=np.int64)
    # Not by the hash as it stands, which the order of equally long texts follows: see `every._thin_out`.
    places[np.lexsort((hashes[order].byteswap(), wanted[order]))] = np.arange(len(order))
    return Ranked(texts, order, lengths[order], places)


def code_points(texts: Sequence[str]) -> "NDArray[np.uint32]":
    """The code points of all texts, one behind the other."""
    import numpy as np

    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
