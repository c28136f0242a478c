"""Do two sentences differ in tokens that carry meaning, and in nothing else?"""

from collections.abc import Iterator, Sequence

from vllm_quality.datasets.dedup.guard.meaning_words import LIGHT
from vllm_quality.datasets.dedup.guard.tokens import Kind, Token

_SHARED = 3  # letters that two forms of a Latin word begin with; of a Korean one, its first syllable

_SHORT_TEXT = 40  # tokens; in a longer one a single word seldom makes another question
_THERE_IS = "있"  # that of which 없 is the negation


def differs_in_meaning_only(one: Sequence[Token], other: Sequence[Token]) -> bool:
    """Whether every place where two texts differ holds, besides tokens that carry meaning, only endings and light words.

    "He does not like it" and "He likes it" do; of "What is 98 plus 45?" and "Tell me 98 plus 46" it is not said.
    """
    return all(_same_words(left, right) for left, right in _changes(one, other))


def puts_another_word(one: Sequence[Token], other: Sequence[Token]) -> bool:
    """Whether somewhere another word stands in a short text: an egg that is boiled, and a towel. Misspellings and words that
    one of the two has more do not count."""
    if max(len(one), len(other)) > _SHORT_TEXT:
        return False
    return any(_unlike(*map(_said, change)) for change in _changes(one, other))


def _said(tokens: Sequence[Token]) -> str:
    return "".join(token.value for token in tokens if token.kind == Kind.WORD)


def _unlike(one: str, other: str) -> bool:
    from rapidfuzz.distance import Levenshtein

    longer = max(len(one), len(other))
    return bool(one and other) and 2 * Levenshtein.distance(one, other) > longer


def _changes(one: Sequence[Token], other: Sequence[Token]) -> Iterator[tuple[list[Token], list[Token]]]:
    """The runs in which two texts differ: what each has there."""
    from rapidfuzz.distance import Levenshtein

    keys = [[(token.kind, token.value) for token in tokens] for tokens in (one, other)]
    left: list[Token] = []
    right: list[Token] = []
    for code in Levenshtein.opcodes(*keys):
        if code.tag != "equal":
            left += one[code.src_start : code.src_end]
            right += other[code.dest_start : code.dest_end]
        elif left or right:
            yield left, right
            left, right = [], []
    if left or right:
        yield left, right


def _same_words(one: Sequence[Token], other: Sequence[Token]) -> bool:
    left, right = _heavy(one), _heavy(other)
    return len(left) == len(right) and all(map(_same_stem, left, right))


def _heavy(tokens: Sequence[Token]) -> list[str]:
    words = [token.value for token in tokens if token.kind == Kind.WORD]
    return [word for word in words if word not in LIGHT and not word.startswith(_THERE_IS)]


def _same_stem(one: str, other: str) -> bool:
    if "가" <= one[:1] <= "힣":
        return _open_syllable(one) == _open_syllable(other)
    return one == other or (len(one) >= _SHARED and one[:_SHARED] == other[:_SHARED])


def _open_syllable(word: str) -> int:
    """A Korean word's first syllable without its last consonant: 가지 and 갔다 are forms of one verb."""
    return (ord(word[0]) - 0xAC00) // 28
