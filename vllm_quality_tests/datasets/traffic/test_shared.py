"""Machines that share an index decide as one that has all for itself, and add each day once."""

import datetime as dt
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.datasets.dedup.near.bank import Bank, empty_bank
from vllm_quality.datasets.traffic.frozen import FrozenDay
from vllm_quality.datasets.traffic.shared import Storage, index_name, indexed_bank, open_storage, shared_table
from vllm_quality.datasets.traffic.source import TrafficError
from vllm_quality.datasets.traffic.take import take_day
from vllm_quality.results.objects import FileObjects
from vllm_quality.settings import load_settings
from vllm_quality_tests.datasets.sets import lines
from vllm_quality_tests.datasets.traffic.rows import DAY, question, silent
from vllm_quality_tests.servers.redis_server import serve_redis

PASSWORD = "hunter2hunter2"
DAYS = tuple(DAY + dt.timedelta(days=at) for at in range(3))


@pytest.fixture
def redis() -> Iterator[str]:
    with serve_redis(PASSWORD) as address:
        yield address


def text(number: int) -> str:
    return " ".join(question(number + further) for further in (0, 5000, 9000))


def prompts(numbers: Sequence[int], change: str = "") -> list[dict[str, str]]:
    """Long and short queries."""
    return [{"prompt": (text(one) if one % 3 else question(one)) + change} for one in numbers]


def write_logs(folder: Path) -> str:
    """Three days; each repeats some of those before, slightly changed. Their address."""
    folder.mkdir()
    rows = (prompts(range(40)), prompts(range(30, 70), "!!"), prompts([*range(10, 20), *range(60, 90)], "!"))
    for day, some in zip(DAYS, rows, strict=True):
        (folder / f"{day}.jsonl").write_text(lines(some), encoding="utf-8")
    return f"file://{folder}/{{day}}"


def take(place: Path, machine: str, logs: str, days: Sequence[dt.date], **settings: Any) -> list[FrozenDay]:
    home = place / machine
    objects = FileObjects(place / "objects" if settings else place / "alone")
    return [take_day(load_settings(home=home, queries_url=logs, **settings), day, objects, silent) for day in days]


def calls(address: str, command: str) -> int:
    import redis

    with redis.Redis.from_url(address.partition("?")[0]) as client:
        return int(client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def test_machines_with_an_index_freeze_what_one_alone_does(tmp_path: Path, redis: str) -> None:
    logs = write_logs(tmp_path / "logs")
    alone = take(tmp_path, "alone", logs, DAYS)
    assert [frozen.manifest.counts.known for frozen in alone] == [0, 10, 20]
    first = take(tmp_path, "one", logs, DAYS, queries_index=redis)
    assert [frozen.hash for frozen in first] == [frozen.hash for frozen in alone]
    certificate = first[-1].manifest.certificate
    assert certificate is not None
    assert certificate.verdict == "pass"
    added = calls(redis, "sadd")
    assert added > 0
    (again,) = take(tmp_path, "two", logs, DAYS[-1:], queries_index=redis)
    assert again.hash == alone[-1].hash
    assert calls(redis, "sadd") == added
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


def test_an_index_that_was_emptied_is_filled_again(tmp_path: Path, redis: str) -> None:
    from redis import Redis

    logs = write_logs(tmp_path / "logs")
    before = take(tmp_path, "one", logs, DAYS, queries_index=redis)
    with Redis.from_url(redis.partition("?")[0]) as client:
        assert all(name.startswith(b"test:") for name in client.scan_iter())
        client.flushall()
    (after,) = take(tmp_path, "one", logs, DAYS[-1:], queries_index=redis)
    assert after.hash == before[-1].hash


def test_a_redis_that_does_not_answer_fails_in_one_sentence_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("redis", reason="the client of Redis is not installed (pip install redis)")
    logs = write_logs(tmp_path / "logs")
    take(tmp_path, "one", logs, DAYS[:1], queries_index="redis://127.0.0.1:1/0")  # nothing to ask for yet
    with pytest.raises(TrafficError, match=r"at 127\.0\.0\.1 cannot be used \(ConnectionError\)") as caught:
        take(tmp_path, "one", logs, DAYS[1:2], queries_index=f"redis://:{PASSWORD}@127.0.0.1:1/0")
    assert PASSWORD not in str(caught.value)


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)  # as where it is not installed
    with pytest.raises(TrafficError, match=r"install vllm-quality\[redis\], or unset it"), open_storage("redis://host"):
        pass


def test_a_wrong_password_is_told_of(redis: str) -> None:
    with (
        pytest.raises(TrafficError, match=r"cannot be used \(AuthenticationError\)") as caught,
        open_storage(redis.replace(PASSWORD, "wrong-one")) as storage,
    ):
        indexed_bank(bank_of("2026-11-20/a", 5), ["2026-11-20/a"], storage, "name")
    assert "wrong-one" not in str(caught.value)


def bank_of(part: str, size: int) -> Bank:
    """A bank of long texts, unsigned."""
    texts = [text(number) for number in range(size)]
    bank = empty_bank(texts)
    bank.append([f"{part}/{at}" for at in range(size)], texts, signed=False)
    return bank


def test_days_that_are_past_are_forgotten_and_later_ones_are_left(redis: str) -> None:
    from redis import Redis

    days = ("2026-11-19/b", "2026-11-22/c", "2026-11-20/a")
    with open_storage(redis) as storage:
        for day in days:
            bank = indexed_bank(bank_of(day, 5), [day], storage, "name")
            assert bank.query([text(3)]).banked.tolist() == [3]
    with Redis.from_url(redis.partition("?")[0]) as client:
        names = {name.decode(errors="replace") for name in client.scan_iter(match="name:*:parts*")}
        (parts,) = {frozenset(client.smembers(name)) for name in names if name.endswith(":partsparts")}
    assert parts == {b"2026-11-22/c", b"2026-11-20/a"}


def test_machines_tell_common_grams_alike(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    first = shared_table(objects, "team:a:3", [text(number) for number in range(20)], 1)
    second = shared_table(objects, "team:a:3", ["something else " * 10], 1)
    assert (first.texts, second.texts) == (20, 20)
    assert (first.counts == second.counts).all()


def test_another_index_is_begun_when_there_is_much_more() -> None:
    storage = Storage({"type": "dict"}, "team")
    names = [index_name(storage, texts, 1) for texts in (1, 100, 120, 1_000, 100_000)]
    assert len(set(names)) == 4
    assert names[1] == names[2]
    assert index_name(storage, 100, 2) != names[1]
    assert all(name.startswith("team:") for name in names)
