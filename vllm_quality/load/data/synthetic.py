"""Synthetic prompts of wanted lengths in tokens, the same for the same seed.

Each prompt is drawn on its own from 256 common words, so that no two begin alike: two prompts of a run share a first KV
block of 16 tokens with a chance below 1e-30, and no prefix cache answers for the model unless shared prefixes are asked
for. (That the same prompts come again in the next run on a server that is still up is the wire's matter, see
`client.Target`.)
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vllm_quality.load.data.tokens import CountTokens
from vllm_quality.load.errors import LoadError
from vllm_quality.load.scenario import SharedPrefix

# One token each, at a text's start and after a space, in the vocabularies of SmolLM2 and of Mistral (both kinds), and in most
# others of today. 256 of them, so that a byte is a word.
_WORDS = tuple(
    """able about above add after again age ago air almost alone along already also always among animal answer arm bad
    ball bank bed before best better big blue board boat body book bottom boy building bus business buy call car care
    center change city clean clock cost course cover cut dark daughter deal deep direct doctor door draw drop each
    early earth end energy even event ever eye face fall family far fast father field fill final fine fish fly food
    foot forest four friend front full girl give glass good grand great green hair hall hard heart heat high history
    hole home horse hot hour ice idea join keep kind know lake land language large last lead learn leave level light
    list listen little live local look low machine main map market middle mind month music name nation near need never
    new next office old once other outside page paper part past pay people person phone picture piece plan plant point
    poor position post power present president problem process product public pull put question rain raise read reason
    red report rest rich right rise river road room rule safe save school seat second section see set share shop sign
    six size small son song soon source south special speed spring stand state step still stock stone stop student
    system table talk ten test text there thing third time top total touch town trade train true try turn type unit
    very war watch way week west white whole win window wood work world write wrong year""".split()  # noqa: SIM905  # 256 quoted words are no easier to read
)
_ADJUSTMENTS = 32  # a byte-pair tokenizer needs one or two; one that takes several tokens for most words, ten
_PLAIN_ADJUSTMENTS = 4  # from then on the last word is drawn anew each time: it may be one that takes two tokens
_ENOUGH = 100  # prompts that agreed on what a word takes, before the next ones are not counted any more


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt. item: its id, told from its text. tokens: what the endpoint's tokenizer counts, None where not asked."""

    item: str
    text: str
    tokens: int | None


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Words without end, of which a prompt takes the first; `prefix` comes before them."""

    seed: str
    prefix: tuple[str, ...] = ()

    @property
    def least(self) -> int:
        """Fewest words that make a prompt of its own."""
        return len(self.prefix) + 1

    @property
    def first(self) -> str:
        return self.prefix[0] if self.prefix else self.words(1)[0]

    def words(self, count: int, variant: int = 0) -> tuple[str, ...]:
        # An extendable hash: the first bytes are the same however many are asked for, on every machine.
        numbers = hashlib.shake_128(self.seed.encode()).digest(count - len(self.prefix))
        drawn = [_WORDS[number] for number in numbers]
        if variant:
            drawn[-1] = _WORDS[(numbers[-1] + 37 * variant) % len(_WORDS)]
        return (*self.prefix, *drawn)


class Sizer:
    """Finds how many words make a wanted length in tokens. One for all prompts of a tape: it learns.

    To the tokenizers in use the words here are a token each, and a prompt is its words and a constant that depends on its
    first word (which has no space before it) and the chat template. Each prompt is counted until a hundred have confirmed
    that to the token, over the lengths that the tape asks for; from then on it is told. One prompt that does not fit it,
    and every prompt is counted.
    """

    def __init__(self, count_tokens: CountTokens | None) -> None:
        self._count = count_tokens
        self._extra: dict[str, int] = {}  # by first word: tokens of a prompt beyond one for each word
        self._latest = 0
        self._confirmed = 0
        self._contradicted = False

    def fit(self, drawn: _Drawn, tokens: int) -> tuple[tuple[str, ...], int | None]:
        """The words, and what they count; the nearest that was found where `tokens` cannot be met."""
        if self._count is None:
            return drawn.words(max(drawn.least, tokens)), None
        extra = self._extra.get(drawn.first)
        wanted = tokens - (self._latest if extra is None else extra)
        if extra is not None and wanted >= drawn.least and self._confirmed >= _ENOUGH and not self._contradicted:
            return drawn.words(wanted), tokens
        return self._measured(self._count, drawn, max(drawn.least, wanted), tokens)

    def beyond_words(self, drawn: _Drawn) -> int:
        """What a text takes beyond its words: special tokens, the template, a first word of several tokens."""
        return 0 if self._count is None else self._count(drawn.first) - 1

    def _measured(
        self, count: CountTokens, drawn: _Drawn, taken: int, tokens: int
    ) -> tuple[tuple[str, ...], int | None]:
        best: tuple[tuple[str, ...], int] | None = None
        for attempt in range(_ADJUSTMENTS):
            words = drawn.words(taken, max(0, attempt - _PLAIN_ADJUSTMENTS))
            counted = count(" ".join(words))
            self._learn(drawn.first, counted - taken)
            if best is None or abs(tokens - counted) < abs(tokens - best[1]):
                best = words, counted
            off = tokens - counted
            if off == 0 or (off < 0 and taken == drawn.least):
                break
            change = min(tokens, max(1, abs(off) * taken // max(1, counted)))
            taken = taken + change if off > 0 else max(drawn.least, taken - change)
        assert best is not None  # noqa: S101  # there is a first attempt
        return best

    def _learn(self, first: str, extra: int) -> None:
        known = self._extra.setdefault(first, extra)
        self._latest = extra
        self._confirmed += known == extra
        self._contradicted |= known != extra


class Synthesizer:
    """The prompts of one tape. Raises `LoadError` where a prompt cannot hold its shared prefix."""

    def __init__(self, seed: str, count_tokens: CountTokens | None, shared: SharedPrefix | None = None) -> None:
        self._seed, self._sizer, self._shared = seed, Sizer(count_tokens), shared
        self._prefixes: dict[int, tuple[str, ...]] = {}

    def prompts(self, part: str, lengths: Iterable[int]) -> Iterator[Prompt]:
        """Distinct prompts of these lengths in tokens; in words where nothing counts tokens.

        The words of the prompt at a position depend on seed, part and position only. Where the length cannot be met
        exactly (it is below what the chat template alone takes, say), the nearest one found is used and recorded.
        """
        for index, tokens in enumerate(lengths):
            seed = f"{self._seed}/{part}/{index}"
            prefix = self._prefix(seed) if self._shared is not None else ()
            words, counted = self._sizer.fit(_Drawn(seed, prefix), tokens)
            if prefix and (len(words) if counted is None else counted) > tokens:
                raise LoadError(
                    f"A prompt of {tokens} tokens cannot hold a shared prefix of {len(prefix)} words, the tokens that the "
                    "model's template adds, and a word of its own; make the prompts longer or the prefix shorter."
                )
            text = " ".join(words)
            yield Prompt(hashlib.sha256(text.encode()).hexdigest()[:16], text, counted)

    def _prefix(self, prompt_seed: str) -> tuple[str, ...]:
        assert self._shared is not None  # noqa: S101  # asked for only with shared prefixes
        drawn = int.from_bytes(hashlib.sha256(f"{prompt_seed}/group".encode()).digest()[:8], "little")
        group = drawn % self._shared.groups
        if group not in self._prefixes:
            words = _Drawn(f"{self._seed}/(prefix)/{group}")
            self._prefixes[group], _ = self._sizer.fit(words, self._shared.tokens + self._sizer.beyond_words(words))
        return self._prefixes[group]
