"""Our lm-eval model: an endpoint over HTTP that keeps, for every request, how it went."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vllm_quality.eval.answers import SEED, Answer, Asking, Prompt, Sampling, ask, check_ready, unanswered
from vllm_quality.eval.client import ModelClient, RequestFailedError, in_order, run_async
from vllm_quality.eval.stages import in_stages
from vllm_quality.eval.stopwatch import Stopwatch
from vllm_quality.eval.token_scores import BATCH, Tokenized, TokenScorer, split
from vllm_quality.serving.endpoint import EndpointError

# lm-eval's arguments that are ours to translate; what else a task gives goes to the server as it is.
_OWN_ARGUMENTS = {"until", "do_sample", "max_gen_toks", "temperature"}


class Log:
    """How each of lm-eval's requests went. A request is an `Instance`, known by its identity while its task lives."""

    def __init__(self, watch: Stopwatch | None = None) -> None:
        self.watch = watch or Stopwatch()
        self.gave_up: str | None = None
        self.shortened = 0
        self._answers: dict[int, list[Answer]] = {}

    def add(self, instance: object, answer: Answer) -> None:
        """Keep one answer to a request; a request that is repeated has several."""
        self._answers.setdefault(id(instance), []).append(answer)

    def of(self, instance: object) -> list[Answer]:
        """The answers to a request; none if it was never sent."""
        return self._answers.get(id(instance), [])

    def failed(self, instance: object) -> bool:
        """Whether the request has no answer that could be scored."""
        answers = self.of(instance)
        return not answers or any(answer.status == "infra_error" for answer in answers)


def make_lm(asking: Asking, log: Log, *, chat: bool) -> Any:
    """An `lm_eval.api.model.LM` that asks the endpoint and writes to `log`.

    A request that cannot be had never stops the run: it gets a placeholder, and `log.failed` knows. Raises
    `EndpointError` when the first request of all fails.
    """
    from lm_eval.api.model import LM

    class EndpointLM(LM):  # type: ignore[misc]  # lm_eval carries no types
        @property
        def tokenizer_name(self) -> str:
            return asking.endpoint.model

        def apply_chat_template(self, chat_history: list[dict[str, str]], **_: object) -> str:
            # The server applies its own template; lm-eval only wants a text to carry around.
            return json.dumps(chat_history, ensure_ascii=False)

        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            with log.watch.part("asking"):
                return run_async(lambda: _loglikelihoods(asking, log, requests))

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            with log.watch.part("asking"):
                return run_async(lambda: _texts(asking, log, requests))

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            with log.watch.part("asking"):
                return run_async(lambda: _generations(asking, log, requests, chat=chat))

    return EndpointLM()


def sampling_of(arguments: dict[str, Any], repeat: int = 0) -> Sampling:
    """lm-eval's generation arguments as ours; a repeated request gets a seed of its own."""
    from lm_eval.models.utils import normalize_gen_kwargs

    normal = normalize_gen_kwargs(arguments)
    return Sampling(
        max_tokens=int(normal["max_gen_toks"]),
        stop=tuple(dict.fromkeys(mark for mark in normal["until"] if mark)),
        temperature=float(normal.get("temperature", 0.0)),
        seed=SEED + repeat,
        extra={name: value for name, value in normal.items() if name not in _OWN_ARGUMENTS},
    )


class _Ticker:
    def __init__(self, asking: Asking, total: int) -> None:
        self._tell, self._done, self._total = asking.on_progress, 0, total

    def tick(self, count: int) -> None:
        self._done += count
        if self._tell is not None:
            self._tell(self._done, self._total)


async def _generations(asking: Asking, log: Log, requests: Sequence[Any], *, chat: bool) -> list[str]:
    ticker = _Ticker(asking, len(requests))
    asked: Counter[int] = Counter()
    work: list[tuple[Any, Prompt, Sampling]] = []
    for request in requests:
        text, arguments = request.args[:2]
        prompt = json.loads(text) if chat else text
        work.append((request, prompt, sampling_of(arguments, asked[id(request)])))
        asked[id(request)] += 1

    async def answer(item: tuple[Any, Prompt, Sampling]) -> Answer:
        found = await ask(client, asking.endpoint, item[1], item[2])
        ticker.tick(1)
        return found

    async with asking.client() as client:
        await check_ready(client, asking.endpoint, work[0][2], chat=chat)
        answers = await in_order(work, answer, workers=asking.concurrency)
        log.gave_up = log.gave_up or client.gave_up
    for (request, _, _), found in zip(work, answers, strict=True):
        log.add(request, found)
    return [found.text for found in answers]


async def _loglikelihoods(asking: Asking, log: Log, requests: Sequence[Any]) -> list[tuple[float, bool]]:
    ticker = _Ticker(asking, len(requests))
    results: dict[int, tuple[float, bool]] = {}

    def lose(indices: Sequence[int], error: RequestFailedError) -> None:
        for index in indices:
            # A text that the server refuses has no likelihood, whoever is to blame: no score, where a 0 would be one.
            log.add(requests[index], replace(unanswered(error), status="infra_error"))
            results[index] = (0.0, False)
        ticker.tick(len(indices))

    async def tokenize(indices: Sequence[int]) -> Tokenized | None:
        pairs = [split(*requests[index].args[:2]) for index in indices]
        try:
            return await scorer.tokenize(pairs[0][0], [continuation for _, continuation in pairs])
        except RequestFailedError as error:
            lose(indices, error)
            return None

    async def score(indices: Sequence[int], tokenized: Tokenized | None) -> None:
        if tokenized is None:
            return
        try:
            scores = await scorer.score_ids(tokenized)
        except RequestFailedError as error:
            lose(indices, error)
            return
        for index, found in zip(indices, scores, strict=True):
            log.add(requests[index], Answer("", "ok", prompt_tokens=found.tokens))
            log.shortened += found.shortened
            results[index] = (found.loglikelihood, found.is_greedy)
        ticker.tick(len(indices))

    async with asking.client() as client, asking.client() as tokenizing:
        scorer = TokenScorer(client, asking.endpoint, tokenizing)
        await _check_scorer(scorer, client)
        await in_stages(_batches(requests), tokenize, score, workers=asking.concurrency)
        log.gave_up = log.gave_up or client.gave_up or tokenizing.gave_up
    return [results[index] for index in range(len(requests))]


async def _texts(asking: Asking, log: Log, requests: Sequence[Any]) -> list[float]:
    ticker = _Ticker(asking, len(requests))

    async def score(request: Any) -> float:
        try:
            total = await scorer.score_text(request.args[0])
            log.add(request, Answer("", "ok"))
        except RequestFailedError as error:
            total = 0.0
            log.add(request, replace(unanswered(error), status="infra_error"))
        ticker.tick(1)
        return total

    async with asking.client() as client:
        scorer = TokenScorer(client, asking.endpoint)
        await _check_scorer(scorer, client)
        totals = await in_order(requests, score, workers=asking.concurrency)
        log.gave_up = log.gave_up or client.gave_up
    return totals


async def _check_scorer(scorer: TokenScorer, client: ModelClient) -> None:
    try:
        await scorer.score("", ["The end"])
    except RequestFailedError as error:
        raise EndpointError(
            f"{client.base_url} does not score a text ({error}); check that it is a vLLM whose /tokenize and echoed "
            "logprobs are switched on."
        ) from None


def _batches(requests: Sequence[Any]) -> list[list[int]]:
    """Indices of the requests, those with one context next to each other and at most `BATCH` together."""
    by_context: dict[str, list[int]] = {}
    for index, request in enumerate(requests):
        by_context.setdefault(split(*request.args[:2])[0], []).append(index)
    return [group[at : at + BATCH] for group in by_context.values() for at in range(0, len(group), BATCH)]
