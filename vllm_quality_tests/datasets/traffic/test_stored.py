"""A server's list of stored completions, page by page, whatever goes wrong on the way."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pytest

from vllm_quality.datasets.rows import BadRow, RowError
from vllm_quality.datasets.traffic.record import Record
from vllm_quality.datasets.traffic.source import TrafficError
from vllm_quality.datasets.traffic.stored import StoredCompletions
from vllm_quality.datasets.traffic.transport import ATTEMPTS
from vllm_quality_tests.datasets.traffic.rows import DAY, HOUR, NOON, completion, silent
from vllm_quality_tests.servers.stored_completions import StoredCompletionsServer, Trouble

KEY = "sk-very-s3cret"


@pytest.fixture
def server() -> Iterator[StoredCompletionsServer]:
    stored = [completion(number, created=NOON + number) for number in range(25)]
    with StoredCompletionsServer(stored, key=KEY) as running:
        yield running


@contextmanager
def client(server: StoredCompletionsServer, **changes: Any) -> Iterator[StoredCompletions]:
    settings = {"key": KEY, "timeout_s": 5.0, "say": silent, "page": 10, "first_pause_s": 0.01, **changes}
    with closing(StoredCompletions(server.url, **settings)) as source:
        yield source


def records(server: StoredCompletionsServer, asked: Mapping[str, str], **changes: Any) -> list[Record | BadRow]:
    with client(server, **changes) as source:
        return list(source.records(DAY, asked))


def read(server: StoredCompletionsServer, **changes: Any) -> list[str]:
    return [found.file for found in records(server, {}, **changes)]


def test_all_pages_are_read(server: StoredCompletionsServer) -> None:
    assert read(server) == [f"chatcmpl-{number:04}" for number in reversed(range(25))]
    assert server.requests == [
        "/v1/chat/completions?order=desc&limit=10",
        "/v1/chat/completions?order=desc&limit=10&after=chatcmpl-0015",
        "/v1/chat/completions?order=desc&limit=10&after=chatcmpl-0005",
    ]


@pytest.mark.parametrize("changes", [{"page": 3}, {"says_more": False}, {"orders": False}, {"inline": True}])
def test_servers_differ(server: StoredCompletionsServer, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(server, name, value)
    assert sorted(read(server)) == [f"chatcmpl-{number:04}" for number in range(25)]


def test_metadata_are_asked_for(server: StoredCompletionsServer) -> None:
    server.completions = [completion(n, metadata={"app": "bot", "env": "ab"[n % 2]}) for n in range(6)]
    found = records(server, {"app": "bot", "env": "b"})
    assert [one.file for one in found] == ["chatcmpl-0005", "chatcmpl-0003", "chatcmpl-0001"]
    assert "metadata[app]=bot&metadata[env]=b" in server.requests[0]


def test_reading_ends_at_the_days_beginning(server: StoredCompletionsServer) -> None:
    server.completions = [completion(n, created=NOON - (999 - n) * HOUR) for n in range(1000)]
    assert len(read(server)) == 30  # thirteen are of the day; the third page is older as a whole
    assert len(server.requests) == 3


@pytest.mark.parametrize("same", [1, 15])
def test_where_the_newest_do_not_come_first_all_is_read(server: StoredCompletionsServer, same: int) -> None:
    server.orders = False
    server.completions = [completion(n, created=NOON - (99 - n) // same * 24 * HOUR) for n in range(100)]
    assert len(read(server)) == 100


def test_messages_are_asked_for_where_the_list_leaves_them_out(server: StoredCompletionsServer) -> None:
    turns = [{"role": "user", "content": f"turn {n}"} for n in range(11)]
    turns[10] = {"role": "user", "content": None, "content_parts": [{"type": "text", "text": "Last?"}]}  # type: ignore[dict-item]
    server.completions = [completion(1, messages=turns)]
    with client(server, page=4) as source:
        (found,) = source.records(DAY, {})
        assert isinstance(found, Record)
        said = [message.content for message in source.query(found).messages]
        assert said == [f"turn {n}" for n in range(10)] + ["Last?"]
        assert len(server.requests) == 4
        server.inline = True
        (found,) = source.records(DAY, {})
        assert isinstance(found, Record)
        assert len(source.query(found).messages) == 11
        assert len(server.requests) == 5


def test_a_completion_that_was_deleted_meanwhile_is_a_row_that_cannot_be_read(server: StoredCompletionsServer) -> None:
    with client(server) as source:
        found = next(source.records(DAY, {}))
        assert isinstance(found, Record)
        server.completions = []
        with pytest.raises(RowError, match="no longer stored"):
            source.query(found)


TROUBLES = [
    [Trouble(429, {"Retry-After": "0"}), Trouble(503)],
    [Trouble(500), Trouble(502), Trouble(504), Trouble(408)],
    [Trouble(cut_json=True), Trouble(cut_body=True)],
    [Trouble(), Trouble(429), Trouble(), Trouble(cut_json=True)],
]


@pytest.mark.parametrize("troubles", TROUBLES)
def test_passing_troubles_change_nothing(server: StoredCompletionsServer, troubles: list[Trouble]) -> None:
    server.troubles = troubles
    assert len(read(server)) == 25


def test_a_server_that_is_too_slow_is_asked_again(server: StoredCompletionsServer) -> None:
    server.troubles = [Trouble(wait_s=1.0)]
    assert len(read(server, timeout_s=0.3)) == 25


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (Trouble(503), "answers /chat/completions with 503"),
        (Trouble(429, {"Retry-After": "0"}), "with 429"),
        (Trouble(cut_json=True), "no whole JSON"),
        (Trouble(cut_body=True), "could not be read"),
    ],
)
def test_a_lasting_trouble_ends_after_some_attempts_and_is_no_empty_day(
    server: StoredCompletionsServer, trouble: Trouble, says: str
) -> None:
    server.troubles = [Trouble(), *[trouble] * 50]
    with pytest.raises(TrafficError, match=says) as caught:
        read(server)
    assert len(server.requests) == 1 + ATTEMPTS
    assert KEY not in str(caught.value)


def test_a_long_pause_is_not_sat_out(server: StoredCompletionsServer) -> None:
    server.troubles = [Trouble(429, {"Retry-After": "7200"})]
    with pytest.raises(TrafficError, match="asks to wait 7200 s"):
        read(server)


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (Trouble(401), "VLLM_QUALITY_QUERIES_API_KEY"),
        (Trouble(404), "has no /chat/completions to list"),
        (Trouble(302, {"Location": "http://127.0.0.1:1/"}), "answers /chat/completions with 302"),
        (Trouble(400), "with 400"),
    ],
)
def test_a_refusal_is_not_tried_again(server: StoredCompletionsServer, trouble: Trouble, says: str) -> None:
    server.troubles = [trouble]
    with pytest.raises(TrafficError, match=says):
        read(server)
    assert len(server.requests) == 1


def test_a_wrong_key(server: StoredCompletionsServer) -> None:
    with pytest.raises(TrafficError, match="does not let us in") as caught:
        read(server, key="sk-0ther")
    assert "sk-0ther" not in str(caught.value)


def test_a_list_that_goes_in_a_circle_ends(server: StoredCompletionsServer) -> None:
    server.stuck = True
    with pytest.raises(TrafficError, match="does not go on"):
        read(server)


def test_nobody_answers() -> None:
    source = StoredCompletions("http://127.0.0.1:9/v1", None, timeout_s=1, say=silent, first_pause_s=0.01)
    with closing(source), pytest.raises(TrafficError, match=r"127.0.0.1:9 could not be read \(ConnectError"):
        list(source.records(DAY, {}))


def test_entries_that_are_no_completions_are_told_of(server: StoredCompletionsServer) -> None:
    server.completions = [{"id": "x", "created": "yesterday"}, completion(1)]
    found = records(server, {})
    assert [type(one) for one in found] == [Record, BadRow]
