"""How texts become tokens where similarity is counted in words.

Latin and other spaced scripts: lowercase runs of letters and digits, as ROUGE's own tokenizer. Korean, Chinese and Japanese:
each syllable or character. Korean words carry their particles (사과는, 사과가), so whole words would hardly ever be equal.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_ALONE = "\u1100-\u11ff\u3040-\u30ff\u3131-\u318e\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_ALONE}]|(?:(?![{_ALONE}])[^\W_])+")
_CHARACTER = re.compile(rf"([{_ALONE}])")

Ngrams = Counter[tuple[str, ...]]


def tokens(text: str) -> list[str]:
    """The tokens of a text, without case and punctuation."""
    return _TOKEN.findall(unicodedata.normalize("NFC", text).lower())


def spaced(text: str) -> str:
    """The text with a space around each Korean, Chinese or Japanese character, for tokenizers that go by spaces."""
    return _CHARACTER.sub(r" \1 ", unicodedata.normalize("NFC", text))


def ngrams(words: Sequence[str], size: int) -> Ngrams:
    """How often each run of `size` tokens occurs."""
    return Counter(tuple(words[at : at + size]) for at in range(len(words) - size + 1))
