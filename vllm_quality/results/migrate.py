"""Bring a ClickHouse database to the tables this package knows, once.

Migrations are the numbered files of `migrations/`, applied in order and recorded in `schema_migrations`. Two processes may
apply the same one at once, and one may be killed in between, so every statement in them must be repeatable (IF NOT EXISTS).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

UNKNOWN_TABLE, UNKNOWN_DATABASE = 60, 81

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (version UInt32, name String, applied_at DateTime64(3, 'UTC'))
ENGINE = ReplacingMergeTree ORDER BY version
"""


@dataclass(frozen=True)
class Migration:
    """One numbered file: its statements, in order."""

    version: int
    name: str
    statements: tuple[str, ...]


def load_migrations() -> tuple[Migration, ...]:
    """The packaged migrations, by number."""
    folder = files("vllm_quality.results") / "migrations"
    found = []
    for file in folder.iterdir():
        if file.name.endswith(".sql"):
            name = file.name.removesuffix(".sql")
            found.append(Migration(int(name.partition("_")[0]), name, _statements(file.read_text(encoding="utf-8"))))
    return tuple(sorted(found, key=lambda migration: migration.version))


def _statements(sql: str) -> tuple[str, ...]:
    without_comments = re.sub(r"^\s*--.*$", "", sql, flags=re.MULTILINE)
    return tuple(part.strip() for part in without_comments.split(";") if part.strip())


def migrate(client: "Client", database: str) -> None:
    """Create the database if it is missing, apply what is not applied, and leave the client in that database.

    Asks first: someone may read and write with an account that must not create anything.
    """
    from clickhouse_connect.driver.exceptions import DatabaseError

    client.database = database
    try:
        applied = _applied(client)
    except DatabaseError as error:
        if error.code not in (UNKNOWN_TABLE, UNKNOWN_DATABASE):
            raise
        if error.code == UNKNOWN_DATABASE:
            client.database = None
            client.command(f"CREATE DATABASE IF NOT EXISTS `{database}`")
            client.database = database
        client.command(_LEDGER)
        applied = set()
    for migration in load_migrations():
        if migration.version not in applied:
            for statement in migration.statements:
                client.command(statement)
            record = [[migration.version, migration.name, datetime.now(UTC)]]
            client.insert("schema_migrations", record, column_names=["version", "name", "applied_at"])


def _applied(client: "Client") -> set[int]:
    return {int(version) for (version,) in client.query("SELECT version FROM schema_migrations FINAL").result_rows}
