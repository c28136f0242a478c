"""The readings of many texts as columns of hashes, so that millions of pairs are compared by whole arrays."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vllm_quality.datasets.dedup.guard.meaning import Reading, plain_form, read_meaning
from vllm_quality.datasets.dedup.guard.meaning_words import LIGHT
from vllm_quality.datasets.dedup.guard.tokens import Kind, Token

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SEQUENCES = {
    "numbers": Kind.NUMBER,
    "negations": Kind.NEGATION,
    "operators": Kind.OPERATOR,
    "options": Kind.OPTION,
    "units": Kind.UNIT,
    "moments": Kind.MOMENT,
}
_MULTIPLIER = 0x9E3779B97F4A7C15


@dataclass(frozen=True, eq=False)
class Readings:
    """Readings by position.

    hashes      name of a column -> what is equal for two texts where they agree in it
    vocabulary  the different tokens; `numbers` has them for each text
    """

    hashes: "dict[str, NDArray[np.uint64]]"
    vocabulary: Sequence[Token]
    numbers: Sequence["array[int]"]

    def differences(self, one: "NDArray[np.int64]", other: "NDArray[np.int64]") -> "NDArray[np.int32]":
        """The kinds in which each pair differs, as bits."""
        import numpy as np

        differ = {name: column[one] != column[other] for name, column in self.hashes.items()}
        # In Korean the particle says who does what: 영희를 철수가 is 철수가 영희를, but not 영희가 철수를.
        moved = ~differ["words in any order"] & ~differ["without particle"]
        reworded = ~differ["stems"] & differ["particles in any order"]
        found = {
            **{kind: differ[name] for name, kind in _SEQUENCES.items()},
            Kind.OPPOSITE: ~differ["classes"] & differ["sides"],
            Kind.ORDER: ~differ["stems in any order"] & differ["words"] & ~moved & ~reworded,
            Kind.CASE: (~differ["acronyms"] & differ["acronyms' case"]) | (~differ["proper"] & differ["proper's case"]),
            Kind.NAME: ~differ["count of names"] & differ["names"],
        }
        bits = np.zeros(len(one), dtype=np.int32)
        for kind, where in found.items():
            bits[where] |= kind
        return bits

    def same_wording(self, one: "NDArray[np.int64]", other: "NDArray[np.int64]") -> "NDArray[np.bool_]":
        """Whether pairs are equal but for the tokens that carry meaning."""
        column = self.hashes["wording"]
        same: NDArray[np.bool_] = column[one] == column[other]
        return same

    def tokens(self, at: int) -> list[Token]:
        """The tokens of one text."""
        return [self.vocabulary[number] for number in self.numbers[at]]


def read_all(raw: Iterable[str]) -> Readings:
    """Read texts as they were written."""
    import numpy as np

    known: dict[Token, int] = {}
    numbers = []
    marks: list[tuple[int, ...]] = []
    for text in raw:
        reading = read_meaning(plain_form(text))
        numbers.append(array("i", [known.setdefault(token, len(known)) for token in reading.tokens]))
        marks.append(_marks(reading))
    vocabulary = list(known)
    columns = dict(zip(_MARKS, np.array(marks, dtype=np.int64).reshape(-1, len(_MARKS)).T.view(np.uint64), strict=True))
    return Readings(columns | _token_hashes(vocabulary, numbers), vocabulary, numbers)


_MARKS = ("acronyms", "acronyms' case", "proper", "proper's case", "count of names", "names")


def _marks(reading: Reading) -> tuple[int, ...]:
    """How a text is written, by hashes that hold within this process; what is not known is like nothing else."""
    marked = (reading.acronyms, reading.proper)
    pairs = [
        (0, 0) if each is None else (hash(tuple(w for w, _ in each)), hash(tuple(m for _, m in each)))
        for each in marked
    ]
    return *pairs[0], *pairs[1], len(reading.names), hash(reading.names)


def _token_hashes(vocabulary: Sequence[Token], numbers: Sequence["array[int]"]) -> "dict[str, NDArray[np.uint64]]":
    import numpy as np

    tokens = np.frombuffer(b"".join(each.tobytes() for each in numbers), dtype=np.intc)
    bounds = np.cumsum([0, *map(len, numbers)])

    def column(said: Callable[[Token], object], *, ordered: bool = True) -> "NDArray[np.uint64]":
        """A hash per text of what its tokens say; None is left out."""
        values = _values([said(token) for token in vocabulary])[tokens]
        inside = np.flatnonzero(values)
        values = values[inside]
        starts = np.searchsorted(inside, bounds)
        if ordered:
            # A token's number within its text, among those that are in.
            place = np.arange(1, len(inside) + 1) - np.repeat(starts[:-1], np.diff(starts))
            values = _mixed(values + place.astype(np.uint64) * np.uint64(_MULTIPLIER))
        total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
        sums: NDArray[np.uint64] = total[starts[1:]] - total[starts[:-1]]
        return sums

    def side(part: int) -> Callable[[Token], object]:
        return lambda token: token.value.split("/")[part] if token.kind == Kind.OPPOSITE else None

    stem: Callable[[Token], object] = lambda token: token[:2]  # noqa: E731
    return {
        "wording": column(_worded),
        **{name: column(_of_kind(kind)) for name, kind in _SEQUENCES.items()},
        "classes": column(side(0)),
        "sides": column(side(1)),
        "stems": column(stem),
        "stems in any order": column(stem, ordered=False),
        "words": column(tuple),
        "words in any order": column(tuple, ordered=False),
        "particles in any order": column(lambda token: token.particle or None, ordered=False),
        "without particle": column(lambda token: None if token.particle else token.value),
    }


def _of_kind(kind: int) -> Callable[[Token], object]:
    return lambda token: token.value if token.kind == kind else None


def _worded(token: Token) -> object:
    """A word, or the kind of a token that carries meaning; of an opposite its class. Negations and light words have no weight."""
    if token.kind == Kind.NEGATION or (token.kind == Kind.WORD and token.value in LIGHT):
        return None
    if token.kind == Kind.OPPOSITE:
        return "class", token.value.split("/")[0]
    return token.value if token.kind == Kind.WORD else token.kind


def _values(said: Sequence[object]) -> "NDArray[np.uint64]":
    """A random number for each different thing that is said; 0 for None."""
    import numpy as np

    known: dict[object, int] = {}
    places = [0 if each is None else known.setdefault(each, len(known) + 1) for each in said]
    numbers = np.array(places, dtype=np.uint64)
    return np.where(numbers == 0, np.uint64(0), _mixed(numbers * np.uint64(_MULTIPLIER)) | np.uint64(1))


def _mixed(values: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """SplitMix64's finaliser (Steele, Lea and Flood 2014)."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
