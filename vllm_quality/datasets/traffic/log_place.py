"""Where a day's logs are: an address with places for the day, and the files that begin with it."""

import datetime as dt
import os
from pathlib import Path
from typing import BinaryIO, Protocol

from vllm_quality.datasets.traffic.source import TrafficError
from vllm_quality.settings import PREFIX

ENDINGS = tuple(f"{ending}{packed}" for ending in (".jsonl", ".ndjson", ".log") for packed in ("", ".gz"))
_PLACES = ("{year}", "{month}", "{day}")


class LogPlace(Protocol):
    """Files of logs by name."""

    def names(self) -> list[str]:
        """The names of all files that begin with the prefix, sorted. Raises `TrafficError` when they cannot be listed."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A file, to be read once from its beginning. Raises `TrafficError`, also while it is read."""
        ...


def is_dated(url: str) -> bool:
    """Whether an address has a place for the day."""
    return any(place in url for place in _PLACES)


def prefix_of(url: str, day: dt.date) -> str:
    """The address of a day's logs. `{day}` is 2026-11-21, or 21 where the address has the month in a place of its own."""
    apart = "{month}" in url or "{year}" in url
    texts = (f"{day.year:04}", f"{day.month:02}", f"{day.day:02}" if apart else day.isoformat())
    for place, text in zip(_PLACES, texts, strict=True):
        url = url.replace(place, text)
    return url


def place_of(url: str, s3_endpoint: str | None) -> LogPlace:
    """The files that an address without places stands for."""
    if url.startswith("s3://"):
        from vllm_quality.datasets.traffic.s3_logs import S3LogPlace

        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        return S3LogPlace(bucket, prefix, s3_endpoint)
    return FileLogPlace(url.removeprefix("file://"))


class FileLogPlace:
    """Files of a folder tree whose paths begin with a prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def names(self) -> list[str]:
        """See `LogPlace.names`."""

        def failed(error: OSError) -> None:
            if isinstance(error, FileNotFoundError):
                return  # the day's folder: that there is no log is said where the logs are wanted
            raise TrafficError(
                f"The folder of logs {error.filename} cannot be read ({error.strerror}); check {PREFIX}QUERIES_URL."
            ) from None

        top = self._prefix.rpartition("/")[0] or "/"
        found = [Path(folder) / name for folder, _, names in os.walk(top, onerror=failed) for name in names]
        return sorted(str(path) for path in found if str(path).startswith(self._prefix))

    def open(self, name: str) -> BinaryIO:
        """See `LogPlace.open`."""
        try:
            return Path(name).open("rb")
        except OSError as error:
            raise TrafficError(f"The log {name} cannot be read ({error.strerror}); check its permissions.") from None
