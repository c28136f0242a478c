"""What is signed of a corpus: its long texts without common grams, and those once more that common grams make up.

Common grams are left out because prose shares them; but a template, or a prompt that many texts begin with, consists of
nothing else, and texts that share it may be near for that alone. They are signed again with all their grams.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.near.grams import GramTable
from vllm_quality.datasets.dedup.near.lsh import SHORT, Plan
from vllm_quality.datasets.dedup.near.signatures import Signatures, signatures
from vllm_quality.datasets.dedup.near.texts import Ranked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def long_ranks(ranked: Ranked) -> "NDArray[np.int64]":
    """The ranks of texts that are signed."""
    import numpy as np

    return np.arange(np.searchsorted(ranked.lengths, SHORT, side="right"), len(ranked))


def sign_layers(
    ranked: Ranked, table: GramTable, plan: Plan, told: Callable[[int], None] | None = None
) -> tuple[Signatures, Signatures]:
    """Signatures of all long texts, and of the framed ones with all their grams; `told` hears how many texts are done."""
    telling = signatures(ranked, long_ranks(ranked), table, plan.gram, plan.permutations, plan.seed, told)
    framed = telling.ranks[telling.framed]
    return telling, signatures(ranked, framed, None, plan.gram, plan.permutations, plan.seed)
