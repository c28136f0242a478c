"""The bytes that the known-timing server sends, built before they are needed, and what it reads in a request's body.

A body is searched, not parsed: what the server spends on a burst of requests would look like the client's error.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

MODEL = "paced"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_WORD = " word"
_DEFAULT_TOKENS = 16  # as vLLM's completions
_ASKED_TOKENS = re.compile(rb'"max_(?:completion_)?tokens"\s*:\s*(\d+)')
_FLAG = re.compile(rb'"(stream|include_usage|continuous_usage_stats)"\s*:\s*true')
_TEXT = re.compile(rb'"(?:prompt|content)"\s*:\s*"')


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for. prompt: its tokens; tokens: of the answer."""

    chat: bool
    prompt: int
    tokens: int
    stream: bool
    usage: bool
    counting: bool


def asked(body: bytes, *, chat: bool) -> Asked:
    """What a completion's body asks for."""
    flags = set(_FLAG.findall(body))
    tokens = _ASKED_TOKENS.search(body)
    return Asked(
        chat=chat,
        prompt=_prompt_tokens(body),
        tokens=max(1, int(tokens[1])) if tokens else _DEFAULT_TOKENS,
        stream=b"stream" in flags,
        usage=b"include_usage" in flags,
        counting=b"continuous_usage_stats" in flags,
    )


def count_tokens(text: str) -> int:
    """One token per word; words are what stands between blanks."""
    return text.count(" ") + 1


def _prompt_tokens(body: bytes) -> int:
    """`count_tokens` over the prompt, or over all messages, as they stand in the JSON."""
    total = 0
    for found in _TEXT.finditer(body):
        end = body.find(b'"', found.end())
        while end > 0 and body[end - 1] == ord("\\"):
            end = body.find(b'"', end + 1)
        total += body.count(b" ", found.end(), end if end > 0 else len(body)) + 1
    return max(1, total)


def http_chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@lru_cache(maxsize=1 << 16)
def text_chunk(chat: bool, tokens: int, prompt: int, done: int, last: bool) -> bytes:
    """The chunk that brings so many tokens. done: tokens brought with it, told in its usage; 0 tells nothing."""
    text = _WORD * tokens
    choice: dict[str, Any] = {"index": 0, **({"delta": {"content": text}} if chat else {"text": text})}
    value = _envelope(chat) | {"choices": [choice | {"logprobs": None, "finish_reason": "length" if last else None}]}
    if done:
        value["usage"] = _usage(prompt, done)
    return _event(value)


def stream_end(wanted: Asked) -> bytes:
    """What follows a stream's last token: the usage, where asked for, `[DONE]` and the last chunk."""
    usage = _event(_envelope(wanted.chat) | {"choices": [], "usage": _usage(wanted.prompt, wanted.tokens)})
    return (usage if wanted.usage else b"") + http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def whole_answer(wanted: Asked) -> bytes:
    """An answer that is not streamed."""
    text = _WORD * wanted.tokens
    content: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if wanted.chat else {"text": text}
    kind = "chat.completion" if wanted.chat else "text_completion"
    choices = [{"index": 0, **content, "logprobs": None, "finish_reason": "length"}]
    usage = _usage(wanted.prompt, wanted.tokens)
    return json_answer(_envelope(wanted.chat) | {"object": kind, "choices": choices, "usage": usage})


def json_answer(value: object, status: str = "200 OK") -> bytes:
    """A JSON answer with a length."""
    return answer(json.dumps(value).encode(), "application/json", status)


def answer(body: bytes, kind: str, status: str = "200 OK") -> bytes:
    """An answer with a length."""
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _event(value: Mapping[str, Any]) -> bytes:
    return http_chunk(b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n")


def _envelope(chat: bool) -> dict[str, Any]:
    kind = "chat.completion.chunk" if chat else "text_completion"
    return {"id": "chatcmpl-paced" if chat else "cmpl-paced", "object": kind, "created": 0, "model": MODEL}


def _usage(prompt: int, output: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "total_tokens": prompt + output, "completion_tokens": output}
