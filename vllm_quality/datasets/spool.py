"""Items on disk while a snapshot is made, so that memory is bounded by their hashes and not by their texts.

What is spooled is anonymised already: raw text is never written down.
"""

import json
import os
import shutil
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from vllm_quality.datasets.schema import Item, Message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HASH_BYTES = 32
_LOCK = "in-use.lock"


class ItemSpool:
    """Items in a file: appended, then read by position; one costs some 90 bytes of memory. Not for two threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._ends = array("q", [0])
        self._sets = array("H")
        self._ids, self._contents, self._forms = bytearray(), bytearray(), bytearray()
        self._live = bytearray()
        self.names: list[str] = []
        self._flushed = 0

    def append(self, item: Item) -> int:
        """Add an item; its position."""
        if not self.names or self.names[-1] != item.dataset:
            if item.dataset in self.names:
                raise ValueError("the items of one data set follow each other")
            self.names.append(item.dataset)
        form = item.exact_form.encode()
        record = form + b"\n" + json.dumps([item.source_file, item.source_line]).encode()
        self._file.write(record)
        self._ends.append(self._ends[-1] + len(record))
        self._sets.append(len(self.names) - 1)
        self._ids += bytes.fromhex(item.id)
        self._contents += bytes.fromhex(item.content_hash)
        self._forms += sha256(form).digest()
        self._live.append(1)
        return len(self) - 1

    def drop(self, at: int) -> None:
        """Leave the item at a position out of `order`."""
        self._live[at] = 0

    def __len__(self) -> int:
        return len(self._sets)

    def id(self, at: int) -> str:
        """The id of the item at a position."""
        return self._ids[at * _HASH_BYTES : (at + 1) * _HASH_BYTES].hex()

    def content_hash(self, at: int) -> str:
        """The content hash of the item at a position."""
        return self._contents[at * _HASH_BYTES : (at + 1) * _HASH_BYTES].hex()

    def dataset(self, at: int) -> str:
        """The data set of the item at a position."""
        return self.names[self._sets[at]]

    def form(self, at: int) -> bytes:
        """The item's `exact_form`, UTF-8."""
        return self._record(at).partition(b"\n")[0]

    def item(self, at: int) -> Item:
        """The item at a position, as it was appended."""
        return self.read(at)[1]

    def read(self, at: int) -> tuple[bytes, Item]:
        """The item at a position with its `exact_form`."""
        form, _, place = self._record(at).partition(b"\n")
        _, dataset, language, role, messages, reference, choices, metadata = json.loads(form)
        said = tuple(Message(speaker, content) for speaker, content in messages)
        item = Item(dataset, language, role, said, reference, tuple(choices), metadata, *json.loads(place))
        # What is known need not be hashed again: these are cached properties.
        vars(item).update(id=self.id(at), content_hash=self.content_hash(at))
        return form, item

    def by_set(self, order: "NDArray[np.int64]") -> Iterator[tuple[str, "NDArray[np.int64]"]]:
        """The positions of an `order`, set by set."""
        import numpy as np

        codes = np.frombuffer(self._sets, dtype=np.uint16)[order]
        starts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(order)]
        for start, end in pairwise(starts):
            if end > start:
                yield self.dataset(int(order[start])), order[start:end]

    def order(self) -> "NDArray[np.int64]":
        """The positions that were not dropped, by data set (its name), id and form: an order that does not depend on the one they came in."""
        import numpy as np

        ranks = np.argsort(np.argsort(np.array(self.names, dtype=object)))
        sets = ranks[np.frombuffer(self._sets, dtype=np.uint16)] if len(self) else np.zeros(0, dtype=np.int64)
        live = np.flatnonzero(np.frombuffer(self._live, dtype=np.uint8))
        return self._sorted(live, sets[live])

    def by_id(self, positions: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Positions by id and form, as `hash_of_items` takes them."""
        import numpy as np

        return self._sorted(positions, np.zeros(len(positions), dtype=np.int64))

    def _sorted(self, positions: "NDArray[np.int64]", first_key: "NDArray[np.int64]") -> "NDArray[np.int64]":
        import numpy as np

        ids = np.frombuffer(self._ids, dtype=np.uint8).reshape(-1, _HASH_BYTES)[positions]
        words = ids.view(">u8").astype(np.uint64)
        # The last key counts most; the sort is stable, so equal items stay as they were read.
        inside = np.lexsort((*words.T[::-1], first_key))
        order, ids = positions[inside], ids[inside]
        same = (ids[1:] == ids[:-1]).all(axis=1)
        edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
        for first, last in edges.reshape(-1, 2):
            order[first : last + 1] = self._by_form([int(at) for at in order[first : last + 1]])
        return order

    def _by_form(self, positions: list[int]) -> list[int]:
        """Items of one id, which differ in their metadata at most, by their form; each form is looked at once."""
        digests = {at: bytes(self._forms[at * _HASH_BYTES : (at + 1) * _HASH_BYTES]) for at in positions}
        examples = {digest: at for at, digest in digests.items()}
        ranks = {digest: rank for rank, digest in enumerate(sorted(examples, key=lambda one: self.form(examples[one])))}
        return sorted(positions, key=lambda at: (ranks[digests[at]], at))

    def _record(self, at: int) -> bytes:
        if self._flushed < len(self):
            self._file.flush()
            self._flushed = len(self)
        # Not mapped: the pages of a map would count as this process's memory.
        return os.pread(self._file.fileno(), self._ends[at + 1] - self._ends[at], self._ends[at])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> "ItemSpool":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@contextmanager
def spool_folder(work: Path) -> Iterator[Path]:
    """A new folder below `work` for the time of the block. One that a killed process has left behind is removed by the next."""
    work.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with FileLock(work / _LOCK):
            _sweep(work)
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="spool-", dir=work)))
            stack.enter_context(FileLock(folder / _LOCK))
        yield folder


def _sweep(work: Path) -> None:
    for folder in work.glob("spool-*"):
        with suppress(Timeout), FileLock(folder / _LOCK, timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
