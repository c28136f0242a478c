"""What most events of a stream have in common: all but their text and their counts.

The first event with text is parsed as JSON and becomes the template: its bytes before the text, and a pattern for what is
behind it. An event that fits says what the parsed one said, but for the text and the counts. Where in addition each read
brought one such event, whole runs of reads are compared at once, by functions that loop in C.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from operator import eq, indexOf

from vllm_quality.load.wire.chunks import ChunkHeads

_TEXT = re.compile(rb'"(?:text|content|reasoning_content|reasoning)"\s*:\s*"([^"\\\x00-\x1f]+)"')
_COUNT = re.compile(rb'"completion_tokens"\s*:')
# What may differ behind the text, from one event to the next or from one stream to the next.
_VARIABLE = re.compile(rb'"(?:(completion_tokens)|(total_tokens)|created)"\s*:\s*(\d+)|"id"\s*:\s*"([^"\\]*)"')
_UNUSUAL = re.compile(rb'["\\\x00-\x09\x0b-\x1f]')
_RUN = 128


@dataclass(frozen=True, slots=True)
class Template:
    """prefix: an event up to its text; rest: matches from the text on, with the groups text and, if counted, count."""

    prefix: bytes
    rest: re.Pattern[bytes]
    counted: bool
    run: "Run"


def learn(block: bytes, text: str, *, counting: bool, framed: bool) -> Template | None:
    """The template of an event, when its text stands in it literally and once, and its count, if any, behind it.

    counting: whether this server counts as it goes; that is decided by now, and an event of the other kind is no template.
    """
    found = list(_TEXT.finditer(block))
    if len(found) != 1 or found[0][1].decode("utf-8", "replace") != text:
        return None
    prefix, behind = block[: found[0].start(1)], block[found[0].end(1) :]
    if _COUNT.search(prefix) or len(_COUNT.findall(behind)) != counting:
        return None
    return Template(prefix, _pattern(behind), counting, Run(prefix, behind, framed=framed))


class Run:
    """Reads that hold one event each, alike but for the text; where the server counts, each with one token more.

    framed: a read is a chunk, with its framing.
    """

    def __init__(self, prefix: bytes, behind: bytes, *, framed: bool) -> None:
        self._prefix = prefix
        self._heads = ChunkHeads(prefix) if framed else None
        self._tail = behind + (b"\r\n" if framed else b"")
        self._end = self._tail[-4 if framed else -2 :]
        self._two = 2 * (len(prefix) + len(self._tail))  # the least length of a read that holds two
        self._form = _form(self._tail)

    def units(self, pieces: list[bytes]) -> tuple[list[bytes], list[int]]:
        """The first reads' events, each with its framing, and the index of each one's read; none where all have their own.

        A client that is a little late reads two events at once. Ends before a read whose last event is not whole.
        """
        several = [index for index, length in enumerate(map(len, pieces)) if length >= self._two]
        if not several:
            return pieces, []
        units: list[bytes] = []
        owners: list[int] = []
        begin = 0
        for index in several:
            units += pieces[begin:index]
            owners += range(begin, index)
            *whole, cut = pieces[index].split(self._end)
            if cut:
                return units, owners
            units += [part + self._end for part in whole]
            owners += [index] * len(whole)
            begin = index + 1
        return units + pieces[begin:], [*owners, *range(begin, len(pieces))]

    def texts(self, units: list[bytes], running: int) -> list[bytes]:
        """The texts of the units up to the first that does not fit. running: the server's count before them."""
        texts: list[bytes] = []
        while some := units[len(texts) : len(texts) + _RUN]:
            found = self._texts(some, running + len(texts))
            texts += found
            if len(found) < len(some):
                break
        return texts

    def _texts(self, some: list[bytes], running: int) -> list[bytes]:
        tails = [self._tail] * _RUN if self._form is None else _next_tails(*self._form, running)
        heads = [self._prefix] * len(some) if self._heads is None else [*map(self._heads.__getitem__, map(len, some))]
        begin, end = len(heads[0]), len(tails[0])
        if end == len(tails[-1]):
            texts = [unit[begin:-end] for unit in some]
        else:
            texts = [unit[begin:-end] for unit, end in zip(some, map(len, tails), strict=False)]
        # Put together again, those that fit are what they were.
        again = [*map(b"".join, zip(heads, texts, tails, strict=False))]
        if again != some:
            del texts[indexOf(map(eq, again, some), False) :]
        if self._form is None and not all(texts):
            del texts[texts.index(b"") :]
        return _plain(texts)


def _plain(texts: list[bytes]) -> list[bytes]:
    """The texts without JSON's escapes, up to the first that is no inside of a JSON string."""
    joined = b"\n".join(texts)
    if joined.count(b"\n") == len(texts) - 1 and _UNUSUAL.search(joined) is None:
        return texts
    plain = []
    for text in texts:
        if b"\n" in text or _UNUSUAL.search(text):
            try:
                text = json.loads(f'"{text.decode("utf-8", "replace")}"').encode("utf-8", "replace")
            except ValueError:
                break
        plain.append(text)
    return plain


@lru_cache(maxsize=256)
def _form(tail: bytes) -> tuple[bytes, tuple[int, ...]] | None:
    """A tail with its counts open, and what each is above the count of tokens; None where there is none."""
    found = [found for found in _VARIABLE.finditer(tail) if found[1] or found[2]]
    count = next((int(one[3]) for one in found if one[1]), None)
    if count is None:
        return None
    parts, position = [], 0
    for one in found:
        parts += [tail[position : one.start(3)].replace(b"%", b"%%"), b"%d"]
        position = one.end(3)
    parts += [tail[position:].replace(b"%", b"%%")]
    return b"".join(parts), tuple(int(one[3]) - count for one in found)


def _next_tails(form: bytes, above: tuple[int, ...], running: int) -> list[bytes]:
    block, begun = divmod(running, _RUN)
    tails = _counted_tails(form, above, block)
    return tails[begun:] + _counted_tails(form, above, block + 1)[:begun] if begun else tails


@lru_cache(maxsize=128)
def _counted_tails(form: bytes, above: tuple[int, ...], block: int) -> list[bytes]:
    """The tails of one block of counts; the first block begins with a count of 1."""
    first = block * _RUN + 1
    return [form % row for row in zip(*(range(first + more, first + more + _RUN) for more in above), strict=True)]


@lru_cache(maxsize=256)
def _pattern(behind: bytes) -> re.Pattern[bytes]:
    parts, position = [rb'([^"\\\x00-\x1f]*)'], 0
    for found in _VARIABLE.finditer(behind):
        group = 3 if found[3] is not None else 4
        parts += [re.escape(behind[position : found.start(group)])]
        parts += [rb"(\d+)" if found[1] else rb"\d+" if group == 3 else rb'[^"\\]*']
        position = found.end(group)
    return _compiled(b"".join([*parts, re.escape(behind[position:])]))


@lru_cache(maxsize=256)
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)
