"""What a text asks, apart from the context that it shares with others: a system prompt, a passage, earlier turns.

Two questions about one long passage are a small distance apart, and are two questions.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.normal import BEFORE_CHOICE, BEFORE_QUESTION, comparison_form
from vllm_quality.datasets.dedup.threshold import USUAL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LAST_QUESTION = re.compile(r"(?<=[.!?。\n])\s+([^.!?。\n]+[?？])[\s\"'”’)]*\Z")

Asked = tuple[str, ...]


def asked_by(raw: str) -> Asked:
    """What is asked, in normal form: the last message and the choices of a conversation; of a plain text its last question, where
    more stands before it. Empty where there is no context to tell it from."""
    if BEFORE_QUESTION in raw or BEFORE_CHOICE in raw:
        return tuple(map(comparison_form, raw.rpartition(BEFORE_QUESTION)[2].split(BEFORE_CHOICE)))
    question = _LAST_QUESTION.search(raw[-2_000:])
    if question is None or len(raw) < 2 * len(question[1]):
        return ()
    return (comparison_form(question[1]),)


def ask_otherwise(
    raw: Callable[[int], str], one: "NDArray[np.int64]", other: "NDArray[np.int64]"
) -> "NDArray[np.bool_]":
    """Whether pairs of texts ask for different things: a part of what they ask is not near its counterpart."""
    import numpy as np

    positions, where = np.unique(np.concatenate([one, other]), return_inverse=True)
    known: dict[Asked, int] = {}
    number = np.array([known.setdefault(asked_by(raw(at)), len(known)) for at in positions.tolist()], dtype=np.int64)
    asked = list(known)
    left, right = number[where[: len(one)]], number[where[len(one) :]]
    codes, which = np.unique(left * len(asked) + right, return_inverse=True)
    differ = [_differ(asked[code // len(asked)], asked[code % len(asked)]) for code in codes.tolist()]
    return np.array(differ, dtype=bool)[which]


def _differ(one: Asked, other: Asked) -> bool:
    from rapidfuzz.distance import Levenshtein

    if not one or not other or one == other:
        return False
    if len(one) != len(other):
        return True
    return any(
        left != right and not USUAL.allows(Levenshtein.distance(left, right), max(len(left), len(right)))
        for left, right in zip(one, other, strict=True)
    )
