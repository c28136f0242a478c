"""The results store: writes that can be repeated, and the few reads that the pipeline needs.

The same SQL runs on the embedded engine and on a server. Every read says FINAL: until ClickHouse has merged, replaced rows
are still there (ReplacingMergeTree).
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from vllm_quality.results.connection import connect
from vllm_quality.results.migrate import migrate
from vllm_quality.results.rows import (
    AlertRow,
    PastRun,
    ResultRow,
    ResultsError,
    RunRow,
    check_requests,
    check_results,
    check_samples,
    check_times,
)

if TYPE_CHECKING:
    from clickhouse_connect.datatypes.base import ClickHouseType
    from clickhouse_connect.driver.client import Client

__all__ = ["ResultStore", "ResultsError"]

T = TypeVar("T")

_RUN_COLUMNS = tuple(field.name for field in fields(RunRow))
_SELECT_RUNS = f"SELECT {', '.join(_RUN_COLUMNS)} FROM runs FINAL"  # noqa: S608 - our own column names


class ResultStore:
    """ClickHouse behind a results URL (`connection.connect`). Safe in threads; its text never holds the password.

    Opens per call and creates the tables on its first. Every method raises `ResultsError`, one sentence.
    """

    def __init__(self, url: str) -> None:
        self._connection = connect(url)
        self._migrated = False

    def __repr__(self) -> str:
        return f"ResultStore({self._connection!r})"

    def _run(self, work: Callable[["Client"], T]) -> T:
        def prepared(client: "Client") -> T:
            if self._migrated:
                client.database = self._connection.database
            else:
                migrate(client, self._connection.database)
                self._migrated = True
            return work(client)

        return self._connection.run(prepared)

    def write_results(self, rows: Sequence[ResultRow]) -> None:
        """Store metrics; a metric the run already has gets the new value. Refuses NaN, infinity and times without a zone."""
        check_results(rows)
        self._insert("results", _columns(ResultRow, rows))

    def write_run(self, row: RunRow) -> None:
        """Store what is known of a run in place of what was known before."""
        check_times(f"Run {row.run_id}", [row.seen_at, row.started_at, row.finished_at])
        self._insert("runs", _columns(RunRow, [row]))

    def write_samples(self, run_id: str, model_tag: str, frame: pl.DataFrame) -> None:
        """Store evaluated items (`SAMPLE_SCHEMA`); an item that the run already has is replaced."""
        self._insert_frame("samples", run_id, model_tag, check_samples(frame))

    def write_requests(self, run_id: str, model_tag: str, frame: pl.DataFrame) -> None:
        """Store load requests (`REQUEST_SCHEMA`); a request that the run already has is replaced."""
        self._insert_frame("requests", run_id, model_tag, check_requests(frame))

    def record_alerts(self, rows: Sequence[AlertRow]) -> None:
        """Remember that these alerts were sent: all of them or, after an error, none."""
        for row in rows:
            check_times(f"Alert {row.kind} of run {row.run_id}", [row.sent_at])
        self._insert("alerts", _columns(AlertRow, rows))

    def alerts_of(self, run_ids: Sequence[str]) -> set[tuple[str, str]]:
        """(run, kind) of the alerts that were recorded for these runs."""
        sql = "SELECT run_id, kind FROM alerts FINAL WHERE run_id IN {ids:Array(String)}"
        return set(self._rows(sql, {"ids": list(run_ids)}))

    def messages_since(self, moment: datetime, channel: str) -> list[datetime]:
        """When messages went to a channel after a moment, oldest first; one message may have told of many runs."""
        sql = (
            "SELECT DISTINCT sent_at FROM alerts FINAL WHERE channel = {channel:String} "
            "AND sent_at > {moment:DateTime64(3, 'UTC')} ORDER BY sent_at"
        )
        return [sent_at for (sent_at,) in self._rows(sql, {"channel": channel, "moment": moment})]

    def results_of(self, run_id: str) -> dict[str, float]:
        """Metric -> value of one run, by name; empty when nothing is stored."""
        sql = "SELECT metric, value FROM results FINAL WHERE run_id = {run_id:String} ORDER BY metric"
        return dict(self._rows(sql, {"run_id": run_id}))

    def run(self, run_id: str) -> RunRow | None:
        """What is known of a run; None when it is not."""
        rows = self._rows(f"{_SELECT_RUNS} WHERE run_id = {{run_id:String}}", {"run_id": run_id})
        return _run_row(rows[0]) if rows else None

    def runs(self, *, limit: int, model_tag: str | None = None) -> list[RunRow]:
        """Runs, of one release if it is named, the one that started last first."""
        where = "" if model_tag is None else "WHERE model_tag = {model_tag:String}"
        sql = f"{_SELECT_RUNS} {where} ORDER BY started_at DESC, run_id LIMIT {{limit:UInt32}}"
        return [_run_row(row) for row in self._rows(sql, {"limit": limit, "model_tag": model_tag})]

    def history(self, *, before: datetime, exclude_tag: str, limit: int) -> list[PastRun]:
        """Runs of other releases that had finished by `before`, with their metrics, the one that finished last first."""
        check_times("The history's end", [before])
        chosen = (
            f"{_SELECT_RUNS} WHERE finished_at < {{before:DateTime64(3, 'UTC')}} AND model_tag != {{exclude_tag:String}} "
            "ORDER BY finished_at DESC, run_id LIMIT {limit:UInt32}"
        )
        measured = "SELECT run_id, metric, value FROM results FINAL WHERE run_id IN {ids:Array(String)} ORDER BY metric"

        def work(client: "Client") -> list[PastRun]:
            asked = {"before": before, "exclude_tag": exclude_tag, "limit": limit}
            runs = [_run_row(row) for row in client.query(chosen, parameters=asked).result_rows]
            metrics: dict[str, dict[str, float]] = {run.run_id: {} for run in runs}
            for run_id, metric, value in client.query(measured, parameters={"ids": list(metrics)}).result_rows:
                metrics[run_id][metric] = value
            return [PastRun(run, metrics[run.run_id]) for run in runs]

        return self._run(work)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """The answer to one SELECT, parameters as `{name:Type}`. Anything that would write is refused by ClickHouse."""

        from clickhouse_connect.datatypes.registry import get_from_name

        def work(client: "Client") -> pl.DataFrame:
            asked = dict(parameters or {})
            # 2: no writing, but the settings that the driver sends along are allowed.
            result = client.query(sql, parameters=asked, settings={"readonly": 2})
            if result.column_names:
                return _frame(zip(result.column_names, result.column_types, result.result_columns, strict=True))
            # ClickHouse's Native format has no columns where it has no rows.
            described = client.query(f"DESCRIBE TABLE ({sql})", parameters=asked).result_rows
            return _frame((name, get_from_name(kind), []) for name, kind, *_ in described)

        return self._run(work)

    def _rows(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return self._run(lambda client: list(client.query(sql, parameters=dict(parameters)).result_rows))

    def _insert_frame(self, table: str, run_id: str, model_tag: str, frame: pl.DataFrame) -> None:
        columns: dict[str, Sequence[Any]] = {"run_id": [run_id] * frame.height, "model_tag": [model_tag] * frame.height}
        self._insert(table, columns | {name: frame[name].to_list() for name in frame.columns})

    def _insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        if not columns["run_id"]:
            return
        # A token of its own for each insert: ClickHouse drops a block that it has seen before, which would lose the last of
        # three writes "a, b, a"; only the driver's own repetition of a broken-off request is to be recognised as such.
        # And it is written when we return, not when the server's buffer is full.
        settings = {"insert_deduplication_token": uuid.uuid4().hex, "async_insert": 0}

        def work(client: "Client") -> None:
            data = [list(values) for values in columns.values()]
            client.insert(table, data, column_names=list(columns), column_oriented=True, settings=settings)

        self._run(work)


def _columns(kind: type[Any], rows: Sequence[Any]) -> dict[str, Sequence[Any]]:
    return {field.name: [getattr(row, field.name) for row in rows] for field in fields(kind)}


def _run_row(values: tuple[Any, ...]) -> RunRow:
    return RunRow(**dict(zip(_RUN_COLUMNS, values, strict=True)))


_TYPES: dict[str, pl.DataType] = {
    "Bool": pl.Boolean(),
    "Date": pl.Date(),
    "DateTime": pl.Datetime("us", "UTC"),
    "DateTime64": pl.Datetime("us", "UTC"),
    "Float32": pl.Float32(),
    "Float64": pl.Float64(),
    "Int8": pl.Int8(),
    "Int16": pl.Int16(),
    "Int32": pl.Int32(),
    "Int64": pl.Int64(),
    "String": pl.String(),
    "UInt8": pl.UInt8(),
    "UInt16": pl.UInt16(),
    "UInt32": pl.UInt32(),
    "UInt64": pl.UInt64(),
}


def _frame(columns: Iterable[tuple[str, "ClickHouseType", Sequence[Any]]]) -> pl.DataFrame:
    """Typed as the columns are in ClickHouse; the rarer types are left to polars."""
    return pl.DataFrame([pl.Series(name, list(values), _dtype(kind)) for name, kind, values in columns])


def _dtype(kind: "ClickHouseType") -> pl.DataType | None:
    if kind.base_type == "Array":
        element = _dtype(kind.element_type)
        return None if element is None else pl.List(element)
    return _TYPES.get(kind.base_type)
