import importlib.util
import json
import time
from pathlib import Path

import pytest

from vllm_quality.datasets.schema import Message
from vllm_quality.load.data.tokens import folder_counter, token_counter
from vllm_quality.load.errors import LoadError
from vllm_quality_tests.load.asking import endpoint
from vllm_quality_tests.servers.sse import Script, Seen, SseServer, head, whole


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


def test_a_conversation_is_counted_as_a_whole() -> None:
    said = [Message("system", "be brief"), Message("user", "hello")]
    with SseServer(counting) as server, token_counter(endpoint(server.url, "tokenize"), "chat", None, 5) as count:
        assert count is not None
        assert count(said) == 5
        (seen,) = server.seen
    assert [message["role"] for message in seen.asked["messages"]] == ["system", "user"]


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


@pytest.mark.parametrize("name", ["", "model.bin", "nowhere"])
def test_what_holds_no_tokenizer_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(LoadError, match=r"is neither a tokenizer\.json nor a folder"):
        folder_counter(tmp_path / name)


def words_tokenizer(folder: Path) -> Path:
    """A tokenizer of three words, as the package `tokenizers` saves it."""
    model = {"type": "WordLevel", "vocab": {"[UNK]": 0, "one": 1, "two": 2}, "unk_token": "[UNK]"}
    empty: dict[str, object] = {
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "post_processor": None,
    }
    saved = {"version": "1.0", **empty, "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": None, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(saved), encoding="utf-8")
    return folder


def test_a_folder_counts_where_the_package_is_there_and_tells_what_to_install_where_not(tmp_path: Path) -> None:
    words_tokenizer(tmp_path)
    if importlib.util.find_spec("tokenizers") is None:
        with pytest.raises(LoadError, match="run `pip install tokenizers`"):
            folder_counter(tmp_path)
        return
    count = folder_counter(tmp_path, "chat")
    assert count("one two one") == 3
    assert count([Message("user", "one"), Message("assistant", "two two")]) == 3
    assert folder_counter(tmp_path / "tokenizer.json")("one") == 1
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(LoadError, match="is no tokenizer that can be read"):
        folder_counter(tmp_path)
