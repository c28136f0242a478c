"""A slow and plain reader of event streams, to hold the fast one against: byte by byte, and all JSON is parsed."""

import json
from dataclasses import dataclass, field
from typing import Any

_TEXT_KEYS = ("content", "reasoning_content", "reasoning")


@dataclass
class Said:
    """What the stream held; see `vllm_quality.load.wire.stream.Content`."""

    times: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    text: str = ""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    finish_reason: str | None = None
    fault: str | None = None
    done: bool = False


def reference(pieces: list[bytes], stamps: list[float], *, framed: bool) -> Said:
    """What the reads say."""
    raw = [(byte, stamp) for piece, stamp in zip(pieces, stamps, strict=True) for byte in piece]
    said, running, counting = Said(), 0, True
    for kind, data, stamp in _events(_unframed(raw) if framed else raw):
        if data.strip() == b"[DONE]":
            said.done = True
            break
        try:
            value: Any = json.loads(data.decode("utf-8", "replace"))
        except ValueError:
            value = None
        if not isinstance(value, dict):
            said.fault = "invalid"
            break
        if kind == b"error" or value.get("error"):
            said.fault = "stream_error"
            break
        usage = value.get("usage") or {}
        count = usage.get("completion_tokens")
        said.prompt_tokens = usage.get("prompt_tokens", said.prompt_tokens)
        said.output_tokens = usage.get("completion_tokens", said.output_tokens)
        if not value.get("choices"):
            continue
        choice = value["choices"][0]
        said.finish_reason = choice.get("finish_reason") or said.finish_reason
        delta = choice.get("delta", {})
        text = choice.get("text", "") + "".join(delta.get(key) or "" for key in _TEXT_KEYS)
        said.text += text
        if text and (count is None or (count == 0 and not said.times)):
            counting = False
        new = count - running if counting and count is not None else int(bool(text))
        if counting and count is not None:
            running = count
        if new > 0:
            said.times.append(stamp)
            said.counts.append(new)
    if not counting:
        said.counts = []
    return said


def _unframed(raw: list[tuple[int, float]]) -> list[tuple[int, float]]:
    body, position, data = [], 0, bytes(byte for byte, _ in raw)
    while (end := data.find(b"\r\n", position)) >= 0:
        size = int(data[position:end].partition(b";")[0], 16)
        if not size:
            break
        body += raw[end + 2 : end + 2 + size]
        position = end + 2 + size + 2
    return body


def _events(body: list[tuple[int, float]]) -> list[tuple[bytes, bytes, float]]:
    """Each event's kind, data, and the stamp of the byte that completed it."""
    events: list[tuple[bytes, bytes, float]] = []
    lines: list[bytes] = []
    line, kind = bytearray(), b""
    position = 3 if bytes(byte for byte, _ in body[:3]) == b"\xef\xbb\xbf" else 0
    while position < len(body):
        byte, stamp = body[position]
        position += 1
        if byte not in b"\r\n":
            line.append(byte)
            continue
        if byte == ord("\r") and position < len(body) and body[position][0] == ord("\n"):
            stamp = body[position][1]
            position += 1
        name, _, value = bytes(line).partition(b":")
        if not line:
            if lines:
                events.append((kind, b"\n".join(lines), stamp))
            kind, lines = b"", []
        elif name == b"data":
            lines.append(value.removeprefix(b" "))
        elif name == b"event":
            kind = value.removeprefix(b" ")
        line.clear()
    return events
