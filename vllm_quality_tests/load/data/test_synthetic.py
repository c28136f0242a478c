import time
from collections import Counter

import pytest

from vllm_quality.load.data.synthetic import synthesize, token_counter
from vllm_quality.load.errors import LoadError
from vllm_quality_tests.load.asking import endpoint
from vllm_quality_tests.servers.sse import Script, Seen, SseServer, head, whole

KV_BLOCK = 16


def test_the_same_seed_gives_the_same_prompts_and_another_others() -> None:
    assert synthesize(20, 64, "7") == synthesize(20, 64, "7")
    assert synthesize(20, 64, "7") != synthesize(20, 64, "8")


def test_a_prompt_depends_on_its_position_and_not_on_how_many_there_are() -> None:
    assert synthesize(5, 32, "1") == synthesize(50, 32, "1")[:5]


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


@pytest.mark.parametrize("tokens", [24, 64, 512])
def test_lengths_are_exact_where_tokens_are_counted(tokens: int) -> None:
    """With a template of 20 tokens, and words that take one token for every four letters begun."""

    def count(text: str) -> int:
        return 20 + sum(-(-len(word) // 4) for word in text.split())

    for prompt in synthesize(20, tokens, "1", count):
        assert prompt.tokens == count(prompt.text) == tokens


def test_a_length_below_the_templates_own_is_recorded_as_it_is() -> None:
    (prompt,) = synthesize(1, 4, "1", lambda text: 30 + len(text.split()))
    assert prompt.tokens == 31


def counting(seen: Seen) -> Script:
    text = seen.asked.get("prompt") or seen.asked["messages"][0]["content"]
    return [whole("200 OK", {"count": 3 + len(text.split()), "max_model_len": 99})]


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_the_endpoint_counts_as_it_will_when_asked(api: str) -> None:
    with (
        SseServer(counting) as server,
        token_counter(endpoint(server.url, "tokenize"), "chat" if api == "chat" else "completions", "key", 5) as count,
    ):
        assert count is not None
        assert count("one two") == 5
        (seen,) = server.seen
    assert (seen.path, seen.headers["authorization"], seen.asked["model"]) == ("/tokenize", "Bearer key", "m")
    asked = {"messages": [{"role": "user", "content": "one two"}]} if api == "chat" else {"prompt": "one two"}
    assert asked.items() <= seen.asked.items()


def test_an_endpoint_that_cannot_count_is_not_asked() -> None:
    with token_counter(endpoint("http://127.0.0.1:9"), "chat", None, 5) as count:
        assert count is None


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([whole("404 Not Found", {})], "answered 404"),
        ([whole("200 OK", {"tokens": []})], "answered without a count"),
        ([head("200 OK", "text/plain", length=2), b"ok"], "answered without a count"),
    ],
)
def test_a_tokenizer_that_does_not_answer_ends_the_run(script: Script, reason: str) -> None:
    """A guess in its place would make another tape."""
    with (
        SseServer(script) as server,
        token_counter(endpoint(server.url, "tokenize"), "chat", "sk-secret", 5) as count,
    ):
        assert count is not None
        with pytest.raises(LoadError, match=f"{server.url}/tokenize {reason}") as caught:
            count("x")
    assert "sk-secret" not in str(caught.value)


def test_a_tokenizer_that_hangs_is_given_up_after_bounded_attempts() -> None:
    start = time.monotonic()
    with (
        SseServer([5.0]) as server,
        token_counter(endpoint(server.url, "tokenize"), "chat", None, 0.1) as count,
    ):
        assert count is not None
        with pytest.raises(LoadError, match="did not answer"):
            count("x")
        assert len(server.seen) == 3
    assert time.monotonic() - start < 4
