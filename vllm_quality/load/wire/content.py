"""What answers say in JSON: their text, their counts, their faults."""

import json
from array import array
from dataclasses import dataclass, field
from typing import Any

from vllm_quality.load.wire.exchange import Outcome

_TEXT_KEYS = ("content", "reasoning_content", "reasoning")


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


def output_of(choice: dict[str, Any]) -> tuple[str, bool]:
    """The text that a choice brings, and whether it brings a tool call."""
    delta = choice.get("delta")
    if isinstance(delta, dict):
        texts = [delta[key] for key in _TEXT_KEYS if isinstance(delta.get(key), str)]
        return "".join(texts), bool(delta.get("tool_calls"))
    text = choice.get("text")
    return (text, False) if isinstance(text, str) else ("", False)
