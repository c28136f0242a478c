"""Texts with one form of each digit, letter, dash and space, so that a rule is written once: places stay what they are."""

import re

_DASHES = "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_SPACES = "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_MASKS = "\u00d7\u2022\u25cf\u25cb\u25ef\u3007\u2217\u2731\u203b"

_FORMS = (
    {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # full-width ASCII
    | {ord(dash): ord("-") for dash in _DASHES}
    | {ord(space): ord(" ") for space in _SPACES}
    | {ord(mask): ord("*") for mask in _MASKS}
)
_FOLDED = re.compile(f"[\uff01-\uff5e{_DASHES}{_SPACES}{_MASKS}]")


def fold(text: str) -> str:
    """The text, of the same length, as the rules expect it."""
    return text if text.isascii() or _FOLDED.search(text) is None else text.translate(_FORMS)
