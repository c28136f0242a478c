"""Queries from a server that stores completions: OpenAI's `GET /v1/chat/completions`, page by page.

Source: https://platform.openai.com/docs/api-reference/chat/list (also Azure's /openai/v1). The list holds no messages on
OpenAI's own servers; they are asked for by `GET …/{id}/messages`, of the sampled completions only.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from vllm_quality.datasets.dialogue import Dialogue, Question
from vllm_quality.datasets.rows import BadRow, RowError
from vllm_quality.datasets.stored_completions import read_stored_messages
from vllm_quality.datasets.traffic.record import Record, query_in, read_record
from vllm_quality.datasets.traffic.source import Say, TrafficError
from vllm_quality.datasets.traffic.transport import GoneError, JsonClient
from vllm_quality.settings import PREFIX

_PATH = "/chat/completions"
_PAGE = 100


class StoredCompletions:
    """A `QuerySource` of a server's list."""

    dated = False
    costly = True

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        timeout_s: float,
        say: Say,
        page: int = _PAGE,
        first_pause_s: float = 1.0,
    ) -> None:
        self.name = base_url
        self._client = JsonClient(base_url, key, timeout_s=timeout_s, first_pause_s=first_pause_s)
        self._say, self._page = say, page

    def records(self, day: dt.date, asked: Mapping[str, str]) -> Iterator[Record | BadRow]:
        """See `QuerySource.records`. The newest come first, and a server that keeps to that is left at the day's beginning."""
        params = [("order", "desc"), *((f"metadata[{key}]", value) for key, value in asked.items())]
        first: dt.datetime | None = None
        last: dt.datetime | None = None
        newest_first = True
        for page in self._pages(_PATH, params):
            records = [_record(entry) for entry in page]
            yield from records
            moments = [found.moment for found in records if isinstance(found, Record) and found.moment is not None]
            for moment in moments:
                newest_first = newest_first and (last is None or moment <= last)
                first, last = first or moment, moment
            # A page of one second's completions tells nothing about the order.
            falls = newest_first and first is not None and last is not None and last < first
            if falls and moments and len(moments) == len(records) and moments[0].date() < day:
                return

    def close(self) -> None:
        """See `QuerySource.close`."""
        self._client.close()

    def query(self, record: Record) -> Question:
        """See `QuerySource.query`."""
        if any("messages" in part for part in record.parts):
            return query_in(record.parts)
        try:
            listed = [
                entry for page in self._pages(f"{_PATH}/{quote(record.file, safe='')}/messages", []) for entry in page
            ]
        except GoneError:
            raise RowError("is no longer stored") from None
        return Question(Dialogue(read_stored_messages(listed)).check().question().messages)

    def _pages(self, path: str, params: Sequence[tuple[str, str]]) -> Iterator[Sequence[Any]]:
        after: str | None = None
        passed: set[str] = set()
        while True:
            behind = [] if after is None else [("after", after)]
            answer = self._get(path, [*params, ("limit", str(self._page)), *behind])
            page = answer.get("data")
            if not isinstance(page, list):
                raise TrafficError(f"{self.name}{path} has no list of data; check {PREFIX}QUERIES_URL.")
            yield page
            more = answer.get("has_more", bool(page))
            if not more:
                return
            after = _last_id(answer, page)
            if after is None or after in passed:
                raise TrafficError(
                    f"{self.name}{path} says that there is more and does not go on, so the day cannot be read; check the server."
                )
            passed.add(after)
            if len(passed) % 50 == 0:
                self._say(f"Read {len(passed)} pages of {path}")

    def _get(self, path: str, params: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
        try:
            return self._client.get(path, params)
        except GoneError:
            if path != _PATH:
                raise
        raise TrafficError(
            f"{self.name} has no {_PATH} to list (404); {PREFIX}QUERIES_URL must be a server that stores completions, with /v1."
        )


def _last_id(answer: Mapping[str, Any], page: Sequence[Any]) -> str | None:
    last = page[-1] if page else None
    found = answer.get("last_id") or (last.get("id") if isinstance(last, Mapping) else None)
    return str(found) if found is not None else None


def _record(entry: object) -> Record | BadRow:
    own = entry.get("id") if isinstance(entry, Mapping) else None
    place = str(own) if isinstance(own, str | int) else ""
    try:
        if not place:
            raise RowError("has no 'id'")
        return read_record(entry, place, 1, hashlib.sha256(place.encode("utf-8", "surrogatepass")).digest())
    except RowError as error:
        return BadRow(place, 1, str(error))
