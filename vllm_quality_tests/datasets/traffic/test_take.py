"""A day from its rows to its frozen queries."""

import datetime as dt
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vllm_quality.datasets.dedup.ledger import PAIR_SCHEMA
from vllm_quality.datasets.schema import Item
from vllm_quality.datasets.traffic.frozen import (
    FrozenDay,
    FrozenDayError,
    frozen_days,
    latest_frozen_day,
    load_frozen_items,
    read_frozen_day,
)
from vllm_quality.datasets.traffic.judge_day import judge_duplicates, left_to_find, sample_problem
from vllm_quality.datasets.traffic.source import TrafficError
from vllm_quality.datasets.traffic.take import take_day
from vllm_quality.results.objects import FileObjects
from vllm_quality.settings import Settings, load_settings
from vllm_quality_tests.datasets.sets import lines
from vllm_quality_tests.datasets.traffic.rows import DAY, HOUR, NOON, completion, silent
from vllm_quality_tests.servers.stored_completions import StoredCompletionsServer

NEXT = DAY + dt.timedelta(days=1)
SECRETS = (
    "010-2345-6789",
    "900101-1234568",
    "kim.minsu@example.com",
    "203.0.113.77",
    "sk-proj-Zk3vQ8mX2pLr7TnW9sYb4HcJ",
)


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path / "objects")


@pytest.fixture
def server() -> Iterator[StoredCompletionsServer]:
    with StoredCompletionsServer([completion(number) for number in range(40)]) as running:
        yield running


def from_logs(
    place: Path, rows: Iterable[object], objects: FileObjects, day: dt.date = DAY, **settings: Any
) -> FrozenDay:
    """The day of these rows."""
    place.mkdir(exist_ok=True)
    (place / f"{day}.jsonl").write_text(lines(rows), encoding="utf-8")
    return take_day(load_settings(queries_url=f"file://{place}/{{day}}", **settings), day, objects, silent)


def settings_of(server: StoredCompletionsServer, **more: Any) -> Settings:
    return load_settings(queries_url=server.url, **more)


def asked(objects: FileObjects, frozen: FrozenDay) -> list[str]:
    return sorted(item.input for item in load_frozen_items(objects, frozen))


def test_a_day_of_logs(tmp_path: Path, objects: FileObjects) -> None:
    rows: list[Any] = [completion(n, metadata={"app": "ab"[n % 2]}) for n in range(20)]
    rows += [completion(20, created=NOON + 24 * HOUR, metadata={"app": "a"})]
    rows += ["not an object", {"prompt": 5, "metadata": {"app": "a"}}, rows[2]]
    frozen = from_logs(tmp_path / "logs", rows, objects, queries_metadata="app=a")
    counts = frozen.manifest.counts
    assert (counts.seen, counts.other_days, counts.unreadable, counts.repeated) == (24, 1, 2, 1)
    assert (counts.not_matched, counts.matched, counts.sampled, counts.kept) == (10, 10, 10, 10)
    first = frozen.manifest.left_out[0]
    assert (first.line, first.why) == (22, "is not an object with named fields")
    items = load_frozen_items(objects, frozen)
    assert {(item.dataset, item.role, item.reference, item.language) for item in items} == {
        ("service_queries", "traffic", None, "en")
    }
    assert {item.metadata for item in items} == {'{"app": "a", "model": "m"}'}
    assert {item.source_file for item in items} == {"2026-11-20.jsonl"}
    assert frozen.manifest.asked == {"app": "a"}


def test_logs_and_the_api_give_the_same_hash(
    tmp_path: Path, objects: FileObjects, server: StoredCompletionsServer
) -> None:
    first = from_logs(tmp_path / "logs", server.completions, objects)
    second = take_day(settings_of(server), DAY, FileObjects(tmp_path / "others"), silent)
    assert first.hash == second.hash
    assert first.manifest.counts.kept == 40


def test_the_same_day_again_is_the_same_hash_and_changes_nothing(
    objects: FileObjects, server: StoredCompletionsServer
) -> None:
    first = take_day(settings_of(server, queries_sample=15), DAY, objects, silent)
    random.Random(3).shuffle(server.completions)
    server.orders, server.page, server.overlap = False, 7, 3
    again = take_day(settings_of(server, queries_sample=15), DAY, objects, silent)
    assert (again.hash, again.manifest) == (first.hash, first.manifest)
    assert frozen_days(objects) == {DAY: (first.hash,)}
    other = take_day(settings_of(server, queries_sample=15, queries_seed=2), DAY, objects, silent)
    assert other.hash != first.hash
    assert len(frozen_days(objects)[DAY]) == 2
    assert read_frozen_day(objects, DAY).hash == other.hash
    assert read_frozen_day(objects, DAY, first.hash).hash == first.hash


def test_repeated_entries_of_a_list_are_counted_once(objects: FileObjects, server: StoredCompletionsServer) -> None:
    server.page, server.overlap = 10, 4
    counts = take_day(settings_of(server), DAY, objects, silent).manifest.counts
    assert (counts.seen, counts.repeated, counts.matched) == (52, 12, 40)


def test_a_sample_is_stratified_and_its_strata_are_told(objects: FileObjects, server: StoredCompletionsServer) -> None:
    kinds = ["chat"] * 30 + ["code"] * 8 + ["+82 10-2345-6789"] * 2
    server.completions = [completion(n, metadata={"kind": kind}) for n, kind in enumerate(kinds)]
    frozen = take_day(settings_of(server, queries_stratify="kind", queries_sample=20), DAY, objects, silent)
    strata = {entry.value: (entry.matched, entry.sampled) for entry in frozen.manifest.strata}
    assert strata == {"chat": (30, 13), "code": (8, 5), "<PHONE>": (2, 2)}


def test_a_server_that_ignores_the_filter_is_filtered(objects: FileObjects, server: StoredCompletionsServer) -> None:
    server.filters = False
    server.completions = [completion(n, metadata={"app": "ab"[n % 2]}) for n in range(10)]
    counts = take_day(settings_of(server, queries_metadata="app=b"), DAY, objects, silent).manifest.counts
    assert (counts.not_matched, counts.matched) == (5, 5)


def test_a_day_without_queries_is_frozen_as_one(objects: FileObjects, server: StoredCompletionsServer) -> None:
    frozen = take_day(settings_of(server), NEXT, objects, silent)
    assert frozen.manifest.counts.seen == 40
    assert frozen.manifest.counts.matched == 0
    assert load_frozen_items(objects, frozen) == []
    assert sample_problem(frozen.manifest) is not None
    assert judge_duplicates(frozen.manifest).passed
    take_day(settings_of(server), DAY, objects, silent)
    latest = latest_frozen_day(objects)
    assert latest is not None
    assert latest.day == DAY
    empty = latest_frozen_day(objects, with_queries=False)
    assert empty is not None
    assert empty.day == NEXT


def test_a_failed_read_freezes_nothing(tmp_path: Path, objects: FileObjects) -> None:
    with pytest.raises(TrafficError, match="nothing is known of 2026-11-20"):
        take_day(load_settings(queries_url=f"file://{tmp_path}/none/{{day}}"), DAY, objects, silent)
    with pytest.raises(TrafficError, match=r"None of the 2 rows of 2026-11-20 at .* row 1 has no 'messages'"):
        from_logs(tmp_path / "logs", [{"a": "010-2345-6789"}, {"b": 2}], objects)
    (tmp_path / "all.jsonl").write_text(lines([{"prompt": "x"}]), encoding="utf-8")
    with pytest.raises(TrafficError, match="has no time stamp, and its place does not tell the day"):
        take_day(load_settings(queries_url=f"file://{tmp_path}/all"), DAY, objects, silent)
    assert objects.list("") == []
    assert latest_frozen_day(objects) is None


def test_duplicates_go_within_the_day_and_against_earlier_ones(tmp_path: Path, objects: FileObjects) -> None:
    texts = [completion(n)["messages"][0]["content"] for n in range(30)]
    first = from_logs(tmp_path / "logs", _prompts(texts[:10]), objects)
    new = [*texts[5:15], texts[14] + "!", f"  {texts[0]} ", "Something else altogether, isn't it?"]
    second = from_logs(tmp_path / "logs", _prompts(new), objects, day=NEXT)
    counts = second.manifest.counts
    assert (counts.sampled, counts.kept, counts.known, counts.duplicates) == (13, 6, 6, 1)
    assert second.manifest.earlier == {DAY: first.hash}
    assert second.profile.count == 12  # those of earlier days are traffic, too; the two that are the same are one
    pairs = pl.read_parquet(objects.local_path(second.pairs_key))
    assert dict(pairs.schema) == dict(PAIR_SCHEMA)
    assert set(pairs["decision"]) <= {"drop_a", "drop_b", "keep", "flag"}
    assert pairs.filter(pl.col("id_a").str.starts_with("2026-11-20/")).height == 6
    again = from_logs(tmp_path / "logs", _prompts(reversed(new)), objects, day=NEXT)
    assert again.hash == second.hash
    certificate = second.manifest.certificate
    assert certificate is not None
    assert (certificate.sampled, certificate.true_pairs, certificate.found) == (13, 7, 7)
    assert judge_duplicates(second.manifest).passed


def test_a_day_is_judged_by_its_certificate(tmp_path: Path, objects: FileObjects) -> None:
    manifest = from_logs(tmp_path / "logs", _prompts(["How are you?", "What is it?"]), objects).manifest
    assert manifest.certificate is not None
    missed = replace(manifest.certificate, true_pairs=100, found=90, recall=0.9, low=0.8, high=0.95, verdict="fail")
    judged = judge_duplicates(manifest.model_copy(update={"certificate": missed}))
    assert (judged.passed, judged.severity) == (False, "error")
    unsure = replace(manifest.certificate, low=0.0, verdict="undecided")
    judged = judge_duplicates(manifest.model_copy(update={"certificate": unsure}))
    assert (judged.passed, judged.severity) == (False, "warning")


def test_a_manifest_from_before_certificates_is_read(tmp_path: Path, objects: FileObjects) -> None:
    frozen = from_logs(tmp_path / "logs", _prompts(["How are you?"]), objects)
    path = objects.local_path(frozen.manifest_key)
    stored = json.loads(path.read_text(encoding="utf-8"))
    del stored["certificate"]
    path.write_text(json.dumps({**stored, "manifest_version": 1}), encoding="utf-8")
    judged = judge_duplicates(read_frozen_day(objects, DAY).manifest)
    assert (judged.passed, judged.severity) == (False, "warning")
    assert "before recall was certified" in judged.sentence


def _prompts(texts: Iterable[str]) -> Sequence[Mapping[str, str]]:
    return [{"prompt": text} for text in texts]


def test_another_phone_number_does_not_make_another_query(tmp_path: Path, objects: FileObjects) -> None:
    texts = [f"제 번호는 {number}인데 배송이 언제 되는지 알려 주세요" for number in ("010-2345-6789", "010-9999-1234")]
    frozen = from_logs(tmp_path / "logs", _prompts(texts), objects, pii_key="k" * 32)
    (kept,) = load_frozen_items(objects, frozen)
    assert "<PHONE_" in kept.input
    assert frozen.manifest.counts.entities == {"PHONE": 2}
    assert frozen.manifest.counts.duplicates == 1


def test_no_raw_value_is_in_anything_that_was_stored(tmp_path: Path, objects: FileObjects) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": f"질문 {n}: {secret}입니다, 확인해 주세요 {n * 7919}"} for n, secret in enumerate(SECRETS)
    ]
    rows += [{"prompt": f"{'긴 ' * n}{SECRETS[0]}", "metadata": {"app": SECRETS[2]}} for n in range(3)]
    rows += [{"prompt": 7, "note": secret} for secret in SECRETS]
    frozen = from_logs(tmp_path / "logs", rows, objects, queries_stratify="app")
    everything = "\n".join(_contents(objects))
    assert "확인해" in everything
    assert [secret for secret in SECRETS if secret in everything or secret.replace("-", "") in everything] == []
    assert frozen.manifest.counts.unreadable == len(SECRETS)
    assert left_to_find(load_frozen_items(objects, frozen), _anonymiser()) == {}


def _anonymiser() -> Any:
    from vllm_quality.datasets.pii.anonymiser import build_anonymiser

    return build_anonymiser(None, "service_queries")


def _contents(objects: FileObjects) -> Iterator[str]:
    """All that lies in the store, as it is and as it is read."""
    for key in objects.list(""):
        yield key
        yield objects.get(key).decode("utf-8", "replace")
        if key.endswith(".parquet"):
            yield json.dumps(pl.read_parquet(objects.local_path(key)).to_dicts(), ensure_ascii=False)


def test_what_was_left_behind_is_found() -> None:
    from vllm_quality_tests.datasets.sets import question

    items: list[Item] = [question("call 010-2345-6789"), question("call me")]
    assert left_to_find(items, _anonymiser()) == {"PHONE": 1}


def test_a_sampled_completion_that_is_no_query_is_told_of(
    objects: FileObjects, server: StoredCompletionsServer
) -> None:
    server.completions[3]["messages"] = [{"role": "tool", "content": "x"}]
    frozen = take_day(settings_of(server), DAY, objects, silent)
    assert frozen.manifest.counts.unreadable_sampled == 1
    assert frozen.manifest.left_out[0].file == "chatcmpl-0003"
    assert sample_problem(frozen.manifest) is None
    for one in server.completions:
        one["messages"] = []
    with pytest.raises(TrafficError, match="None of the 40 sampled completions of 2026-11-20"):
        take_day(settings_of(server), DAY, objects, silent)


def test_many_rows_that_cannot_be_read_are_a_problem(tmp_path: Path, objects: FileObjects) -> None:
    rows = [completion(1), completion(2), {"prompt": ""}]
    frozen = from_logs(tmp_path / "logs", rows, objects)
    assert sample_problem(frozen.manifest) == (
        "1 of 3 rows could not be read, the first one at 2026-11-20.jsonl row 3: has no text in 'prompt'."
    )


def test_a_changed_day_is_not_read(objects: FileObjects, server: StoredCompletionsServer) -> None:
    frozen = take_day(settings_of(server), DAY, objects, silent)
    path = objects.local_path(frozen.items_key)
    pl.read_parquet(path).head(3).write_parquet(path)
    with pytest.raises(FrozenDayError, match="does not hold what its name says"):
        load_frozen_items(objects, frozen)
    objects.local_path(frozen.manifest_key).write_text("{}", encoding="utf-8")
    with pytest.raises(FrozenDayError, match="is no manifest that this version reads"):
        read_frozen_day(objects, DAY)
    with pytest.raises(FrozenDayError, match="There is no day 2026-11-21"):
        read_frozen_day(objects, NEXT)
