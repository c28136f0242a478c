"""Sentences with what is to be found in them: `tuned.txt`, which the rules were made with, and `held_out.txt`.

A line is a language, a tab, and a sentence with `⟦KIND|value⟧` around each thing to be found; `\\n` is a line break. `¦` is
left out: it cuts keys apart, so that nobody's scanner takes them for real ones. Nothing here is anybody's: numbers are from
ranges that are reserved or not given out, domains are those of RFC 2606, check digits are computed.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vllm_quality.datasets.pii.kinds import Found

_MARK = re.compile(r"⟦([A-Z_]+)\|([^⟧]*)⟧")
SPLITS = ("tuned", "held_out")


@dataclass(frozen=True)
class Sentence:
    """A sentence and the places of what is to be found in it, in its order."""

    split: str
    language: str
    text: str
    labels: tuple[Found, ...]


@cache
def read_sentences(split: str) -> tuple[Sentence, ...]:
    """The sentences of a split, in the file's order."""
    lines = Path(__file__).with_name(f"{split}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(_sentence(split, *line.split("\t", 1)) for line in lines if line and not line.startswith("#"))


def _sentence(split: str, language: str, marked: str) -> Sentence:
    marked = re.sub(r"\\(n|\\)", lambda found: "\n" if found[1] == "n" else "\\", marked.replace("¦", ""))
    text, labels, at = "", [], 0
    for mark in _MARK.finditer(marked):
        text += marked[at : mark.start()]
        labels.append(Found(mark[1], len(text), len(text) + len(mark[2])))
        text, at = text + mark[2], mark.end()
    return Sentence(split, language, text + marked[at:], tuple(labels))
