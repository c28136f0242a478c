"""Keep the embedded store quick to open.

Each insert makes a part, and merging leaves the merged parts behind. A server removes those after a while; chdb would too,
but only in a process that stays open for half a minute, and ours never does: they would pile up, and every open reads them all.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

TABLES = ("results", "runs", "samples", "requests", "alerts")
MOST_PARTS = 60


def compact(client: "Client") -> None:
    """Rewrite the tables that have come to more than `MOST_PARTS` parts. The caller holds the database alone.

    Killed at any point, it leaves either the old table or the new one in place, and at worst a copy that the next call drops.
    """
    counted = "SELECT table, count() FROM system.parts WHERE database = currentDatabase() GROUP BY table"
    parts = dict(client.query(counted).result_rows)
    for table in TABLES:
        if parts.get(table, 0) > MOST_PARTS:
            copy = f"{table}_compacted"
            client.command(f"DROP TABLE IF EXISTS {copy} SYNC")
            client.command(f"CREATE TABLE {copy} AS {table}")
            client.command(f"INSERT INTO {copy} SELECT * FROM {table} FINAL")  # noqa: S608 - our own table names
            client.command(f"EXCHANGE TABLES {table} AND {copy}")
            client.command(f"DROP TABLE {copy} SYNC")
