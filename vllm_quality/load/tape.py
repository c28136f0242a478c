"""A tape: every request of a scenario, encoded and with its time, before the clock starts.

The same scenario and seed make the same tape to the byte, and a saved tape replays to the byte against the next release:
that is what makes two releases' speeds comparable. What belongs to an endpoint and not to the work (model name, usage
options, cache salt) is put around a body when it is sent (`client.Target`), so that it is not in the hash.

A tape splits over processes or pods by taking every n-th entry of each stage: due times stay absolute.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vllm_quality.load.data.synthetic import CountTokens, Prompt, synthesize
from vllm_quality.load.errors import LoadError
from vllm_quality.load.scenario import Api, Scenario
from vllm_quality.load.schedule import Concurrency, Constant, Load

FORMAT = 1
PATHS: dict[Api, str] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
_LOAD: TypeAdapter[Load] = TypeAdapter(Load)


@dataclass(frozen=True)
class Entry:
    """One request to be sent.

    due_s           seconds after its stage's start; None in a closed loop, where an ended request is followed by the next
    item            id of the prompt
    body            JSON object, UTF-8, without the endpoint's own keys
    prompt_tokens   counted by the endpoint's tokenizer; None where it was not asked
    """

    due_s: float | None
    item: str
    body: bytes
    prompt_tokens: int | None


@dataclass(frozen=True)
class TapeStage:
    """One stage's load and its requests, in the order in which they are sent."""

    load: Load
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Tape:
    """Warm-up requests, then the stages in sequence. path: where the requests go, such as /v1/completions."""

    path: str
    streaming: bool
    warmup: tuple[Entry, ...]
    stages: tuple[TapeStage, ...]

    @cached_property
    def sha256(self) -> str:
        """The hash of the saved form."""
        return hashlib.sha256(self.dump()).hexdigest()

    def dump(self) -> bytes:
        """JSON lines: a head, then for each stage (the warm-up first) its load and its entries. `load_tape` reads it."""
        lines: list[Any] = [{"format": FORMAT, "path": self.path, "streaming": self.streaming}]
        lines += [{"stage": None}, *map(_line, self.warmup)]
        for stage in self.stages:
            lines += [{"stage": stage.load.model_dump(mode="json")}, *map(_line, stage.entries)]
        return b"".join(_compact(line) + b"\n" for line in lines)


def _line(entry: Entry) -> list[Any]:
    return [entry.due_s, entry.item, entry.prompt_tokens, entry.body.decode()]


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def load_tape(saved: bytes) -> Tape:
    """The tape that `Tape.dump` saved, byte for byte. Raises `LoadError` when it is not one."""
    try:
        head, *lines = map(json.loads, saved.rstrip(b"\n").split(b"\n"))
        if head["format"] != FORMAT:
            raise LoadError(f"The tape has format {head['format']!r} and this version reads {FORMAT}; build it again.")
        parts: list[tuple[Any, list[Entry]]] = []
        for line in lines:
            if isinstance(line, dict):
                parts.append((line["stage"], []))
            else:
                due_s, item, prompt_tokens, body = line
                parts[-1][1].append(Entry(due_s, item, body.encode(), prompt_tokens))
        stages = tuple(TapeStage(_LOAD.validate_python(load), tuple(entries)) for load, entries in parts[1:])
        return Tape(head["path"], head["streaming"], tuple(parts[0][1]), stages)
    except (ValueError, KeyError, TypeError, IndexError, ValidationError) as error:
        raise LoadError(f"The tape cannot be read ({type(error).__name__}); build it again.") from None


def build_tape(scenario: Scenario, count_tokens: CountTokens | None = None) -> Tape:
    """Every request of a scenario. Prompts differ over all stages and the warm-up; see `prompts` for their lengths."""

    def entries(part: str, due_s: list[float] | list[None]) -> tuple[Entry, ...]:
        prompts = synthesize(len(due_s), scenario.input_tokens, f"{scenario.seed}/{part}", count_tokens)
        return tuple(
            Entry(due, prompt.item, _body(scenario, prompt), prompt.tokens)
            for due, prompt in zip(due_s, prompts, strict=True)
        )

    stages = tuple(TapeStage(stage, entries(stage.label, _due_s(stage))) for stage in scenario.stages)
    warmup = entries("(warm-up)", [None] * scenario.warmup_requests)
    return Tape(PATHS[scenario.api], scenario.streaming, warmup, stages)


def _due_s(stage: Load) -> list[float] | list[None]:
    match stage:
        case Constant():
            return stage.due_s()
        case Concurrency():
            return [None] * stage.requests


def _body(scenario: Scenario, prompt: Prompt) -> bytes:
    body: dict[str, Any] = {"max_tokens": scenario.output_tokens, "temperature": scenario.temperature}
    if scenario.ignore_eos:
        body["ignore_eos"] = True
    if scenario.streaming:
        body["stream"] = True
    if scenario.api == "chat":
        body["messages"] = [{"role": "user", "content": prompt.text}]
    else:
        body["prompt"] = prompt.text
    return _compact(body)
