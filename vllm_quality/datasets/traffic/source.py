"""What a source of queries must do, whether it is a folder of logs or a server's list."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from vllm_quality.datasets.dialogue import Question
from vllm_quality.datasets.rows import BadRow
from vllm_quality.datasets.schema import DatasetError
from vllm_quality.datasets.traffic.record import Record
from vllm_quality.settings import PREFIX, Settings

Say = Callable[[str], None]


class TrafficError(DatasetError):
    """The service's queries cannot be read: that is not a day without any."""


class QuerySource(Protocol):
    """Where the service's queries are.

    name   for the manifest: the address without secrets
    dated  whether a row without a time stamp is one of the day, because its place is the day's
    """

    @property
    def name(self) -> str: ...

    @property
    def dated(self) -> bool: ...

    def records(self, day: dt.date, asked: Mapping[str, str]) -> Iterator[Record | BadRow]:
        """The rows that may be of the day, one after another; others among them do no harm.

        asked  metadata that a query must have: a source that can select, does
        Raises `TrafficError` when not all of them can be read.
        """
        ...

    def query(self, record: Record) -> Question:
        """The query of a record. Raises `RowError` when it is none, `TrafficError` when it cannot be had."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...

    @property
    def costly(self) -> bool:
        """Whether `query` asks a server: then only the sampled records' queries are read."""
        ...


def open_source(settings: Settings, say: Say) -> QuerySource:
    """The source that the settings name, to be closed after use. Raises `TrafficError` when they name none."""
    url = settings.queries_url
    if url is None:
        raise TrafficError(
            f"{PREFIX}QUERIES_URL is not set, so there are no service queries; set it to a prefix of logs or to a server."
        )
    if url.startswith(("http://", "https://")):
        from vllm_quality.datasets.traffic.stored import StoredCompletions

        key = settings.queries_api_key.get_secret_value() if settings.queries_api_key else None
        return StoredCompletions(url, key, timeout_s=settings.request_timeout_s, say=say)
    from vllm_quality.datasets.traffic.logs import Logs

    return Logs(url, settings.s3_endpoint, say)
