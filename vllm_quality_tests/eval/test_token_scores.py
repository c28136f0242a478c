"""Loglikelihoods are those of the server's own tokens, wherever the border between context and continuation falls."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.eval.client import ModelClient, RequestFailedError, run_async
from vllm_quality.eval.token_scores import BATCH, TokenScore, TokenScorer, common_prefix, split
from vllm_quality_tests.eval.task_files import QUICK, vllm_at
from vllm_quality_tests.servers.openai_api import Fault, OpenAIServer, logprob, tokenize

LETTERS = st.sampled_from("ab 1\n한국어의🙂é.")
TEXTS = st.text(LETTERS, min_size=0, max_size=24)


@pytest.fixture(scope="module")
def shared() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


def scores(server: OpenAIServer, context: str, continuations: Sequence[str], *, length: int = 4096) -> list[TokenScore]:
    async def send() -> list[TokenScore]:
        async with ModelClient(server.base_url, None, concurrency=2, timeout_s=5, retry=QUICK) as client:
            return await TokenScorer(client, vllm_at(server.base_url, max_model_len=length)).score(
                context, continuations
            )

    return run_async(send)


def total(ids: Sequence[int], start: int, end: int) -> float:
    return sum(logprob(ids[:at], ids[at]) for at in range(max(start, 1), end))


@settings(max_examples=40, deadline=None)
@given(context=TEXTS, continuation=st.text(LETTERS, min_size=1, max_size=12))
def test_a_score_is_the_servers_logprob_of_the_continuations_tokens(
    shared: OpenAIServer, context: str, continuation: str
) -> None:
    kept, moved = split(context, continuation)
    assert kept + moved == context + continuation
    assert kept == kept.rstrip()
    (score,) = scores(shared, kept, [moved])
    ids = tokenize(context + continuation)
    border = common_prefix(tokenize(kept), ids)
    assert score.loglikelihood == pytest.approx(total(ids, border, len(ids)))
    # What is left out is exactly what both texts begin with: no token of the context's text is scored, none is lost.
    assert score.loglikelihood + total(ids, 1, border) == pytest.approx(total(ids, 1, len(ids)))
    assert score.is_greedy == all(token % 2 for token in ids[border:])
    assert (score.tokens, score.shortened) == (len(ids), False)


def test_a_token_across_the_border_belongs_to_the_continuation(shared: OpenAIServer) -> None:
    context, continuation = next(
        (text[:cut], text[cut:])
        for text in ["대한민국의 수도", "서울은 어디", "abcabc"]
        for cut in range(1, len(text))
        if tokenize(text)[: len(tokenize(text[:cut]))] != tokenize(text[:cut])
    )
    ids = tokenize(context + continuation)
    border = common_prefix(tokenize(context), ids)
    assert border < len(tokenize(context))
    assert scores(shared, context, [continuation])[0].loglikelihood == pytest.approx(total(ids, border, len(ids)))


@pytest.mark.parametrize("bos", [True, False])
def test_without_a_context_everything_behind_bos_counts(bos: bool) -> None:
    with OpenAIServer(bos=bos) as server:
        (score,) = scores(server, "", ["한국어"])
    ids = tokenize("한국어", bos=bos)
    # Without BOS nothing comes before the first token, so the server has no logprob for it.
    assert score.loglikelihood == pytest.approx(total(ids, 1, len(ids)))


def test_continuations_of_a_context_go_in_one_request_as_ids(server: OpenAIServer) -> None:
    found = scores(server, "A:", [" Paris", " 서울"])
    (body,) = server.sent_to("/v1/completions")
    assert body["prompt"] == [tokenize("A: Paris"), tokenize("A: 서울")]
    assert (body["echo"], body["logprobs"], body["max_tokens"], body["temperature"]) == (True, 1, 1, 0)
    assert found == [*scores(server, "A:", [" Paris"]), *scores(server, "A:", [" 서울"])]
    assert BATCH >= 2


def test_a_context_that_does_not_fit_loses_its_beginning(server: OpenAIServer) -> None:
    (score,) = scores(server, "a" * 100, ["b1"], length=21)
    assert (score.tokens, score.shortened) == (20, True)
    (body,) = server.sent_to("/v1/completions")
    assert body["prompt"] == [tokenize("a" * 100 + "b1")[-20:]]


def test_fewer_logprobs_than_tokens_are_no_score(server: OpenAIServer) -> None:
    broken = b'{"choices": [{"index": 0, "logprobs": {"token_logprobs": [-1.0], "top_logprobs": [{}]}}]}'
    server.fault = lambda number, path, body: Fault(raw=broken) if path == "/v1/completions" else None
    with pytest.raises(RequestFailedError, match="fewer logprobs than tokens"):
        scores(server, "A:", [" Paris"])


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("length", [4096, 40])
def test_a_whole_text_counts_each_token_once(bos: bool, length: int) -> None:
    text = "대한민국의 수도는 서울이다. Seoul is the capital of Korea, and has been for long."
    with OpenAIServer(bos=bos) as server:

        async def send() -> float:
            async with ModelClient(server.base_url, None, concurrency=2, timeout_s=5, retry=QUICK) as client:
                return await TokenScorer(client, vllm_at(server.base_url, max_model_len=length)).score_text(text)

        found = run_async(send)
        windows = [body["prompt"][0] for body in server.sent_to("/v1/completions")]
    ids = tokenize(text, bos=bos)
    assert all(len(window) < length for window in windows)
    assert len(windows) == 1 if length == 4096 else len(windows) > 2
    # The server's logprob looks at two tokens back only, so windows do not change it.
    assert found == pytest.approx(total(ids, 1, len(ids)))
