"""A corpus whose signatures are kept, so that a day's texts are compared with a hundred thousand in a second.

On disk: `bank.json` (versions, segments), `grams.npy` (the table of gram counts, frozen when the bank is built) and a folder
per segment. A segment is never changed; `bank.json` is replaced last, so that a half-written one is not seen.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.near.collected import BOUNDS
from vllm_quality.datasets.dedup.near.grams import GRAM_VERSION, GramTable, count_grams
from vllm_quality.datasets.dedup.near.lsh import SHORT, Plan, plan_for
from vllm_quality.datasets.dedup.near.segments import Segment, Signed, sign
from vllm_quality.datasets.dedup.near.signatures import SCHEME
from vllm_quality.datasets.dedup.near.texts import rank_texts
from vllm_quality.datasets.dedup.near.verify import cores
from vllm_quality.datasets.dedup.threshold import USUAL, Threshold
from vllm_quality.datasets.schema import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BANK_VERSION = "1"
MOST_PAIRS = BOUNDS.pairs
_CROWDED = (
    "Some texts resemble thousands of banked ones, as templates do, and were compared with a few of those: enough to find "
    "out that they are duplicates, but not all near pairs are listed."
)
_TOO_MANY = f"There are more than {MOST_PAIRS:,} near pairs; of each text, those with the nearest were kept."
_INDEX, _GRAMS = "bank.json", "grams.npy"


class BankError(DatasetError):
    """A bank is not there, was made by other versions, or does not fit the question."""


@dataclass(frozen=True, eq=False)
class BankPairs:
    """Near pairs of new texts and banked ones, sorted by position: `query` in the texts that were asked, `banked` in `Bank.ids`.

    edits   Levenshtein distance
    longer  length of the longer text, code points
    method  parameters and versions
    """

    query: "NDArray[np.int64]"
    banked: "NDArray[np.int64]"
    edits: "NDArray[np.int64]"
    longer: "NDArray[np.int64]"
    method: Mapping[str, object] = field(default_factory=dict)
    incomplete: str | None = None

    def __len__(self) -> int:
        return len(self.query)


class Bank:
    """Texts, their ids, and what is needed to find those near a new text. Made by `build_bank` and `load_bank`."""

    def __init__(
        self, table: GramTable, plan: Plan, segments: Sequence[Segment], versions: Mapping[str, str], saved: Path | None
    ) -> None:
        self.table, self.plan, self.versions = table, plan, dict(versions)
        self.segments = list(segments)
        self._saved, self._written = saved, len(self.segments) if saved is not None else 0

    def __len__(self) -> int:
        return sum(len(segment.ids) for segment in self.segments)

    @property
    def signed(self) -> int:
        """How many of the texts are long enough to have a signature."""
        return sum(len(segment.signed.layers[0].ranks) for segment in self.segments)

    @cached_property
    def ids(self) -> list[str]:
        """The texts' ids, in the order in which they came."""
        return [name for segment in self.segments for name in segment.ids]

    def of_segments(self, numbers: Sequence[int]) -> "Bank":
        """A bank of what came with some of the calls of `append`, in this order; nothing is copied, and it is not to be saved."""
        return Bank(self.table, self.plan, [self.segments[number] for number in numbers], self.versions, None)

    def append(self, ids: Sequence[str], texts: Sequence[str], *, signed: bool = True) -> None:
        """Add texts; what is common is still told by the table of the first ones. Raises `BankError` for a known id.

        signed  without it, pairs of long texts are not found: for an `IndexedBank`
        """
        if len(ids) != len(texts):
            raise BankError(f"There are {len(ids)} ids for {len(texts)} texts; give one for each.")
        known = set(self.ids)
        twice = known.intersection(ids) or {name for name, count in Counter(ids).items() if count > 1}
        if twice:
            raise BankError(f"The id {min(twice)!r} is in the bank already; leave it out or choose another one.")
        self.segments.append(Segment.of(ids, texts, self.table if signed else None, self.plan))
        self.ids.extend(ids)

    def query(self, texts: Sequence[str], threshold: Threshold = USUAL, *, workers: int | None = None) -> BankPairs:
        """All near pairs of one of these texts and one of the bank's.

        Raises `BankError` for a threshold that the bank's signatures are not made for.
        """
        import numpy as np

        if plan_for(threshold, self.plan.seed) != self.plan:
            raise BankError(f"The bank was not built for a threshold of {threshold}; build another one for it.")
        asked = sign(texts, self.table, self.plan)
        rows = [np.empty((4, 0), dtype=np.int64)]
        incomplete = None
        for found, crowded in self._near(asked, threshold, workers or cores()):
            rows.append(found)
            if crowded:
                incomplete = incomplete or _CROWDED
            if sum(part.shape[1] for part in rows) > 2 * MOST_PAIRS:
                rows, incomplete = [_nearest(np.concatenate(rows, axis=1), len(texts))], _TOO_MANY
        table = np.concatenate(rows, axis=1)
        table = table[:, np.lexsort((table[1], table[0]))]
        method = {**self.plan.describe(), "threshold": f"{threshold.num}/{threshold.den}", "banked": len(self)}
        return BankPairs(table[0], table[1], table[2], table[3], {**method, "exact": False}, incomplete)

    def _near(self, asked: Signed, threshold: Threshold, workers: int) -> "Iterator[tuple[NDArray[np.int64], bool]]":
        """Near pairs in pieces: 4 x pairs as `BankPairs` has them; and whether a crowd was thinned out."""
        import numpy as np

        before = 0
        for segment in self.segments:
            ranked = segment.signed.ranked
            for (left, right, edits), crowded in segment.near(asked, threshold, self.plan, workers):
                longer = np.maximum(asked.ranked.lengths[left], ranked.lengths[right])
                yield np.stack([asked.ranked.order[left], ranked.order[right] + before, edits, longer]), crowded
            before += len(segment.ids)

    def save(self, folder: Path) -> None:
        """Write the bank down; of one that lies in this folder already, only what was added to it."""
        import numpy as np

        if folder != self._saved:
            if (folder / _INDEX).exists():
                raise BankError(f"There is another bank in {folder}; load that one, or choose an empty folder.")
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / _GRAMS, self.table.counts)
            self._saved, self._written = folder, 0
        for number in range(self._written, len(self.segments)):
            path = folder / _segment(number)
            shutil.rmtree(path, ignore_errors=True)  # what an earlier attempt left behind
            self.segments[number].save(path)
        index = {
            "versions": {**_own_versions(), **self.versions},
            "plan": asdict(self.plan),
            "texts_counted": self.table.texts,
            "segments": len(self.segments),
        }
        new = folder / f"{_INDEX}.new"
        new.write_text(json.dumps(index, indent=1), encoding="utf-8")
        new.replace(folder / _INDEX)
        self._written = len(self.segments)


def _own_versions() -> dict[str, str]:
    return {"bank": BANK_VERSION, "gram hash": GRAM_VERSION, "signature scheme": SCHEME}


def _segment(number: int) -> str:
    return f"segment-{number:05d}"


def _nearest(table: "NDArray[np.int64]", texts: int) -> "NDArray[np.int64]":
    """The nearest pairs of each text."""
    import numpy as np

    table = table[:, np.lexsort((table[1], table[2], table[0]))]
    number = np.arange(table.shape[1]) - np.searchsorted(table[0], table[0], side="left")
    return table[:, number < max(1, MOST_PAIRS // max(texts, 1))]


def build_bank(
    ids: Sequence[str],
    texts: Sequence[str],
    threshold: Threshold = USUAL,
    *,
    seed: int = 1,
    versions: Mapping[str, str] | None = None,
) -> Bank:
    """A bank of these texts, for questions up to this threshold.

    `versions` are the caller's own (normalisation, …), and checked when the bank is loaded. Raises `BankError` for an id that
    is given twice.
    """
    bank = empty_bank(texts, threshold, seed=seed, versions=versions)
    bank.append(ids, texts)
    return bank


def empty_bank(
    alike: Sequence[str], threshold: Threshold = USUAL, *, seed: int = 1, versions: Mapping[str, str] | None = None
) -> Bank:
    """A bank without texts, which tells by those `alike` what is common in the texts to come. See `build_bank`."""
    import numpy as np

    ranked = rank_texts(alike)
    gram = plan_for(threshold, seed).gram
    table = count_grams(ranked, gram, int(np.searchsorted(ranked.lengths, SHORT, side="right")))
    return bank_with(table, threshold, seed=seed, versions=versions)


def bank_with(
    table: GramTable, threshold: Threshold = USUAL, *, seed: int = 1, versions: Mapping[str, str] | None = None
) -> Bank:
    """A bank without texts, which tells by a table what is common. See `build_bank`."""
    return Bank(table, plan_for(threshold, seed), [], versions or {}, None)


def load_bank(folder: Path, *, versions: Mapping[str, str] | None = None) -> Bank:
    """The bank in a folder; its files are mapped. Raises `BankError` when it was made by other versions, and names both."""
    import numpy as np

    if not (folder / _INDEX).exists():
        raise BankError(f"There is no bank in {folder}; build one first.")
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    except ValueError:
        raise BankError(f"{folder / _INDEX} is no bank's index; remove the folder and build the bank again.") from None
    wanted = {**_own_versions(), **(versions or {})}
    for name in sorted(wanted | index["versions"]):
        there, here = index["versions"].get(name, "none"), wanted.get(name, "none")
        if there != here:
            raise BankError(
                f"The bank in {folder} was made with {name} {there!r}, and this is {here!r}; build it again."
            )
    plan = Plan(**index["plan"])
    table = GramTable(plan.gram, index["texts_counted"], np.load(folder / _GRAMS, mmap_mode="r", allow_pickle=False))
    try:
        segments = [Segment.load(folder / _segment(number)) for number in range(index["segments"])]
    except FileNotFoundError as error:
        raise BankError(f"The bank in {folder} lacks {error.filename}; build it again.") from None
    return Bank(table, plan, segments, versions or {}, folder)
