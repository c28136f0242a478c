"""What is compared: rows of one or several sets, as parallel sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vllm_quality.datasets.schema import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Corpus:
    """Rows of one or several sets; sequences of one length, in any order. Raises `DatasetError` when lengths differ.

    ids         unique within a set, unless the rows are the same in everything
    datasets    names of the sets, one per row
    raw         what the row says, as written (anonymised, where that was asked for): read by the meaning guard
    texts       its normal form (see `normal`): what is compared
    references  the right answer, where there is one
    content     a hash of all that a row is; of two rows the one whose `content` sorts first is kept. SHA-256 of the normal
                form where left out
    """

    ids: Sequence[str]
    datasets: Sequence[str]
    raw: Sequence[str]
    texts: Sequence[str]
    references: Sequence[str | None] | None = None
    content: Sequence[str] | None = None

    def __post_init__(self) -> None:
        parts = (self.datasets, self.raw, self.texts, self.references, self.content)
        if any(part is not None and len(part) != len(self.ids) for part in parts):
            raise DatasetError("The columns of a corpus differ in length; give one entry per row.")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The sets, sorted."""
        return tuple(sorted(set(self.datasets)))

    @cached_property
    def sets(self) -> "NDArray[np.int32]":
        """Which of `names` each row belongs to."""
        import numpy as np

        code = {name: at for at, name in enumerate(self.names)}
        return np.fromiter((code[name] for name in self.datasets), np.int32, len(self))
