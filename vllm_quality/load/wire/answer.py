"""What an answer says, and in which of the outcomes its request ended. Runs off the clock."""

import json
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vllm_quality.load.wire.chunks import unframed
from vllm_quality.load.wire.content import Content, parse_object, take_usage
from vllm_quality.load.wire.exchange import Exchange, Outcome
from vllm_quality.load.wire.stream import read_stream

_ERROR_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read.

    token_times    `perf_counter` seconds at which tokens came, ascending: one per event that brought any; none where the
                   answer was not streamed
    chunk_tokens   how many tokens each of them brought; empty where the server does not count as it goes
    output_tokens  the server's own count, else one per event (then `usage` is False); None where neither is known
    pieces         the text, UTF-8
    """

    outcome: Outcome
    error: str
    token_times: "array[float]"
    chunk_tokens: list[int]
    prompt_tokens: int | None
    output_tokens: int | None
    usage: bool
    finish_reason: str | None
    pieces: list[bytes]

    @property
    def text(self) -> str:
        """All that the model said, reasoning included."""
        return "".join(piece.decode("utf-8", "replace") for piece in self.pieces)


def read_answer(exchange: Exchange, *, streaming: bool, scrub: Callable[[str], str] = str) -> Answer:
    """Parse an ended exchange. `scrub` takes secrets out of what a server said before any of it is kept."""
    if exchange.status != 200:
        content = Content()
    elif streaming:
        content = _read_stream(exchange)
    else:
        content = _read_whole(exchange)
    outcome, error = _outcome(exchange, content, streaming)
    usage = content.output_tokens is not None
    return Answer(
        outcome=outcome,
        error=_shorten(scrub(error)),
        token_times=content.times,
        chunk_tokens=content.counts,
        prompt_tokens=content.prompt_tokens,
        output_tokens=content.output_tokens if usage else len(content.times) or None,
        usage=usage,
        finish_reason=content.finish_reason,
        pieces=content.pieces,
    )


def has_token(exchange: Exchange) -> bool:
    """Whether a token has come so far."""
    return exchange.status == 200 and bool(_read_stream(exchange).times)


def _read_stream(exchange: Exchange) -> Content:
    return read_stream(exchange.pieces, exchange.stamps, framed=exchange.framed)


def _body(exchange: Exchange) -> bytes:
    return unframed(exchange.pieces) if exchange.framed else b"".join(exchange.pieces)


def _read_whole(exchange: Exchange) -> Content:
    content = Content()
    if exchange.failure is not None:
        return content
    body = _body(exchange)
    value = parse_object(body)
    if value is None:
        content.fault = ("invalid", f"the answer is no JSON object: {body.decode('utf-8', 'replace')}")
        return content
    content.done = True
    take_usage(content, value)
    choices = value.get("choices")
    choice: Any = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict):
        message = choice.get("message")
        text = message.get("content") if isinstance(message, dict) else choice.get("text")
        content.pieces.append(text.encode("utf-8", "replace") if isinstance(text, str) else b"")
        reason = choice.get("finish_reason")
        content.finish_reason = reason if isinstance(reason, str) else None
    return content


def _outcome(exchange: Exchange, content: Content, streaming: bool) -> tuple[Outcome, str]:
    if exchange.failure is not None:
        # What a server said before it hung up tells more than that it did; and a stream that said [DONE] is whole.
        said_more = exchange.status is not None and (
            exchange.status != 200 or content.done or content.fault is not None
        )
        if exchange.failure[0] != "truncated" or not said_more:
            return exchange.failure
    if exchange.status != 200:
        return "http_error", f"{exchange.status}: {_error_text(_body(exchange))}"
    if streaming and exchange.content_type and not exchange.content_type.startswith(b"text/event-stream"):
        told, body = exchange.content_type.decode("latin-1"), _body(exchange)
        return "invalid", f"the answer is {told}, not text/event-stream: {body.decode('utf-8', 'replace')}"
    if content.fault is not None:
        return content.fault
    if not content.done:
        return "truncated", "the stream ended before [DONE]"
    if not (content.times if streaming else content.output_tokens or any(content.pieces)):
        return "invalid", "the answer holds no token"
    return "ok", ""


def _error_text(body: bytes) -> str:
    """The server's own words in an error body, of whatever shape."""
    value: Any = parse_object(body)
    if value is None:
        return body.decode("utf-8", "replace")
    for key in ("error", "message", "detail"):
        while isinstance(value, dict) and value.get(key):
            value = value[key]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _ERROR_LENGTH else f"{line[: _ERROR_LENGTH - 1]}…"
