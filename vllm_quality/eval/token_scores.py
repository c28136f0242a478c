"""Token-exact loglikelihood of a text on a server that tokenizes and echoes logprobs (vLLM).

The server tokenizes (with the BOS it would add itself), the prompt goes back as token ids, and the border between context
and continuation is the common prefix of both id lists. Character offsets would not do: BOS and Hangul syllables that are
split over tokens shift them (vLLM issue 5334).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_quality.eval.client import ModelClient, in_order
from vllm_quality.serving.endpoint import Endpoint

BATCH = 8  # prompts per request; what shares a context goes together
_DEFAULT_LENGTH = 2048  # lm-eval's own assumption where a server does not tell
_MOST_CONTEXTS = 256  # kept as ids: items that follow each other often share one
_PROBES = ("a", "b")  # what two texts without a common letter share at their start is what the server puts there


@dataclass(frozen=True)
class TokenScore:
    """The loglikelihood of a continuation: sum over its tokens, natural logarithm.

    is_greedy   every token of it is the most likely one
    tokens      length of what was sent, context and continuation
    shortened   the context did not fit and lost its beginning
    """

    loglikelihood: float
    is_greedy: bool
    tokens: int
    shortened: bool


@dataclass(frozen=True)
class Tokenized:
    """Continuations of one context as the server's token ids, ready to be scored.

    prompts    context and continuation, each
    borders    how many ids of each prompt are context
    shortened  whether the context lost its beginning
    """

    prompts: Sequence[Sequence[int]]
    borders: Sequence[int]
    shortened: Sequence[bool]


def split(context: str, continuation: str) -> tuple[str, str]:
    """Move the context's trailing whitespace to the continuation, where tokenizers want it (as lm-eval does)."""
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many items both begin with."""
    shorter = min(len(first), len(second))
    return next((index for index in range(shorter) if first[index] != second[index]), shorter)


class TokenScorer:
    """Scores continuations on one endpoint. A token without a logprob (the very first, without BOS) counts nothing.

    tokenizing  the client for /tokenize, which is no work for the model; the same one where left out
    """

    def __init__(self, client: ModelClient, endpoint: Endpoint, tokenizing: ModelClient | None = None) -> None:
        self._client = client
        self._tokenizing = tokenizing or client
        self._model = endpoint.model
        self._room = (endpoint.max_model_len or _DEFAULT_LENGTH) - 1  # the server wants to write one token
        self._contexts: dict[str, list[int]] = {}

    async def score(self, context: str, continuations: Sequence[str]) -> list[TokenScore]:
        """The scores of at most `BATCH` continuations of one context (both as `split` gives them).

        Raises `RequestFailedError`, `EndpointError`.
        """
        return await self.score_ids(await self.tokenize(context, continuations))

    async def tokenize(self, context: str, continuations: Sequence[str]) -> Tokenized:
        """The continuations as ids, all texts asked for side by side. Raises `RequestFailedError`, `EndpointError`."""
        texts = [context + continuation for continuation in continuations]
        new = [context] if context and context not in self._contexts else []
        found = await in_order([*new, *texts], self._tokenize, workers=len(new) + len(texts))
        if new:
            if len(self._contexts) >= _MOST_CONTEXTS:
                del self._contexts[next(iter(self._contexts))]
            self._contexts[context] = found.pop(0)
        before = self._contexts[context] if context else await self.start()
        lost = [max(len(ids) - self._room, 0) for ids in found]
        return Tokenized(
            prompts=[ids[cut:] for ids, cut in zip(found, lost, strict=True)],
            borders=[max(common_prefix(before, ids) - cut, 0) for ids, cut in zip(found, lost, strict=True)],
            shortened=[cut > 0 for cut in lost],
        )

    async def score_ids(self, tokenized: Tokenized) -> list[TokenScore]:
        """The scores of tokenized continuations, in one request. Raises `RequestFailedError`, `EndpointError`."""
        echoes = await self._echo(tokenized.prompts)
        return [
            TokenScore(*_sum(echo, border, len(ids)), tokens=len(ids), shortened=cut)
            for echo, border, ids, cut in zip(
                echoes, tokenized.borders, tokenized.prompts, tokenized.shortened, strict=True
            )
        ]

    async def score_text(self, text: str) -> float:
        """The loglikelihood of a whole text, each token once, with as much context as fits half the model's length."""
        ids = await self._tokenize(text)
        begin = common_prefix(ids, await self.start())
        total = 0.0
        while begin < len(ids):
            first = max(begin - self._room // 2, 0)
            window = ids[first : first + self._room]
            (echo,) = await self._echo([window])
            total += _sum(echo, begin - first, len(window))[0]
            begin = first + len(window)
        return total

    async def start(self) -> list[int]:
        """What the server puts before every text: BOS, or nothing."""
        if "" not in self._contexts:
            first, second = [await self._tokenize(probe) for probe in _PROBES]
            self._contexts[""] = first[: common_prefix(first, second)]
        return self._contexts[""]

    async def _tokenize(self, text: str) -> list[int]:
        def read(answer: Mapping[str, Any]) -> list[int]:
            return [int(token) for token in answer["tokens"]]

        return await self._tokenizing.post("/tokenize", {"model": self._model, "prompt": text}, read)

    async def _echo(self, prompts: Sequence[Sequence[int]]) -> list[Mapping[str, Any]]:
        def read(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
            choices = sorted(answer["choices"], key=lambda choice: int(choice["index"]))
            echoes = [choice["logprobs"] for choice in choices]
            for ids, echo in zip(prompts, echoes, strict=True):
                if len(echo["token_logprobs"]) < len(ids) or len(echo["top_logprobs"]) < len(ids):
                    raise ValueError("fewer logprobs than tokens")
            return echoes

        return await self._client.post("/v1/completions", echo_body(self._model, prompts), read)


def echo_body(model: str, prompts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The request for the logprobs of prompts, given as ids."""
    return {
        "model": model,
        "prompt": [list(ids) for ids in prompts],
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 1,
        "echo": True,
        # As text, two tokens that are parts of Hangul syllables are both "\ufffd" and hide each other.
        "return_tokens_as_token_ids": True,
    }


def _sum(echo: Mapping[str, Any], border: int, end: int) -> tuple[float, bool]:
    total, greedy = 0.0, True
    for logprob, top in zip(echo["token_logprobs"][border:end], echo["top_logprobs"][border:end], strict=True):
        if logprob is not None:
            total += logprob
            greedy = greedy and logprob >= max((top or {}).values(), default=logprob)
    return total, greedy
