"""Tables are made once, by whoever comes first, and the same way on every engine."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clickhouse_connect  # noqa: TID253 - this test is about the engine itself
import pytest

from vllm_quality.results.database import ResultStore
from vllm_quality.results.migrate import load_migrations, migrate


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    migrations = load_migrations()
    assert [migration.version for migration in migrations] == list(range(1, len(migrations) + 1))
    assert all(migration.statements for migration in migrations)


def test_every_statement_can_be_repeated(tmp_path: Path) -> None:
    with clickhouse_connect.get_client(interface="chdb", path=str(tmp_path)) as client:
        migrate(client, "vllm_eval")
        for migration in load_migrations():
            for statement in migration.statements:
                client.command(statement)
        migrate(client, "vllm_eval")
        assert client.query("SELECT count() FROM schema_migrations").result_rows == [(len(load_migrations()),)]


def test_a_migration_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    with clickhouse_connect.get_client(interface="chdb", path=str(tmp_path)) as client:
        client.command("CREATE DATABASE vllm_eval")
        client.command("CREATE TABLE vllm_eval.results (" + load_migrations()[0].statements[0].split("(", 1)[1])
        migrate(client, "vllm_eval")
        assert len(client.query("SHOW TABLES").result_rows) == 6


def test_several_who_come_first_agree(server_url: str) -> None:
    url = server_url.replace("/vllm_eval", "/first_use")
    stores = [ResultStore(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda store: store.runs(limit=1), stores)) == [[]] * 4
    applied = ResultStore(url).query("SELECT version, name FROM schema_migrations FINAL ORDER BY version")
    assert applied.rows() == [(migration.version, migration.name) for migration in load_migrations()]


@pytest.mark.parametrize(
    ("table", "identity"),
    [
        ("results", "run_id, metric"),
        ("runs", "run_id"),
        ("samples", "run_id, suite, item_hash, metric"),
        ("requests", "run_id, scenario, stage, request_index"),
        ("alerts", "run_id, kind"),
    ],
)
def test_a_table_replaces_by_its_identity_and_has_no_partitions(embedded_url: str, table: str, identity: str) -> None:
    sql = "SELECT engine, sorting_key, partition_key FROM system.tables WHERE database = 'vllm_eval' AND name = {name:String}"
    assert ResultStore(embedded_url).query(sql, {"name": table}).row(0) == ("ReplacingMergeTree", identity, "")
