"""The form in which texts are compared, and the forms that are kept apart from it.

Raw is what a row says. The normal form is what distances are measured on: Unicode's NFKC, case folded, single spaces, nothing
invisible; Hangul typed on a Mac (NFD) and on a PC (NFC) are equal in it. The PII skeleton replaces `<PHONE_k7q2…>` by
`<PHONE>`, so that texts which differ in a pseudonym only are equal. What the normal form hides and a reader would miss
("x²" and "x2", "US" and "us") is the guard's business.
"""

import re
import unicodedata
from collections.abc import Sequence

from vllm_quality.datasets.pii.skeleton import skeleton
from vllm_quality.datasets.schema import Item

NORMALISATION = "NFKC, case folded, single spaces, PII by type / 2"

BEFORE_QUESTION, BEFORE_CHOICE = "\u2029", "\u2028"

# Soft hyphens, zero-width and direction marks, byte order marks, variation selectors: seen by nobody.
# A pattern, since `str.translate` takes ten times as long.
_INVISIBLE = re.compile(r"[\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")


def normal(text: str) -> str:
    """The normal form of a text; that of a normal form is itself."""
    plain = text if text.isascii() else _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    folded = plain.casefold()
    # Case folding can undo NFKC ("ͅ"); a second pass makes the form stable.
    stable = folded if folded.isascii() else unicodedata.normalize("NFKC", folded)
    return " ".join(stable.split())


def comparison_form(text: str) -> str:
    """The normal form of a text, with personal data by type only."""
    return normal(skeleton(text) if "<" in text else text)


def comparison_text(item: Item) -> str:
    """What of an item is compared: the form of its conversation and its choices."""
    return comparison_form(raw_text(item))


def raw_text(item: Item) -> str:
    """All that an item asks, as it was written; see `raw_of`."""
    return raw_of([message.content for message in item.messages], item.choices)


def raw_of(messages: Sequence[str], choices: Sequence[str]) -> str:
    """A conversation and its choices as one text, in which the guard can tell the last message and the choices.

    They begin with Unicode's paragraph and line separator, which are white space and seldom in a text of their own.
    """
    *context, last = [_without_separators(message) for message in messages]
    parts = [*(BEFORE_CHOICE + _without_separators(choice) for choice in choices)]
    if context:
        last = BEFORE_QUESTION + last
    return "\n".join([*context, last]) + "".join(parts)


def _without_separators(text: str) -> str:
    return text.replace(BEFORE_QUESTION, "\n").replace(BEFORE_CHOICE, "\n")


def shown(raw: str) -> str:
    """A text of `raw_of` with plain line ends."""
    return raw.replace(f"\n{BEFORE_QUESTION}", "\n").replace(BEFORE_CHOICE, "\n")
