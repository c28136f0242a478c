"""A text as tokens that know what they mean: numbers, negations, operators, options, units, opposites, and other words.

Numbers are read by value ("two", "2", "둘", "②"), Korean words without their particles; punctuation and white space are left out.
Read from the text as it was written, so that what the normal form hides (x², US) is seen.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from vllm_quality.datasets.dedup.guard import meaning_words as words
from vllm_quality.datasets.dedup.guard.korean import korean_word
from vllm_quality.datasets.dedup.guard.operators import operator_at
from vllm_quality.datasets.dedup.guard.opposites import OPPOSITES
from vllm_quality.datasets.dedup.guard.token_patterns import TOKEN
from vllm_quality.datasets.dedup.guard.tokens import Kind, Token
from vllm_quality.datasets.pii.skeleton import skeleton


@dataclass(frozen=True, slots=True)
class Reading:
    """A text's tokens, and how it is written.

    acronyms  of the words that are others in capitals, in order: whether they are in capitals; unknown (None) in all capitals
    proper    the same for words that are names with a capital, and single letters; unknown in texts without or all in capitals
    names     words with a capital that do not begin a sentence
    """

    tokens: tuple[Token, ...]
    acronyms: tuple[tuple[str, bool], ...] | None
    proper: tuple[tuple[str, bool], ...] | None
    names: tuple[str, ...]


_RAISED = re.compile(r"[⁰¹²³⁴-⁹⁺⁻ⁿ]+")
_LOWERED = re.compile(r"(?<=\d)[₀-₉]+|[₀-₉]+(?=\d)")
_FRACTION = re.compile(r"[¼-¾⅐-⅞]")
_CIRCLED = re.compile(r"[㉠-㉻ⓐ-ⓩⒶ-Ⓩ]")
_CASED = words.ACRONYMS | words.PROPER
_NUMERO = re.compile(r"No\.? ?\d|no\. ?\d")
_ROMAN_ONE = re.compile(r"[\w,] [A-Z][a-z]+ I\Z")  # World War I, but not: May I
_OTHER_LETTER = re.compile(r"\b[B-HJ-Z]\b")  # beside which A is one of them, too


def plain_form(text: str) -> str:
    """A text as written, but for what never matters: how characters are composed, white space, whom a pseudonym stands for."""
    plain = skeleton(text) if "<" in text else text
    composed = plain if plain.isascii() else unicodedata.normalize("NFC", plain)
    lines = (" ".join(line.split()) for line in composed.splitlines())
    return "\n".join(line for line in lines if line)


def read_meaning(plain: str) -> Reading:
    """The tokens of a text in its `plain_form`."""
    text = plain if plain.isascii() else _unfolded(plain)
    shouted, lower = text.isupper(), text.islower()
    tokens: list[Token] = []
    acronyms: list[tuple[str, bool]] = []
    proper: list[tuple[str, bool]] = []
    names: list[str] = []
    for found in TOKEN.finditer(text):
        group, word = found.lastgroup, found.group()
        if group == "latin" and word.islower() and len(word) > 1 and word not in _CASED and word != "no":
            tokens += _latin_word(word)
        elif group in ("number", "unit"):
            tokens.append(Token(Kind.NUMBER, found["number"].replace(",", "")))
            if group == "unit":
                tokens.append(Token(Kind.UNIT, _unit(found["unit"])))
        elif group == "latin":
            begins = _begins_sentence(text, found.start())
            folded = word.casefold()
            if folded in words.ACRONYMS:
                acronyms.append((folded, word.isupper()))
            if folded in words.PROPER or (len(word) == 1 and folded not in "ai"):
                proper.append((folded, word[0].isupper() and not (begins and len(word) > 1)))
            if word[0].isupper() and not begins and not shouted and len(word) > 1:
                names.append(folded)
            if folded == "no" and _NUMERO.match(text, found.start()):
                tokens.append(Token(Kind.WORD, folded))
            else:
                tokens += _letter(text, found) if len(word) == 1 else _latin_word(folded)
        elif group == "hangul":
            tokens += _hangul_option(text, found) or korean_word(word)
        elif group == "operator":
            if (operator := operator_at(text, found.start(), word)) is not None:
                tokens.append(Token(Kind.OPERATOR, operator))
        else:
            tokens.append(_sign(str(group), word))
    return Reading(
        tuple(tokens),
        None if shouted else tuple(acronyms),
        None if shouted or lower else tuple(proper),
        tuple(names),
    )


def _unfolded(text: str) -> str:
    """NFKC, but for what it would hide: exponents, fractions behind a number, indices beside digits, circled letters."""
    text = _RAISED.sub(lambda found: "^" + unicodedata.normalize("NFKC", found.group()), text)
    text = _LOWERED.sub(lambda found: f" _ {unicodedata.normalize('NFKC', found.group())} ", text)
    text = _FRACTION.sub(lambda found: f" {unicodedata.normalize('NFKC', found.group())}", text)
    text = _CIRCLED.sub(lambda found: f"({unicodedata.normalize('NFKC', found.group())})", text)
    return unicodedata.normalize("NFKC", text)


def _begins_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - 3) : start].rstrip(" \"'“‘([*#-")
    return not before or before[-1] in ".!?:;。\n"


def _sign(group: str, word: str) -> Token:
    if group == "moment":
        return Token(Kind.MOMENT, re.sub(r"[\s,./:년월-]+", "-", word.casefold()).strip("-일"))
    if group == "currency":
        return Token(Kind.UNIT, word)
    if group == "jamo" or (group == "other" and len(word) == 1):
        return Token(Kind.OPTION, word)
    if group == "han":
        if word in words.HAN_NUMBERS:
            return Token(Kind.NUMBER, words.HAN_NUMBERS[word])
        return Token(Kind.NEGATION if word in words.HAN_NEGATIONS else Kind.WORD, word)
    if group == "kana" and any(negation in word for negation in words.KANA_NEGATIONS):
        return Token(Kind.NEGATION, word)
    return Token(Kind.WORD, word.casefold())


def _unit(unit: str) -> str:
    folded = unit.casefold()
    return unit if folded in words.CASED_UNITS else folded


def _letter(text: str, found: "re.Match[str]") -> list[Token]:
    """A single letter: an option or a variable, unless it is the article or the pronoun."""
    letter, after = found.group(), text[found.end() : found.end() + 2]
    listed = after[:1] == ")"
    joined = after[:1] == "-" and after[1:].isalpha()  # e-mail, T-shirt
    if letter == "I" and _ROMAN_ONE.search(text, max(0, found.start() - 20), found.end()):
        return [Token(Kind.NUMBER, "i")]
    if joined or (not listed and letter in "iIa"):
        return [Token(Kind.WORD, letter.casefold())]
    if letter == "A" and after[:1] == " " and not _OTHER_LETTER.search(text):
        return [Token(Kind.WORD, "a")]
    return [Token(Kind.OPTION, letter.casefold())]


def _hangul_option(text: str, found: "re.Match[str]") -> list[Token]:
    """가. 나) (다): one syllable that stands for an answer; 갑, 을, 병 for a person."""
    word = found.group()
    if (
        len(word) == 1
        and word in "가나다라마바사아자차카타파하"
        and text[found.end() : found.end() + 1] in tuple(").:")
    ):
        return [Token(Kind.OPTION, word)]
    return []


@lru_cache(maxsize=100_000)
def _latin_word(word: str) -> tuple[Token, ...]:
    base, apostrophe, tail = word.replace("’", "'").partition("'")
    if tail == "t" and base.endswith("n"):
        stem = base[:-1]
        return *_latin_word(words.NEGATED_STEMS.get(stem, stem)), Token(Kind.NEGATION, "not")
    if word in words.CONTRACTED:
        return *_latin_word(words.CONTRACTED[word]), Token(Kind.NEGATION, "not")
    if base in words.ENGLISH_NEGATIONS:
        return (Token(Kind.NEGATION, base),)
    if base in words.ENGLISH_NUMBERS:
        return (Token(Kind.NUMBER, words.ENGLISH_NUMBERS[base]),)
    if base in words.OPERATOR_WORDS:
        return (Token(Kind.OPERATOR, words.OPERATOR_WORDS[base]),)
    if base in words.UNIT_WORDS:
        return (Token(Kind.UNIT, words.UNIT_WORDS[base]),)
    if base in OPPOSITES:
        return (Token(Kind.OPPOSITE, "/".join(OPPOSITES[base])),)
    if len(base) > 1 and set(base) <= set("ivx") and not apostrophe and base not in ("mix", "ix"):
        return (Token(Kind.NUMBER, base),)
    return (Token(Kind.WORD, word),)
