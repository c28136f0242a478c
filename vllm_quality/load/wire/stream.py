"""From the bytes of an OpenAI-compatible stream to its tokens and their times. Pure, and off the clock.

Nearly all events of a stream differ in their text and counts only. The first one with text is parsed as JSON and becomes
a template: its bytes before the text, and a pattern for what is behind it. An event that fits the template says what the
parsed one said, but for the text and the counts; the others are parsed. That is a fifth of the cost of parsing each.
"""

import json
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from vllm_quality.load.wire.exchange import Outcome
from vllm_quality.load.wire.sse import BOM, Event, next_event

_TEXT_KEYS = ("content", "reasoning_content", "reasoning")
_TEXT = re.compile(rb'"(?:text|content|reasoning_content|reasoning)"\s*:\s*"([^"\\\x00-\x1f]+)"')
_COUNT = re.compile(rb'"completion_tokens"\s*:')
# What may differ behind the text, from one event to the next or from one stream to the next.
_VARIABLE = re.compile(rb'"(?:(completion_tokens)|total_tokens|created)"\s*:\s*(\d+)|"id"\s*:\s*"([^"\\]*)"')


@dataclass
class Content:
    """What an answer's body held.

    times          `perf_counter` seconds at which tokens came, ascending: one per event that brought any
    counts         how many tokens each of them brought, where the server counts as it goes; else empty
    pieces         the text, UTF-8, reasoning included
    output_tokens  the server's count; None where it gave none
    fault          what was wrong with it, None when nothing was
    done           its end came: `[DONE]`, or the whole of an answer that was not streamed
    """

    times: "array[float]" = field(default_factory=lambda: array("d"))
    counts: list[int] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    finish_reason: str | None = None
    fault: tuple[Outcome, str] | None = None
    done: bool = False


def parse_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object, or None when it is not one."""
    try:
        value = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def take_usage(content: Content, value: dict[str, Any]) -> int | None:
    """Keep the counts in a reply's `usage`; return the tokens put out so far, None where it does not say."""
    usage = value.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if isinstance(prompt, int):
        content.prompt_tokens = prompt
    if isinstance(output, int):
        content.output_tokens = output
        return output
    return None


def read_stream(body: bytes, ends: Sequence[int], stamps: Sequence[float]) -> Content:
    """The content of a stream, up to `[DONE]`, a fault or its end.

    ends, stamps: for each read, the offset in the body behind it and its time. Which reads the bytes came in has no
    influence on anything but the times.
    """
    reader = _Reader(body, ends, stamps)
    reader.read()
    return reader.content


class _Reader:
    def __init__(self, body: bytes, ends: Sequence[int], stamps: Sequence[float]) -> None:
        self._body, self._ends, self._stamps = body, ends, stamps
        self.content = Content()
        self._read = 0
        # The server's running count; None from the first text on that came without one.
        self._running: int | None = 0
        self._prefix = b""
        self._rest = re.compile(b"")
        self._counted = False

    def read(self) -> None:
        position = len(BOM) if self._body.startswith(BOM) else 0
        while not self.content.done and self.content.fault is None:
            if self._prefix:
                position = self._read_alike(position)
            event = next_event(self._body, position)
            if event is None:
                # No blank line behind the last line is a common slip, and harmless for this one.
                self.content.done = self._body[position:].strip() in (b"data: [DONE]", b"data:[DONE]")
                break
            self._read_event(event, position)
            position = event.end
        if self._running is None:
            self.content.counts.clear()

    def _read_alike(self, position: int) -> int:
        """Take the events that fit the template; return the offset behind them."""
        body, prefix, match, skip = self._body, self._prefix, self._rest.match, len(self._prefix)
        ends, stamps, read = self._ends, self._stamps, self._read
        times, counts, pieces = self.content.times, self.content.counts, self.content.pieces
        running = self._running if self._counted else None
        while body.startswith(prefix, position) and (found := match(body, position + skip)):
            position = found.end()
            text = found[1]
            pieces.append(text)
            if running is not None:
                count = int(found[2])
                new, running = count - running, count
                if new <= 0:
                    continue
                counts.append(new)
            elif not text:
                continue
            while ends[read] < position:
                read += 1
            times.append(stamps[read])
        self._read = read
        if running is not None:
            self._running = self.content.output_tokens = running
        return position

    def _read_event(self, event: Event, start: int) -> None:
        content = self.content
        if event.data.strip() == b"[DONE]":
            content.done = True
            return
        value = parse_object(event.data)
        if value is None:
            content.fault = ("invalid", f"an event holds no JSON object: {event.data.decode('utf-8', 'replace')}")
            return
        if event.kind == b"error" or value.get("error") or value.get("object") == "error":
            content.fault = ("stream_error", json.dumps(value.get("error") or value, ensure_ascii=False))
            return
        count = take_usage(content, value)
        choices = value.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return
        if isinstance(reason := choices[0].get("finish_reason"), str):
            content.finish_reason = reason
        text, called = _output(choices[0])
        content.pieces.append(text.encode("utf-8", "replace"))
        self._take(event.end, bool(text) or called, count)
        if text:
            self._learn(start, event.end, text)

    def _take(self, end: int, output: bool, count: int | None) -> None:
        """Stamp an event that brought tokens: its count rose or, where the server does not count as it goes, it has text."""
        new = 1
        # Text without a count, or a first text with a count of 0: this server does not count as it goes.
        if output and (count is None or (count == 0 and not self.content.times)):
            self._running, self._prefix = None, b""
        if self._running is None or count is None:
            if not output:
                return
        else:
            new, self._running = count - self._running, count
            if new <= 0:
                return
        while self._ends[self._read] < end:
            self._read += 1
        self.content.times.append(self._stamps[self._read])
        self.content.counts.append(new)

    def _learn(self, start: int, end: int, text: str) -> None:
        """Make the event the template, when its text stands in it literally and once, and its count, if any, behind it."""
        block = self._body[start:end]
        found = list(_TEXT.finditer(block))
        if len(found) != 1 or found[0][1].decode("utf-8", "replace") != text:
            return
        before, behind = block[: found[0].start(1)], block[found[0].end(1) :]
        counts = len(_COUNT.findall(behind))
        # Past the first text, counting is decided: an event of the other kind is parsed.
        if _COUNT.search(before) or counts != (self._running is not None):
            self._prefix = b""
            return
        self._prefix, self._rest, self._counted = before, _pattern(behind), counts == 1


def _output(choice: dict[str, Any]) -> tuple[str, bool]:
    """The text that a choice brings, and whether it brings a tool call."""
    delta = choice.get("delta")
    if isinstance(delta, dict):
        texts = [delta[key] for key in _TEXT_KEYS if isinstance(delta.get(key), str)]
        return "".join(texts), bool(delta.get("tool_calls"))
    text = choice.get("text")
    return (text, False) if isinstance(text, str) else ("", False)


def _pattern(behind: bytes) -> re.Pattern[bytes]:
    parts, position = [rb'([^"\\\x00-\x1f]*)'], 0
    for found in _VARIABLE.finditer(behind):
        group = 2 if found[2] is not None else 3
        parts += [re.escape(behind[position : found.start(group)])]
        parts += [rb"(\d+)" if found[1] else rb"\d+" if group == 2 else rb'[^"\\]*']
        position = found.end(group)
    return _compiled(b"".join([*parts, re.escape(behind[position:])]))


@lru_cache(maxsize=256)
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)
