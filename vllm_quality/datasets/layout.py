"""Spooled items as the corpus that is searched for duplicates, each set stored as it was read by the way."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vllm_quality.datasets.dedup.corpus import Corpus
from vllm_quality.datasets.dedup.ledger import PAIR_SCHEMA
from vllm_quality.datasets.dedup.near.texts import TextFile
from vllm_quality.datasets.dedup.normal import NORMALISATION, comparison_text, raw_text
from vllm_quality.datasets.manifest import StoredFile
from vllm_quality.datasets.progress import Progress
from vllm_quality.datasets.row_file import RowFile
from vllm_quality.datasets.schema import ITEM_SCHEMA, Item, hash_of_forms
from vllm_quality.datasets.spool import ItemSpool
from vllm_quality.datasets.storing import store_file
from vllm_quality.results.objects import ObjectStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
_EVERY = 500
_IN_MEMORY = 32 << 20  # code points: texts that are searched faster as a list, and cost little so


@dataclass(frozen=True, eq=False)
class LaidOut:
    """What is searched.

    positions  in the spool, one per row of the corpus: by data set and id, each id once
    repeated   rows that say exactly what another of their set says, by set; `repeated_file` has them as pairs
    versions   set -> the SHA-256 of all its items, and where they are stored
    """

    corpus: Corpus
    positions: "NDArray[np.int64]"
    repeated: Counter[str]
    repeated_file: Path
    versions: dict[str, tuple[str, StoredFile]]


class _View(Sequence[T], Generic[T]):
    """A sequence whose elements are made when they are asked for."""

    def __init__(self, length: int, element: Callable[[int], T]) -> None:
        self._length, self._element = length, element

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [self._element(place) for place in range(*at.indices(self._length))]
        if not -self._length <= at < self._length:
            raise IndexError(at)
        return self._element(int(at) % self._length)


class _Repeated:
    """Rows that repeat the one before them, as pairs of the ledger."""

    def __init__(self, path: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._file = RowFile(path, PAIR_SCHEMA)

    def add(self, kept: Item, item: Item) -> None:
        """`item` is left out: `kept` says the same."""
        self.counts[item.dataset] += 1
        told = f"{item.source_file} row {item.source_line} repeats {kept.source_file} row {kept.source_line}"
        differs = "" if item.metadata == kept.metadata else ", with other metadata"
        row = {"id_a": kept.id, "id_b": item.id, "dataset_a": kept.dataset, "dataset_b": item.dataset}
        row |= {"kind": "exact", "decision": "drop_b", "reason": f"{told}{differs}.", "versions": NORMALISATION}
        self._file.append({**row, "distance": 0.0, "edits": 0, "length": len(comparison_text(item))}, 400)

    def close(self) -> None:
        """Write the file."""
        self._file.close()


def lay_out(
    spool: ItemSpool, texts: TextFile, folder: Path, objects: ObjectStore, progress: Progress | None = None
) -> LaidOut:
    """Bring spooled items into their order, store each set, and append what is compared to `texts`.

    folder  for files meanwhile
    """
    import numpy as np

    order = spool.order()
    repeated, versions = _Repeated(folder / "repeated.parquet"), dict[str, tuple[str, StoredFile]]()
    positions = list[int]()
    kept: Item | None = None

    def take(at: int, item: Item) -> None:
        nonlocal kept
        if kept is not None and kept.id == item.id:
            repeated.add(kept, item)
            return
        kept = item
        texts.append(comparison_text(item))
        positions.append(at)

    for name, part in spool.by_set(order):
        file = folder / "set.parquet"
        found = write_items(spool, part, file, progress, take)
        versions[name] = found, store_file(objects, f"datasets/{name}/{found}.parquet", file, len(part))
        file.unlink()
    repeated.close()
    small = sum(texts.lengths()) <= _IN_MEMORY
    corpus = _corpus(spool, positions, texts[:] if small else texts)
    return LaidOut(corpus, np.array(positions, dtype=np.int64), repeated.counts, folder / "repeated.parquet", versions)


def write_items(
    spool: ItemSpool,
    positions: "NDArray[np.int64]",
    path: Path,
    progress: Progress | None = None,
    take: Callable[[int, Item], None] | None = None,
) -> str:
    """Write items as a parquet file of `ITEM_SCHEMA`, in the order of `ItemSpool.by_id`; the SHA-256 of them all.

    take  called with each position and item
    """

    def forms(file: RowFile) -> Iterator[bytes]:
        for done, at in enumerate(positions.tolist(), start=1):
            form, item = spool.read(at)
            file.append(item.as_row(), len(form))
            if take is not None:
                take(at, item)
            if progress is not None and (done % _EVERY == 0 or done == len(positions)):
                progress("writing items", done, len(positions))
            yield form

    with RowFile(path, ITEM_SCHEMA) as file:
        return hash_of_forms(forms(file))


def _corpus(spool: ItemSpool, positions: Sequence[int], texts: Sequence[str]) -> Corpus:
    def view(element: Callable[[int], T]) -> _View[T]:
        return _View(len(positions), lambda place: element(positions[place]))

    return Corpus(
        ids=view(spool.id),
        datasets=view(spool.dataset),
        raw=view(lambda at: raw_text(spool.item(at))),
        texts=texts,
        references=view(lambda at: spool.item(at).reference),
        content=view(spool.content_hash),
    )
