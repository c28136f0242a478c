import json

import pytest

from vllm_quality.load.errors import LoadError
from vllm_quality.load.wire.target import Target, candidate_extras

BODY = b'{"max_tokens":1,"prompt":"x"}'


def sent(target: Target) -> tuple[list[str], dict[str, object]]:
    head, _, body = target.request(BODY).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert f"Content-Length: {len(body)}" in lines
    return lines, json.loads(body)


def test_a_request_is_the_body_with_the_endpoints_own_keys_around_it() -> None:
    target = Target("https://gpu:8443/serving", "/v1/completions", 'org/"m"', "sk-1").with_extras({"cache_salt": "x"})
    lines, body = sent(target)
    assert lines[0] == "POST /serving/v1/completions HTTP/1.1"
    assert {"Host: gpu:8443", "Authorization: Bearer sk-1", "Content-Type: application/json"} <= set(lines)
    assert body == {"model": 'org/"m"', "cache_salt": "x", "max_tokens": 1, "prompt": "x"}


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://h", "h", 80),
        ("https://h", "h", 443),
        ("http://[::1]:8000", "::1", 8000),
        ("http://10.0.0.1:1", "10.0.0.1", 1),
    ],
)
def test_host_and_port(url: str, host: str, port: int) -> None:
    target = Target(url, "/v1/completions", "m")
    assert (target.host, target.port) == (host, port)


def test_without_a_key_none_is_sent() -> None:
    assert not any(line.startswith("Authorization") for line in sent(Target("http://h", "/v1/completions", "m"))[0])


@pytest.mark.parametrize("key", ["two words", "line\r\nX-Injected: 1", "ключ", ""])
def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(LoadError, match="VLLM_QUALITY_API_KEY") as caught:
        Target("http://h", "/v1/completions", "m", key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("url", ["h:80", "ftp://h", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(LoadError, match="not an address"):
        Target(url, "/v1/completions", "m")


def test_the_key_is_not_in_the_repr_and_is_scrubbed_from_texts() -> None:
    target = Target("http://h", "/v1/completions", "m", "sk-secret")
    assert "sk-secret" not in repr(target)
    assert target.scrub("wrong key: sk-secret!") == "wrong key: ***!"


def test_vllm_is_offered_counting_along_and_a_salt_first() -> None:
    assert candidate_extras("vllm", "s", streaming=True) == [
        {"cache_salt": "s", "stream_options": {"include_usage": True, "continuous_usage_stats": True}},
        {"cache_salt": "s", "stream_options": {"include_usage": True}},
        {"stream_options": {"include_usage": True}},
        {},
    ]


def test_what_else_is_offered() -> None:
    assert candidate_extras("llama.cpp", "s", streaming=True)[0]["cache_prompt"] is False
    assert candidate_extras("vllm", "s", streaming=False) == [{"cache_salt": "s"}, {}]
    assert candidate_extras("unknown", "s", streaming=False) == [{}]
    assert len(candidate_extras("unknown", "s", streaming=True)) == 3


def test_a_second_lap_is_salted_anew() -> None:
    """A tape that is played again must not find its own prompts in the prefix cache."""
    target = Target("http://h", "/v1/completions", "m").with_extras({"cache_salt": "s", "stream_options": {}})
    salts = [json.loads(target.request(BODY, lap).partition(b"\r\n\r\n")[2])["cache_salt"] for lap in range(3)]
    assert salts == ["s", "s-1", "s-2"]
    assert target.request(BODY, 0) == target.request(BODY)


def test_without_a_salt_all_laps_are_alike() -> None:
    target = Target("http://h", "/v1/completions", "m")
    assert target.request(BODY, 3) == target.request(BODY)
