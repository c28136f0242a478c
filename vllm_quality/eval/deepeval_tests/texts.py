"""How answers are compared as texts: one normal form, and what counts as mentioning a phrase, in Korean too."""

import re
import unicodedata


def normal(text: str) -> str:
    """Lower case, one width, no punctuation, single spaces; digits keep the point between them and lose the comma."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = re.sub(r"(?<=\d),(?=\d{3})", "", folded)
    kept = re.sub(r"(?<!\d)[.]|[.](?!\d)|[^\w\s.]|_", " ", folded)
    return " ".join(kept.split())


def is_hangul(letter: str) -> bool:
    """Whether a character is a Hangul syllable or letter."""
    return "가" <= letter <= "힣" or "ᄀ" <= letter <= "ᇿ" or "㄰" <= letter <= "㆏"


def position_of(phrase: str, text: str) -> int | None:
    """Where a text mentions a phrase as words of its own (both in normal form), or None.

    Korean puts particles right behind a word, so Hangul may follow anything ("서울은", "42입니다"); before a word it is
    another word ("북서울" does not mention "서울").
    """
    start = text.find(phrase) if phrase else -1
    while start >= 0:
        before, after = text[start - 1 : start], text[start + len(phrase) : start + len(phrase) + 1]
        # In normal form a point stands only within a number: "3.5" does not mention "5".
        grown_left = before == "." or (before.isalnum() and is_hangul(before) == is_hangul(phrase[0]))
        grown_right = after == "." or (after.isalnum() and not is_hangul(after) and not is_hangul(phrase[-1]))
        if not grown_left and not grown_right:
            return start
        start = text.find(phrase, start + 1)
    return None
