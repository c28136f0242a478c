"""The meaning guard: near duplicates that do not say the same. They are told, not removed.

"What is 98 plus 45?" and "What is 98 minus 45?" are a distance of 0.2 apart, "Sort ascending" and "Sort descending" hardly more;
in a set of such items all but one would go. How strict the guard is depends on the set (see `Policy.guards`):

strict   holds a pair back when it differs in a token that carries meaning, whatever else differs, or, in a short text, when
         another word stands in a place (benchmarks, goldens)
usual    when it differs in such tokens only; what is left over are articles, punctuation and endings
lenient  as usual, but dates, times and identifiers do not count: the same request on another day (traffic)
off      never

At every level but the last a pair is held back that asks different things about the same context (see `asked`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.guard.asked import ask_otherwise
from vllm_quality.datasets.dedup.guard.readings import Readings, read_all
from vllm_quality.datasets.dedup.guard.tokens import Kind
from vllm_quality.datasets.dedup.guard.wording import differs_in_meaning_only, puts_another_word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vllm_quality.datasets.dedup.policy import GuardLevel

GUARD = "meaning guard 1"

LEVELS: "tuple[GuardLevel, ...]" = ("off", "lenient", "usual", "strict")
# Of pairs whose wording differs, too, at most so many are compared word by word; those beyond are held back.
MOST_ALIGNED = 500_000
_BLOCK = 200_000

_NAMES = {
    Kind.NUMBER: "numbers",
    Kind.NEGATION: "negation",
    Kind.OPERATOR: "operators",
    Kind.OPTION: "option letters or variables",
    Kind.UNIT: "units",
    Kind.OPPOSITE: "opposites",
    Kind.MOMENT: "dates, times or identifiers",
    Kind.ORDER: "the order of their words",
    Kind.CASE: "capitals that change a word",
    Kind.NAME: "names",
    Kind.REPLACED: "a word that stands for another",
    Kind.QUESTION: "what they ask about the same context",
}


def name_differences(bits: int) -> str:
    """The kinds of difference, for a sentence."""
    # Swapped numbers are in another order as well.
    told = bits if bits == Kind.ORDER else bits & ~Kind.ORDER
    named = [name for kind, name in _NAMES.items() if told & kind]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def find_differences(
    raw: Sequence[str],
    first: "NDArray[np.int64]",
    second: "NDArray[np.int64]",
    levels: "NDArray[np.int8]",
) -> "NDArray[np.int32]":
    """The kinds of difference (`Kind`, as bits) that hold each pair back; 0 where nothing does.

    raw            texts as they were written
    first, second  their positions
    levels         per pair, the place of its strictness in LEVELS
    """
    import numpy as np

    bits = np.zeros(len(first), dtype=np.int32)
    guarded = np.flatnonzero(levels > 0)
    if not len(guarded):
        return bits
    positions, where = np.unique(np.concatenate([first[guarded], second[guarded]]), return_inverse=True)
    readings = read_all(raw[position] for position in positions.tolist())
    one, other = where[: len(guarded)], where[len(guarded) :]
    aligned = 0
    for start in range(0, len(guarded), _BLOCK):
        block = slice(start, start + _BLOCK)
        found = _kinds(readings, one[block], other[block], levels[guarded[block]])
        aligned = _only(readings, one[block], other[block], levels[guarded[block]], found, aligned)
        bits[guarded[block]] = found
    free = guarded[bits[guarded] == 0]
    bits[free[ask_otherwise(lambda at: raw[at], first[free], second[free])]] = Kind.QUESTION
    return bits


def _kinds(
    readings: Readings, one: "NDArray[np.int64]", other: "NDArray[np.int64]", levels: "NDArray[np.int8]"
) -> "NDArray[np.int32]":
    """Kinds in which pairs differ, whatever else they differ in."""
    import numpy as np

    found = readings.differences(one, other)
    strict = levels == LEVELS.index("strict")
    found[~strict] &= ~np.int32(Kind.NAME)
    found[levels == LEVELS.index("lenient")] &= ~np.int32(Kind.MOMENT)
    return found


def _only(
    readings: Readings,
    one: "NDArray[np.int64]",
    other: "NDArray[np.int64]",
    levels: "NDArray[np.int8]",
    found: "NDArray[np.int32]",
    aligned: int,
) -> int:
    """Where the guard is not strict, clear the pairs that differ in wording as well; where it is, add those that differ in a word
    alone. How many were compared word by word."""
    import numpy as np

    alone = readings.same_wording(one, other) | ((found & Kind.ORDER) != 0)
    strict = levels == LEVELS.index("strict")
    for at in np.flatnonzero(np.where(strict, found == 0, (found != 0) & ~alone)).tolist():
        aligned += 1
        tokens = readings.tokens(one[at]), readings.tokens(other[at])
        if strict[at]:
            found[at] = Kind.REPLACED if aligned > MOST_ALIGNED or puts_another_word(*tokens) else 0
        elif aligned <= MOST_ALIGNED and not differs_in_meaning_only(*tokens):
            found[at] = 0
    return aligned
