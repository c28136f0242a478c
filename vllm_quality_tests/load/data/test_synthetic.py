from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from vllm_quality.datasets.schema import Message
from vllm_quality.load.data.synthetic import Prompt, Synthesizer
from vllm_quality.load.data.tokens import CountTokens
from vllm_quality.load.errors import LoadError
from vllm_quality.load.scenario import SharedPrefix

KV_BLOCK = 16


class Tokenizer:
    """Counts texts as `tokens_of` says, and how often it was asked."""

    def __init__(self, tokens_of: Callable[[list[str]], int]) -> None:
        self._tokens_of, self.asked = tokens_of, 0

    def __call__(self, asked: str | Sequence[Message]) -> int:
        assert isinstance(asked, str)
        self.asked += 1
        return self._tokens_of(asked.split())


def even(words: list[str]) -> int:
    """A template of 20 tokens; a word is one, and a long one two where the text begins with it."""
    return 20 + len(words) + (len(words[0]) > 6)


def uneven(words: list[str]) -> int:
    """A template of 20 tokens; a word takes one for every four letters begun."""
    return 20 + sum(-(-len(word) // 4) for word in words)


def synthesize(
    count: int, tokens: int, seed: str, count_tokens: CountTokens | None = None, shared: SharedPrefix | None = None
) -> list[Prompt]:
    return list(Synthesizer(seed, count_tokens, shared).prompts("stage", [tokens] * count))


def test_the_same_seed_gives_the_same_prompts_and_another_others() -> None:
    assert synthesize(20, 64, "7") == synthesize(20, 64, "7")
    assert synthesize(20, 64, "7") != synthesize(20, 64, "8")


def test_a_prompt_depends_on_its_position_and_not_on_how_many_there_are() -> None:
    assert synthesize(5, 32, "1") == synthesize(50, 32, "1")[:5]


def test_a_prompt_is_pinned() -> None:
    """Another machine or Python must draw it alike."""
    assert synthesize(1, 6, "1")[0] == Prompt("033026bb6967ca66", "top event friend song song work", None)


def test_without_a_tokenizer_a_word_stands_for_a_token() -> None:
    for prompt in synthesize(10, 64, "1"):
        assert len(prompt.text.split()) == 64
        assert prompt.tokens is None


def test_no_two_prompts_begin_alike() -> None:
    """A shared beginning of one KV block would be answered from the prefix cache."""
    prompts = synthesize(2000, 64, "1")
    beginnings = Counter(tuple(prompt.text.split()[:KV_BLOCK]) for prompt in prompts)
    assert max(beginnings.values()) == 1
    assert len({prompt.item for prompt in prompts}) == 2000


@pytest.mark.parametrize("tokens", [28, 64, 512])
@pytest.mark.parametrize("tokens_of", [even, uneven])
def test_lengths_are_exact_where_tokens_are_counted(tokens: int, tokens_of: Callable[[list[str]], int]) -> None:
    for prompt in synthesize(20, tokens, "1", Tokenizer(tokens_of)):
        assert prompt.tokens == tokens_of(prompt.text.split()) == tokens


def test_a_tokenizer_whose_words_are_a_token_each_is_soon_trusted_and_every_length_is_exact() -> None:
    count = Tokenizer(even)
    lengths = [24 + 7 * (index % 90) for index in range(3000)]
    for prompt, tokens in zip(Synthesizer("1", count).prompts("stage", lengths), lengths, strict=True):
        assert prompt.tokens == even(prompt.text.split()) == tokens
    assert count.asked < 600


def test_a_tokenizer_that_breaks_words_up_is_asked_for_each_prompt() -> None:
    count = Tokenizer(uneven)
    for prompt in Synthesizer("1", count).prompts("stage", [80] * 500):
        assert prompt.tokens == uneven(prompt.text.split()) == 80
    assert count.asked >= 500


def test_what_is_trusted_is_what_would_have_been_counted() -> None:
    """So the tape is the same whatever part of it was counted."""
    trusted = list(Synthesizer("1", Tokenizer(even)).prompts("stage", [60] * 600))
    counted = [next(Synthesizer("1", Tokenizer(even)).prompts("stage", [60]))]
    assert trusted[0] == counted[0]
    late = Synthesizer("1", Tokenizer(even))
    assert list(late.prompts("stage", [60] * 600))[500:] == trusted[500:]
    assert all(prompt.tokens == even(prompt.text.split()) for prompt in trusted)


def test_a_length_below_the_templates_own_is_recorded_as_it_is() -> None:
    (prompt,) = synthesize(1, 4, "1", Tokenizer(lambda words: 30 + len(words)))
    assert prompt.tokens == 31


@pytest.mark.parametrize("tokens_of", [None, even, uneven])
def test_prompts_begin_with_one_of_the_shared_prefixes(tokens_of: Callable[[list[str]], int] | None) -> None:
    count = None if tokens_of is None else Tokenizer(tokens_of)
    prompts = synthesize(60, 100, "1", count, SharedPrefix(groups=3, tokens=40))
    beginnings = Counter(" ".join(prompt.text.split()[:16]) for prompt in prompts)
    assert len(beginnings) == 3
    assert len({prompt.text for prompt in prompts}) == 60
    for beginning in beginnings:
        members = [prompt.text.split() for prompt in prompts if prompt.text.startswith(beginning)]
        common = next(at for at in range(100) if len({words[at] for words in members}) > 1)
        prefix = members[0][:common]
        # What the prefix adds to a text is its length, whatever the template takes.
        own = common if tokens_of is None else tokens_of([*prefix, "ice"]) - tokens_of([prefix[0], "ice"]) + 1
        assert own == pytest.approx(40, abs=1)
    for prompt in prompts:
        assert (len(prompt.text.split()) if tokens_of is None else prompt.tokens) == 100


def test_a_prompt_that_cannot_hold_its_prefix_is_one_sentence() -> None:
    with pytest.raises(LoadError, match="A prompt of 50 tokens cannot hold a shared prefix of 40 words"):
        synthesize(1, 50, "1", Tokenizer(even), SharedPrefix(groups=1, tokens=40))
