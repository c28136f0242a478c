"""A tape: every request of a scenario, encoded and with its time, before the clock starts.

The same scenario and seed make the same tape to the byte, and a saved tape replays to the byte against the next release:
that is what makes two releases' speeds comparable. What belongs to an endpoint and not to the work (model name, usage
options, cache salt) is put around a body when it is sent (`client.Target`), so that it is not in the hash.

A tape is a folder: `head.json` and the files of `tape_files`. It is written request by request and mapped into memory, so
that a million requests need no memory to build or to play.

It splits over processes or pods by sessions: lane i of n plays the sessions i, i + n, … of each stage; due times stay
absolute. Every lane opens the same folder.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, overload

from pydantic import TypeAdapter, ValidationError

from vllm_quality.load.data.requests import Asked, Requests, body_of, requests_of
from vllm_quality.load.data.tokens import CountTokens
from vllm_quality.load.errors import LoadError
from vllm_quality.load.scenario import Api, Scenario
from vllm_quality.load.schedule import Concurrency, Load, Trace, Users
from vllm_quality.load.tape_files import RowReader
from vllm_quality.load.tape_writer import FORMAT, HEAD, Digest, TapeWriter

PATHS: dict[Api, str] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
_LOAD: TypeAdapter[Load] = TypeAdapter(Load)


class Entry(NamedTuple):
    """One request to be sent.

    due_s           seconds after its stage's start; None in a closed loop, where an ended request is followed by the next,
                    and for a session's turns after the first
    item            id of the prompt
    body            JSON object, UTF-8, without the endpoint's own keys
    prompt_tokens   counted by the endpoint's tokenizer; None where it was not asked
    session, turn   number of the session in its stage, and of the turn in its session, from 0
    output_tokens   how many were asked for
    """

    due_s: float | None
    item: str
    body: bytes
    prompt_tokens: int | None
    session: int = 0
    turn: int = 0
    output_tokens: int = 0


class Entries(Sequence[Entry]):
    """A run of rows of a tape's files, read as they are asked for."""

    def __init__(self, rows: RowReader, first: int, count: int) -> None:
        self._rows, self._first, self._count = rows, first, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        number = index + self._count if index < 0 else index
        if not 0 <= number < self._count:
            raise IndexError(index)
        return Entry._make(self._rows.row(self._first + number))

    def session_starts(self) -> Sequence[int]:
        """At which entry each session begins."""
        return self._rows.session_starts(self._first, self._count)


class Sessions(Sequence[tuple[int, int]]):
    """(first entry, how many) of each session."""

    def __init__(self, starts: Sequence[int], entries: int) -> None:
        self._starts, self._entries = starts, entries

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[int, int]]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, int] | Sequence[tuple[int, int]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(index)
        first = self._starts[number]
        return first, (self._starts[number + 1] if number + 1 < len(self) else self._entries) - first


def sessions_of(entries: Sequence[Entry]) -> Sessions:
    """The sessions of entries, which lie one after the other."""
    if isinstance(entries, Entries):
        return Sessions(entries.session_starts(), len(entries))
    numbers = [entry.session for entry in entries]
    starts = [index for index, number in enumerate(numbers) if not index or number != numbers[index - 1]]
    return Sessions(starts, len(numbers))


@dataclass(frozen=True)
class TapeStage:
    """One stage's load and its requests, in the order in which they are sent; those of one session are consecutive."""

    load: Load
    entries: Sequence[Entry]

    @cached_property
    def sessions(self) -> Sessions:
        """(first entry, how many) of each session; single requests are sessions of one."""
        return sessions_of(self.entries)


@dataclass(frozen=True)
class Tape:
    """Warm-up requests, then the stages in sequence.

    path       where the requests go, such as /v1/completions
    pool       from which the probes of a capacity search take; empty without one
    repeated   entries whose body another one before it has already: the data did not suffice
    left_out   turns of the data that were passed over, since the model's window does not hold them
    shortened  synthetic requests that were drawn longer than the window, and cut down to it
    data       what is to be said about the file of conversations: format, rows, bad_rows, quarantined; None without one
    folder     where it lies; None for one made by hand
    """

    path: str
    streaming: bool
    warmup: Sequence[Entry]
    stages: tuple[TapeStage, ...]
    pool: Sequence[Entry] = ()
    repeated: int = 0
    left_out: int = 0
    shortened: int = 0
    data: Mapping[str, Any] | None = None
    folder: Path | None = None
    digest: str | None = field(default=None, repr=False)

    @cached_property
    def sha256(self) -> str:
        """The hash of what is sent when: of path, loads and entries, whatever form they are stored in."""
        return self.digest or _digest(self)

    def save(self, folder: Path) -> None:
        """Write it to a folder, which `open_tape` reads. Raises `LoadError` when it cannot be written."""
        if self.folder is not None and folder.resolve() == self.folder.resolve():
            return
        with _writing(folder), TapeWriter(folder, self.path, self.streaming) as writer:
            for load, entries in _sections(self):
                writer.section(load, entries)
            writer.finish(self.repeated, self.left_out, self.shortened, self.data)


def open_tape(folder: Path, *, verify: bool = False) -> Tape:
    """The tape of a folder, byte for byte; its requests stay on disk until they are asked for.

    verify: read them all and compare their hash, as for a tape that someone kept or sent. Raises `LoadError` when the folder
    holds none or a damaged one.
    """
    try:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        if head["format"] != FORMAT:
            raise LoadError(
                f"{folder} is a tape of format {head['format']!r}; this version reads {FORMAT}: build it again."
            )
        rows = RowReader(folder)
        counts = [int(section["entries"]) for section in head["sections"]]
        if sum(counts) != rows.rows or len(counts) < 2 or min(counts) < 0:
            raise ValueError(f"it tells of {sum(counts)} requests and holds {rows.rows}")
        firsts = [sum(counts[:number]) for number in range(len(counts))]
        warmup, *stages, pool = (Entries(rows, first, count) for first, count in zip(firsts, counts, strict=True))
        loads = [_LOAD.validate_python(section["load"]) for section in head["sections"][1:-1]]
        tape = Tape(
            path=str(head["path"]),
            streaming=bool(head["streaming"]),
            warmup=warmup,
            stages=tuple(TapeStage(load, entries) for load, entries in zip(loads, stages, strict=True)),
            pool=pool,
            repeated=int(head["repeated"]),
            left_out=int(head["left_out"]),
            shortened=int(head["shortened"]),
            data=head["data"],
            folder=folder,
            digest=str(head["sha256"]),
        )
        if verify and _digest(tape) != tape.digest:
            raise ValueError("its requests are not those that were saved")
    except OSError as error:
        raise LoadError(f"{folder} holds no tape that can be read ({error.strerror}); build it again.") from None
    except ValidationError:
        raise LoadError(f"{folder} holds a damaged tape (a load that is none); build it again.") from None
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise LoadError(f"{folder} holds a damaged tape ({error}); build it again.") from None
    return tape


def build_tape(
    scenario: Scenario, count_tokens: CountTokens | None, folder: Path, *, max_model_len: int | None = None
) -> Tape:
    """Write every request of a scenario to a folder, and open it. Prompts differ over the warm-up, all stages and the pool.

    count_tokens    as the endpoint counts; None takes a word for a token
    max_model_len   the model's window, in tokens; None is unlimited

    Raises `LoadError` when the data cannot be used, the lengths cannot be met, or the window does not hold them.
    """
    requests = requests_of(scenario, count_tokens, max_model_len)
    with _writing(folder), TapeWriter(folder, PATHS[scenario.api], scenario.streaming) as writer:
        # Warm-up requests are single: nothing is said twice before the clock starts.
        warmup = ([session[0]] for session in requests.sessions("(warm-up)", scenario.warmup_requests))
        writer.section(None, _entries(scenario, warmup))
        for stage in scenario.stages:
            writer.section(stage, _stage_entries(scenario, stage, requests))
        pooled = scenario.capacity.requests if scenario.capacity is not None else 0
        writer.section(None, _entries(scenario, requests.sessions("(pool)", pooled, distinct=True)))
        writer.finish(requests.repeated, requests.left_out, requests.shortened, requests.facts)
    return open_tape(folder)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LoadError(f"The tape cannot be written to {folder} ({error.strerror}); make room there.") from None


def _stage_entries(scenario: Scenario, load: Load, requests: Requests) -> Iterator[Entry]:
    match load:
        case Concurrency(requests=int(wanted)):
            # So many requests, not sessions: the last session is cut where they are reached.
            entries = _entries(scenario, requests.sessions(load.label, wanted))
            return islice(entries, wanted)
        case Users(in_laps=False):
            return _entries(scenario, requests.once())
        case Concurrency() | Users():
            return _entries(scenario, requests.sessions(load.label, load.pool_size, distinct=True))
        case Trace():
            arrivals = load.arrivals()
            lengths = [(arrival.input_tokens, arrival.output_tokens) for arrival in arrivals]
            sessions = requests.sessions(load.label, len(arrivals), lengths=lengths)
            return _entries(scenario, sessions, load.due_of(arrivals))
        case _:
            due_s = load.due_s(f"{scenario.seed}/{load.label}")
            return _entries(scenario, requests.sessions(load.label, len(due_s)), due_s)


def _entries(
    scenario: Scenario, sessions: Iterable[Sequence[Asked]], due_s: Sequence[float] | None = None
) -> Iterator[Entry]:
    for number, session in enumerate(sessions):
        for turn, asked in enumerate(session):
            due = due_s[number] if due_s is not None and not turn else None
            body = body_of(scenario, asked)
            yield Entry(due, asked.item, body, asked.prompt_tokens, number, turn, asked.output_tokens)


def _sections(tape: Tape) -> list[tuple[Load | None, Sequence[Entry]]]:
    return [(None, tape.warmup), *((stage.load, stage.entries) for stage in tape.stages), (None, tape.pool)]


def _digest(tape: Tape) -> str:
    digest = Digest(tape.path, tape.streaming)
    for load, entries in _sections(tape):
        digest.section(load)
        for entry in entries:
            digest.row(entry)
    return digest.hexdigest()
