"""What a scenario asks: sessions of one or more requests, synthetic or from recorded conversations, and their bodies."""

import json
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from vllm_quality.datasets.schema import Message
from vllm_quality.load.data.conversations import SAMPLE_CONVERSATIONS, Conversation, read_conversations
from vllm_quality.load.data.lengths import Lengths, draw_lengths, shortest
from vllm_quality.load.data.synthetic import Synthesizer
from vllm_quality.load.data.tokens import CountTokens
from vllm_quality.load.errors import LoadError
from vllm_quality.load.scenario import SAMPLE, Data, Scenario

# (input tokens, output tokens) that a trace brings; None: as the scenario says.
OwnLengths = Sequence[tuple[int | None, int | None]]

_ANSWER_TOKENS = 128  # asked for where neither the scenario nor the recorded answer tells
_MOST_ANSWER_TOKENS = 16_384  # of a recorded answer
_TOKENS_PER_WORD = 4 / 3
_LETTERS_PER_TOKEN = 4.0
_HANGUL_PER_TOKEN = 1.5


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. asked: the prompt's text, or in chat the messages."""

    item: str
    asked: str | tuple[Message, ...]
    prompt_tokens: int | None
    output_tokens: int


class Requests(ABC):
    """Where the requests of one tape come from. Sessions are taken in the order of the tape's parts.

    repeated   requests given more than once, counted from the second time
    left_out   turns passed over since the model's window does not hold them
    shortened  synthetic requests drawn longer than the window, and cut down to it
    facts      JSON-able facts about the file; None for synthetic prompts
    """

    repeated = 0
    left_out = 0
    shortened = 0
    facts: Mapping[str, Any] | None = None

    @abstractmethod
    def sessions(
        self, part: str, count: int, /, *, distinct: bool = False, lengths: OwnLengths | None = None
    ) -> Iterator[Sequence[Asked]]:
        """`count` sessions; with `distinct`, fewer where there are not so many different ones."""

    @abstractmethod
    def once(self) -> Iterator[Sequence[Asked]]:
        """Every session that there is, once."""


def requests_of(scenario: Scenario, count_tokens: CountTokens | None, max_model_len: int | None) -> Requests:
    """Where a scenario's requests come from. Raises `LoadError` when its data cannot be used."""
    if scenario.data is not None:
        return _Conversations(scenario, scenario.data, count_tokens, max_model_len)
    return _Synthetic(scenario, count_tokens, max_model_len)


def body_of(scenario: Scenario, asked: Asked) -> bytes:
    """The JSON body without the endpoint's own keys."""
    body: dict[str, Any] = {"max_tokens": asked.output_tokens, "temperature": scenario.temperature}
    if scenario.ignore_eos:
        body["ignore_eos"] = True
    if scenario.streaming:
        body["stream"] = True
    body |= scenario.hyperparameters
    if scenario.api == "completions":
        body["prompt"] = asked.asked if isinstance(asked.asked, str) else _as_prompt(asked.asked)
    else:
        messages = [Message("user", asked.asked)] if isinstance(asked.asked, str) else asked.asked
        body["messages"] = [{"role": message.role, "content": message.content} for message in messages]
    # Half a surrogate pair, which JSON can hold and UTF-8 cannot, becomes a question mark.
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class _Synthetic(Requests):
    def __init__(self, scenario: Scenario, count_tokens: CountTokens | None, max_model_len: int | None) -> None:
        assert scenario.input_tokens is not None  # noqa: S101  # the scenario has seen to it
        assert scenario.output_tokens is not None  # noqa: S101
        self._input: Lengths = scenario.input_tokens
        self._output: Lengths = scenario.output_tokens
        self._seed, self._window = scenario.seed, max_model_len
        self._prompts = Synthesizer(str(scenario.seed), count_tokens, scenario.shared_prefix)

    def sessions(
        self, part: str, count: int, /, *, distinct: bool = False, lengths: OwnLengths | None = None
    ) -> Iterator[Sequence[Asked]]:
        del distinct  # no two are alike anyway
        inputs = draw_lengths(self._input, count, f"{self._seed}/{part}/input")
        outputs = draw_lengths(self._output, count, f"{self._seed}/{part}/output")
        for index, (own_input, own_output) in enumerate(lengths or ()):
            inputs[index] = inputs[index] if own_input is None else max(1, own_input)
            outputs[index] = outputs[index] if own_output is None else max(1, own_output)
        self._fit(inputs, outputs)
        for prompt, output in zip(self._prompts.prompts(part, inputs), outputs, strict=True):
            yield (Asked(prompt.item, prompt.text, prompt.tokens, output),)

    def _fit(self, inputs: list[int], outputs: list[int]) -> None:
        """Cut down what the window does not hold, prompts first, as far as the scenario's shortest ones."""
        if self._window is None:
            return
        least_input, least_output = shortest(self._input), shortest(self._output)
        for index, (tokens, answer) in enumerate(zip(inputs, outputs, strict=True)):
            if (over := tokens + answer - self._window) <= 0:
                continue
            inputs[index] = max(min(tokens, least_input), tokens - over)
            outputs[index] = max(min(answer, least_output), answer - (over - (tokens - inputs[index])))
            if inputs[index] + outputs[index] > self._window:
                raise LoadError(
                    f"The scenario asks for prompt and answer of {inputs[index] + outputs[index]} tokens together at the "
                    f"least, and the model's window holds {self._window}; lower input_tokens or output_tokens."
                )
            self.shortened += 1

    def once(self) -> Iterator[Sequence[Asked]]:
        raise LoadError("Synthetic prompts are never used up; give the users a runtime.")


class _Conversations(Requests):
    """Recorded conversations in a seeded order; when all were taken, in another one."""

    def __init__(
        self, scenario: Scenario, data: Data, count_tokens: CountTokens | None, max_model_len: int | None
    ) -> None:
        path = SAMPLE_CONVERSATIONS if data.path == SAMPLE else Path(data.path)
        file = read_conversations(path, data.format, data.columns)
        self._scenario, self._turns, self._path = scenario, data.turns, path
        self._count, self._window = count_tokens, max_model_len
        self._conversations = file.conversations
        # What the template and the special tokens add is no part of an answer.
        self._around = 0 if count_tokens is None else count_tokens("a") - 1
        self._read: dict[int, tuple[Asked, ...]] = {}
        self._given: set[str] = set()
        self._left, self._lap = list[int](), 0
        self.facts = {
            "file": path.name,
            "format": file.format,
            "conversations": len(file.conversations),
            "rows": file.rows,
            "bad_rows": file.bad_rows,
            "quarantined": [asdict(row) for row in file.quarantined],
        }

    def sessions(
        self, _part: str, count: int, /, *, distinct: bool = False, lengths: OwnLengths | None = None
    ) -> Iterator[Sequence[Asked]]:
        if distinct and count > len(self._left):
            self._left = []  # the next lap holds each once
        for index, session in enumerate(islice(self._next(distinct), count)):
            own_output = lengths[index][1] if lengths else None
            if own_output is not None:
                first = session[0]
                session = (Asked(first.item, first.asked, first.prompt_tokens, max(1, own_output)), *session[1:])
            yield self._noted(session)

    def once(self) -> Iterator[Sequence[Asked]]:
        self._left = []
        return map(self._noted, self._next(True))

    def _next(self, one_lap: bool) -> Iterator[tuple[Asked, ...]]:
        """The next sessions that the window holds; without end unless one lap is asked for."""
        while True:
            if not self._left:
                self._left = list(range(len(self._conversations)))
                random.Random(f"{self._scenario.seed}/order/{self._lap}").shuffle(self._left)  # noqa: S311
                self._lap += 1
            found = False
            while self._left:
                session = self._session(self._left.pop())
                if session:
                    found = True
                    yield session
            if found and one_lap:
                return
            if not found and not any(map(self._session, range(len(self._conversations)))):
                raise LoadError(
                    f"No conversation of {self._path} fits into the model's window of {self._window} tokens; choose "
                    "shorter ones, or turns: first."
                )

    def _noted(self, session: tuple[Asked, ...]) -> tuple[Asked, ...]:
        for asked in session:
            self.repeated += asked.item in self._given
            self._given.add(asked.item)
        return session

    def _session(self, number: int) -> tuple[Asked, ...]:
        """A conversation's requests, as far as the window holds them; read and counted when first taken."""
        if number not in self._read:
            fitting: list[Asked] = []
            for asked, tokens in self._wanted(self._conversations[number]):
                # Later turns hold this one: they are longer.
                if self._window is not None and tokens + asked.output_tokens > self._window:
                    break
                fitting.append(asked)
            self.left_out += self._wanted_turns(self._conversations[number]) - len(fitting)
            self._read[number] = tuple(fitting)
        return self._read[number]

    def _wanted_turns(self, conversation: Conversation) -> int:
        return len(conversation.turns) if self._turns == "sessions" else 1

    def _wanted(self, conversation: Conversation) -> Iterator[tuple[Asked, int]]:
        """The requests that are asked for, each with its prompt's length in tokens, counted or estimated."""
        turns = list(enumerate(conversation.turns))
        for number, turn in {"first": turns[:1], "last": turns[-1:], "sessions": turns}[self._turns]:
            asked = turn.messages if self._scenario.api == "chat" else _as_prompt(turn.messages)
            counted = None if self._count is None else self._count(asked)
            tokens = _estimated(turn.messages) if counted is None else counted
            output = self._output_tokens(f"{conversation.item}/{number}", turn.answer)
            yield Asked(f"{conversation.item}/{number}", asked, counted, output), tokens

    def _output_tokens(self, item: str, answer: str | None) -> int:
        lengths = self._scenario.output_tokens
        if lengths is not None:
            return draw_lengths(lengths, 1, f"{self._scenario.seed}/{item}/output")[0]
        if not answer:
            return _ANSWER_TOKENS
        if self._count is None:
            tokens = round(len(answer.split()) * _TOKENS_PER_WORD)
        else:
            tokens = self._count(answer) - self._around
        return min(max(1, tokens), _MOST_ANSWER_TOKENS)


def _as_prompt(messages: Sequence[Message]) -> str:
    """A conversation as one text, for completions.

    One turn is the user's text itself, after the system's and a blank line where there is one. With a history, each word is
    a line "User: …" or "Assistant: …", and "Assistant:" ends it for the model to go on.
    """
    system = [message.content for message in messages if message.role == "system"]
    said = [message for message in messages if message.role != "system"]
    if len(said) == 1:
        return "\n\n".join([*system, said[0].content])
    lines = [f"{message.role.capitalize()}: {message.content}" for message in said]
    return "\n\n".join([*system, "\n".join([*lines, "Assistant:"])])


def _estimated(messages: Sequence[Message]) -> int:
    """Tokens of a prompt that nobody counted: four letters a token, Hangul one and a half."""
    text = "".join(message.content for message in messages)
    hangul = sum("가" <= letter <= "힣" for letter in text)
    return round((len(text) - hangul) / _LETTERS_PER_TOKEN + hangul / _HANGUL_PER_TOKEN)
