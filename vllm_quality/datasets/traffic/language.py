"""Which language a text is in, told by its script and, in Latin script, by its commonest words.

Good enough to see the mix of languages change; not to sort single texts. A language model would weigh 100 MB and more.
"""

import re
from collections import Counter, defaultdict

_READ = 4_000  # characters: the beginning says it
_NOT_PROSE = re.compile(r"<[A-Z_]+(?:_[a-z2-7]+)?>|https?://\S+|```.*?(?:```|\Z)", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+")

# First and last code point, the script, and how many Latin letters one character is worth: a Hangul syllable has two or three.
_SCRIPTS = (
    (0xAC00, 0xD7A3, "ko", 2.5),
    (0x1100, 0x11FF, "ko", 1.0),
    (0x3130, 0x318F, "ko", 1.0),
    (0x3041, 0x30FF, "ja", 2.0),
    (0x3400, 0x9FFF, "zh", 3.0),
    (0x0400, 0x052F, "ru", 1.0),
    (0x0600, 0x06FF, "ar", 1.0),
    (0x0900, 0x097F, "hi", 1.0),
    (0x0E00, 0x0E7F, "th", 1.0),
    (0x0370, 0x03FF, "el", 1.0),
    (0x0590, 0x05FF, "he", 1.0),
)
_LATIN = "und-Latn"
# A question in another script is one in that language, though it quotes four times as much English or code.
_ENOUGH = 0.2

_WORDS = {
    "en": "the of and to in is that it for you with on are this what how can my from have not be was do does which why",
    "de": "der die das und ist nicht ein eine zu mit auf wie was ich sie für den von dem auch wird kann sind im",
    "fr": "le la les des est et une dans que qui pour pas comment vous je sur avec du ce sont au mon plus",
    "es": "el los las una que por para con cómo qué es del se mi como más pero su está son y al",
    "pt": "os uma que para com não como por é do da em no na meu mais são você o um se",
    "it": "il che di per non una come con è del della sono mi gli nel più questo un si lo",
    "vi": "là của và có không được cho những này một các tôi với như thế nào người trong để",
    "id": "yang dan di untuk dengan ini itu tidak dari apa bagaimana saya pada adalah ke bisa akan",
}
_LANGUAGES: dict[str, list[str]] = {}
for _language, _words in _WORDS.items():
    for _common in _words.split():
        _LANGUAGES.setdefault(_common, []).append(_language)


def language_of(text: str) -> str:
    """A text's language as BCP 47 has it: "ko", "en", …; "und-Latn" in an unknown one, "und" where nothing is written."""
    words = [word.lower() for word in _WORD.findall(_NOT_PROSE.sub(" ", text[:_READ]))]
    weights = _weights("".join(words))
    total = sum(weights.values())
    if not total:
        return "und"
    if weights["ja"] and weights["ja"] >= 0.1 * (weights["ja"] + weights["zh"]):
        weights["ja"] += weights.pop("zh", 0.0)  # Japanese is written with both
    other = max((script for script in weights if script != _LATIN), key=lambda script: weights[script], default=_LATIN)
    return other if other != _LATIN and weights[other] >= _ENOUGH * total else _of_latin(words)


def _weights(letters: str) -> defaultdict[str, float]:
    weights: defaultdict[str, float] = defaultdict(float)
    for letter, count in Counter(letters).items():
        point = ord(letter)
        if point < 0x250 or 0x1E00 <= point <= 0x1EFF:
            weights[_LATIN] += count
            continue
        for first, last, script, weight in _SCRIPTS:
            if first <= point <= last:
                weights[script] += weight * count
                break
    return weights


def _of_latin(words: list[str]) -> str:
    hits = Counter(language for word in words for language in _LANGUAGES.get(word, ()))
    if not hits:
        return _LATIN
    most = max(hits.values())
    return next(language for language in _WORDS if hits[language] == most)
