"""Korean words as tokens: numbers, negations and opposites in them, stem and particle apart."""

import re
from functools import lru_cache

from vllm_quality.datasets.dedup.guard import meaning_words as words
from vllm_quality.datasets.dedup.guard.opposites import LONGEST_START, OPPOSITE_STARTS, OPPOSITES
from vllm_quality.datasets.dedup.guard.tokens import Kind, Token

_KOREAN_COUNT = re.compile(
    rf"({'|'.join(sorted(words.KOREAN_COUNTED, key=len, reverse=True))})"
    "(?:개|명|번째|살|시간|시|가지|마리|권|대|장|잔|병|배|달|곳|군데|사람|쌍|판|채|그루|켤레|봉지)"
)
_SINO = re.compile(
    "(?:[일이삼사오육칠팔구]?[십백천만억조])*[일이삼사오육칠팔구]?"
    "(?=학년|개월|퍼센트|번째|호선|시간|인분|학기|단계|세기|층|월|원|년|분|점|배|명|$)"
)
_NEGATION_IN = re.compile(
    "|".join(f"(?:{start})" for start in ("않", "없", "아니", "아닌", "못하", "못한", "못해", "지마세요", "지말"))
)


@lru_cache(maxsize=200_000)
def korean_word(word: str) -> tuple[Token, ...]:
    """What a run of Hangul says; sometimes more than one thing."""
    if word in words.KOREAN_NEGATIONS or word.startswith(words.KOREAN_NEGATION_STARTS):
        return (Token(Kind.NEGATION, word[:1]),)
    if (negation := _NEGATION_IN.search(word)) and negation.start() > 0:
        return Token(Kind.WORD, word[: negation.start()]), Token(Kind.NEGATION, word[negation.start()])
    if counted := _KOREAN_COUNT.match(word):
        return Token(Kind.NUMBER, words.KOREAN_COUNTED[counted[1]]), Token(Kind.WORD, word[counted.end(1) :])
    stem, particle = _split(word)
    if stem in words.KOREAN_NUMBERS:
        return (Token(Kind.NUMBER, words.KOREAN_NUMBERS[stem], particle),)
    sino = _SINO.match(word) or _SINO.match(stem)
    if sino and sino.group() and _is_sino_number(sino.group(), word):
        rest = word[sino.end() :]
        return Token(Kind.NUMBER, sino.group()), *((Token(Kind.WORD, rest),) if rest else ())
    if stem in words.OPERATOR_WORDS:
        return (Token(Kind.OPERATOR, words.OPERATOR_WORDS[stem], particle),)
    if stem in OPPOSITES:
        return (Token(Kind.OPPOSITE, "/".join(OPPOSITES[stem]), particle),)
    for length in range(min(LONGEST_START, len(word)), 0, -1):
        if (side := OPPOSITE_STARTS.get(word[:length])) is not None:
            return (Token(Kind.OPPOSITE, "/".join(side), _split(word)[1]),)
    return (Token(Kind.WORD, stem, particle),)


def _split(word: str) -> tuple[str, str]:
    """A Korean word's stem and its particle, by the particle's kind."""
    for particle in words.PARTICLES:
        if word.endswith(particle) and len(word) > len(particle):
            return word[: -len(particle)], words.SAME_PARTICLE.get(particle, particle)
    return word, ""


def _is_sino_number(digits: str, word: str) -> bool:
    """이십, 삼백오, 이층; not 천사 (an angel) nor 이 (this)."""
    if digits in words.NOT_NUMBERS:
        return False
    if len(digits) >= 2:
        return any(unit in digits for unit in "십백천만억")
    rest = word[1:]
    return rest.startswith(("학년", "개월", "퍼센트", "번째", "호선", "인분", "학기", "단계", "세기", "층")) or (
        rest[:1] == "월" and _split(rest)[0] == "월"
    )
