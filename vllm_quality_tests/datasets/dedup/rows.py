"""Corpora made by hand, for the tests of this folder, and the truth about them by brute force."""

import random
from collections.abc import Sequence
from typing import Any

from vllm_quality.datasets.dedup.corpus import Corpus
from vllm_quality.datasets.dedup.normal import comparison_form
from vllm_quality.datasets.dedup.threshold import USUAL, Threshold

Row = tuple[str, str, str]  # set, id, text

_WORDS = (
    "river stone bridge window garden letter engine planet market people cloud house school teacher music 서울 학교 바다 나무 "
    "구름 이야기 사람 하늘 마음"
)
WORDS = _WORDS.split()


def corpus_of(rows: Sequence[Row], **columns: Any) -> Corpus:
    """Rows as a corpus."""
    return Corpus(
        ids=[name for _, name, _ in rows],
        datasets=[dataset for dataset, _, _ in rows],
        raw=[text for _, _, text in rows],
        texts=[comparison_form(text) for _, _, text in rows],
        **columns,
    )


def one_set(texts: Sequence[str], dataset: str = "a") -> Corpus:
    """Texts as a corpus of one set; ids are their numbers."""
    return corpus_of([(dataset, f"{at:04}", text) for at, text in enumerate(texts)])


def edits(one: str, other: str) -> int:
    """Levenshtein distance."""
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(one, other)


def is_near(one: str, other: str, threshold: Threshold = USUAL) -> bool:
    """Whether two normal forms are near, or equal."""
    return one == other or threshold.allows(edits(one, other), max(len(one), len(other)))


def edited(text: str, share: float, draw: random.Random) -> str:
    """A text with a share of its characters substituted, inserted or removed; no digits, no whole words."""
    letters = list(text)
    for _ in range(int(len(text) * share)):
        at = draw.randrange(len(letters))
        letters[at : at + 1] = draw.choice(["", "z", "가", letters[at] + "y"])
    return "".join(letters)


def families(count: int, seed: int, words: tuple[int, int] = (4, 14)) -> list[str]:
    """Texts of which many are edits of another one."""
    draw = random.Random(seed)
    texts: list[str] = []
    while len(texts) < count:
        text = " ".join(draw.choices(WORDS, k=draw.randint(*words)))
        texts += [text, *(edited(text, draw.choice([0.02, 0.1, 0.15, 0.25]), draw) for _ in range(draw.randrange(3)))]
    return texts[:count]
