"""Queries from logs: JSON lines in a folder or a bucket, packed or not, one line in memory at a time."""

import codecs
import datetime as dt
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast

from vllm_quality.datasets.dialogue import Question
from vllm_quality.datasets.rows import LONGEST_ROW, BadRow, RowError, parse_json, too_long
from vllm_quality.datasets.traffic.log_place import ENDINGS, is_dated, place_of, prefix_of
from vllm_quality.datasets.traffic.record import Record, query_in, read_record
from vllm_quality.datasets.traffic.source import Say, TrafficError
from vllm_quality.settings import PREFIX


class Logs:
    """A `QuerySource` of log files. Two equal lines are one row: logs are shipped again when shipping failed."""

    costly = False

    def __init__(self, url: str, s3_endpoint: str | None, say: Say) -> None:
        self.name, self.dated = url, is_dated(url)
        self._endpoint, self._say = s3_endpoint, say

    def records(self, day: dt.date, asked: Mapping[str, str]) -> Iterator[Record | BadRow]:  # noqa: ARG002
        """See `QuerySource.records`."""
        prefix = prefix_of(self.name, day)
        place = place_of(prefix, self._endpoint)
        found = place.names()
        names = [name for name in found if name.endswith(ENDINGS)]
        if not names:
            others = f" ({len(found)} others begin so)" if found else ""
            raise TrafficError(
                f"No log of {', '.join(ENDINGS)} begins with {prefix}{others}, so nothing is known of {day.isoformat()}; "
                f"check {PREFIX}QUERIES_URL, or wait until the day's logs are there."
            )
        top = prefix.partition("://")[2].rpartition("/")[0] + "/" if prefix.startswith("file:") else ""
        for at, name in enumerate(names, start=1):
            self._say(f"Reading log {at} of {len(names)}: {name}")
            with place.open(name) as stream:
                yield from _rows(stream, name, name.removeprefix(top))

    def close(self) -> None:
        """See `QuerySource.close`: every log was closed when it had been read."""

    def query(self, record: Record) -> Question:
        """See `QuerySource.query`."""
        return query_in(record.parts)


def _rows(stream: BinaryIO, name: str, file: str) -> Iterator[Record | BadRow]:
    for number, line in _lines(stream, name):
        try:
            if isinstance(line, RowError):
                raise line
            yield read_record(_parsed(line), file, number, hashlib.sha256(line.strip()).digest())
        except RowError as error:
            yield BadRow(file, number, str(error))


def _lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes | RowError]]:
    """The lines that are not blank, with their numbers."""
    plain = cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if name.endswith(".gz") else stream
    number = 0
    try:
        while line := plain.readline(LONGEST_ROW + 1):
            number += 1
            if len(line) > LONGEST_ROW:
                while line and not line.endswith(b"\n"):
                    line = plain.readline(LONGEST_ROW)
                yield number, too_long()
            elif (line := line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip():
                yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise TrafficError(
            f"The log {name} is broken or cut off behind line {number}; put the whole file there, then run this again."
        ) from None
    except OSError as error:
        raise TrafficError(
            f"The log {name} cannot be read behind line {number} ({error.strerror or type(error).__name__}); run this again."
        ) from None


def _parsed(line: bytes) -> object:
    try:
        return parse_json(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise RowError("is not UTF-8") from None
