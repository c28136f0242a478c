"""Token-exact loglikelihood of a text on a server that tokenizes and echoes logprobs (vLLM).

The server tokenizes (with the BOS it would add itself), the prompt goes back as token ids, and the border between context
and continuation is the common prefix of both id lists. Character offsets would not do: BOS and Hangul syllables that are
split over tokens shift them (vLLM issue 5334).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_quality.eval.client import ModelClient
from vllm_quality.serving.endpoint import Endpoint

BATCH = 8  # prompts per request; what shares a context goes together
_DEFAULT_LENGTH = 2048  # lm-eval's own assumption where a server does not tell
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


def split(context: str, continuation: str) -> tuple[str, str]:
    """Move the context's trailing whitespace to the continuation, where tokenizers want it (as lm-eval does)."""
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many items both begin with."""
    shorter = min(len(first), len(second))
    return next((index for index in range(shorter) if first[index] != second[index]), shorter)


class TokenScorer:
    """Scores continuations on one endpoint. A token without a logprob (the very first, without BOS) counts nothing."""

    def __init__(self, client: ModelClient, endpoint: Endpoint) -> None:
        self._client = client
        self._model = endpoint.model
        self._room = (endpoint.max_model_len or _DEFAULT_LENGTH) - 1  # the server wants to write one token
        self._start: list[int] | None = None

    async def score(self, context: str, continuations: Sequence[str]) -> list[TokenScore]:
        """The scores of at most `BATCH` continuations of one context (both as `split` gives them), in one request.

        Raises `RequestFailedError`, `EndpointError`.
        """
        before = await self._tokenize(context) if context else await self.start()
        prompts, borders, shortened = [], [], []
        for continuation in continuations:
            ids = await self._tokenize(context + continuation)
            lost = max(len(ids) - self._room, 0)
            prompts.append(ids[lost:])
            borders.append(max(common_prefix(before, ids) - lost, 0))
            shortened.append(lost > 0)
        echoes = await self._echo(prompts)
        return [
            TokenScore(*_sum(echo, border, len(ids)), tokens=len(ids), shortened=cut)
            for echo, border, ids, cut in zip(echoes, borders, prompts, shortened, strict=True)
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
        if self._start is None:
            first, second = [await self._tokenize(probe) for probe in _PROBES]
            self._start = first[: common_prefix(first, second)]
        return self._start

    async def _tokenize(self, text: str) -> list[int]:
        def read(answer: Mapping[str, Any]) -> list[int]:
            return [int(token) for token in answer["tokens"]]

        return await self._client.post("/tokenize", {"model": self._model, "prompt": text}, read)

    async def _echo(self, prompts: Sequence[Sequence[int]]) -> list[Mapping[str, Any]]:
        def read(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
            choices = sorted(answer["choices"], key=lambda choice: int(choice["index"]))
            echoes = [choice["logprobs"] for choice in choices]
            for ids, echo in zip(prompts, echoes, strict=True):
                if len(echo["token_logprobs"]) < len(ids) or len(echo["top_logprobs"]) < len(ids):
                    raise ValueError("fewer logprobs than tokens")
            return echoes

        body = {
            "model": self._model,
            "prompt": [list(ids) for ids in prompts],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": 1,
            "echo": True,
            # As text, two tokens that are parts of Hangul syllables are both "\ufffd" and hide each other.
            "return_tokens_as_token_ids": True,
        }
        return await self._client.post("/v1/completions", body, read)


def _sum(echo: Mapping[str, Any], border: int, end: int) -> tuple[float, bool]:
    total, greedy = 0.0, True
    for logprob, top in zip(echo["token_logprobs"][border:end], echo["top_logprobs"][border:end], strict=True):
        if logprob is not None:
            total += logprob
            greedy = greedy and logprob >= max((top or {}).values(), default=logprob)
    return total, greedy
