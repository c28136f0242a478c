"""A JSON list's elements one after another, in bounded memory: ShareGPT is one list of 670 MB."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from vllm_quality.datasets.rows import LONGEST_ROW, RowError, is_text, too_long

_TRIMMED = 2**20  # characters read before the window is cut to what is left, which is copied
_LONGEST_TOKEN = 16  # characters of a JSON number's exponent, escape or literal that a window may cut apart
_NOT_SPACE = re.compile(r"[^ \t\n\r]")


class ListReader:
    """A window on the text of a list: what is before `_at` was read. Raises nothing: see `rows`."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        # Bytes that are no UTF-8 become lone surrogates, which are found below: so they spoil one row and not the file.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._chunks, self._ended = chunks, False
        self._text, self._at = "", 0
        self._no_number = False
        self._json = json.JSONDecoder(parse_constant=self._constant, parse_int=self._integer)

    def rows(self) -> Iterator[Any]:
        """The elements; in place of one that cannot be read its RowError, which is the last one where the list is broken."""
        try:
            if (found := self._next()) != "[":
                raise RowError("is not JSON: the file is empty" if found is None else "is not a list of rows")
            self._at += 1
            if self._next() == "]":
                self._at += 1
            else:
                yield from self._elements()
            if self._next() is not None:
                raise RowError("is behind the list's end, where nothing may stand; JSON lines are named .jsonl")
        except RowError as error:
            yield error

    def _elements(self) -> Iterator[Any]:
        separator = ","
        while separator == ",":
            yield self._element()
            separator, rest = self._text[self._at], self._at + 1
            self._text, self._at = (self._text[rest:], 0) if rest > _TRIMMED else (self._text, rest)

    def _element(self) -> Any:
        """The element in front, which `,` or `]` follows. Read again with more text while it may go on behind the window."""
        self._next()
        while True:
            seen, self._no_number = len(self._text), False
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                why, end = f"{error.msg[0].lower()}{error.msg[1:]}", error.pos
                cut_off = end > seen - _LONGEST_TOKEN or why.startswith("unterminated string")
            except RecursionError:
                raise RowError("is nested too deeply; the rest of the file was not read") from None
            else:
                start, self._at = self._at, end
                if self._next() in (",", "]"):
                    return self._checked(value, start, end)
                self._at, why, cut_off = start, "expecting ',' or ']'", end > seen - _LONGEST_TOKEN
            if len(self._text) - self._at > LONGEST_ROW:
                raise RowError(f"{too_long()}, or is not JSON; the rest of the file was not read")
            if not cut_off or (len(self._text) == seen and not self._more()):
                raise RowError(f"is not JSON: {why}; the rest of the file was not read")

    def _checked(self, value: Any, start: int, end: int) -> Any:
        if end - start > LONGEST_ROW:
            return too_long()
        if self._no_number:
            return RowError("is not JSON: it holds NaN, Infinity or a number of thousands of digits")
        return value if is_text(self._text[start:end]) else RowError("is not UTF-8")

    def _next(self) -> str | None:
        """The next character that is not white space; None at the end of the file."""
        while True:
            if found := _NOT_SPACE.search(self._text, self._at):
                self._at = found.start()
                return found.group()
            self._at = len(self._text)
            if not self._more():
                return None

    def _more(self) -> bool:
        """Whether there was another chunk to read. Positions in the window stay what they are."""
        if self._ended:
            return False
        chunk = next(self._chunks, b"")
        self._ended = not chunk
        self._text += self._decoder.decode(chunk, self._ended)
        return not self._ended

    def _constant(self, _name: str) -> None:
        self._no_number = True

    def _integer(self, digits: str) -> int:
        try:
            return int(digits)
        except ValueError:
            self._no_number = True
            return 0
