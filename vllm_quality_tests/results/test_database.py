"""The results store behaves the same on the embedded engine and on a server: what is written again replaces."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from vllm_quality.results.database import ResultsError, ResultStore
from vllm_quality.results.rows import REQUEST_SCHEMA, SAMPLE_SCHEMA, AlertRow, ResultRow, RunRow
from vllm_quality_tests.results.samples import NOON, requests_frame, result_rows, run_row, samples_frame


@pytest.fixture(scope="module", autouse=True)
def _engine_stays_up(embedded_url: str) -> Iterator[None]:
    """A second handle on the engine costs a seventh of starting it; the behaviour is the same."""
    import chdb

    handle = chdb.connect(embedded_url.removeprefix("chdb://"))
    yield
    handle.close()


@pytest.fixture(params=["embedded", "server"])
def store(request: pytest.FixtureRequest) -> ResultStore:
    """The tables, which tests share: a test works on runs and tags of its own."""
    return ResultStore(request.getfixturevalue(f"{request.param}_url"))


fewer = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
SEOUL = timezone(timedelta(hours=9))
finite = st.floats(allow_nan=False, allow_infinity=False)
moments = st.integers(0, 9_000_000_000_000_000).map(
    lambda microseconds: (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).astimezone(SEOUL)
)


@fewer
@given(metrics=st.dictionaries(st.text(min_size=1), finite, max_size=20), prefix=st.text())
def test_any_name_and_any_number_come_back(
    store: ResultStore, run_id: str, metrics: dict[str, float], prefix: str
) -> None:
    run_id = prefix + run_id + str(hash(frozenset(metrics.items())))
    store.write_results(result_rows(run_id, metrics, tag=prefix))
    assert store.results_of(run_id) == metrics


def test_a_replay_leaves_one_row_per_metric(store: ResultStore, run_id: str) -> None:
    rows = result_rows(run_id, {"load/baseline/0/ttft_p99_s": 0.25, "eval/piqa/acc": 0.6})
    for _ in range(3):
        store.write_results(rows)
    counted = store.query("SELECT count() AS n FROM results FINAL WHERE run_id = {id:String}", {"id": run_id})
    assert counted["n"].to_list() == [2]
    assert store.results_of(run_id) == {"eval/piqa/acc": 0.6, "load/baseline/0/ttft_p99_s": 0.25}


def test_the_last_write_wins_even_when_it_repeats_the_first(store: ResultStore, run_id: str) -> None:
    first, second = result_rows(run_id, {"m": 1.0}), [ResultRow(run_id, "t", "m", 2.0, NOON - timedelta(days=40))]
    for rows, expected in ((first, 1.0), (second, 2.0), (first, 1.0)):
        store.write_results(rows)
        assert store.results_of(run_id) == {"m": expected}


def test_block_deduplication_of_a_server_does_not_lose_the_last_write(embedded_url: str, run_id: str) -> None:
    """Replicated tables drop a block they have seen; the setting gives the same to ours."""
    import clickhouse_connect

    store = ResultStore(embedded_url)
    store.run("creates the tables")
    change = "ALTER TABLE vllm_eval.results MODIFY SETTING non_replicated_deduplication_window = {}"
    for window in (100, 0):
        with clickhouse_connect.get_client(interface="chdb", path=embedded_url.removeprefix("chdb://")) as client:
            client.command(change.format(window))
        for value in (1.0, 2.0, 1.0):
            store.write_results(result_rows(run_id, {"m": value}))
        assert store.results_of(run_id) == {"m": 1.0}


def test_the_contract_query_agrees_on_both_engines(embedded_url: str, server_url: str, run_id: str) -> None:
    rows = result_rows(run_id, {f"eval/suite/m{number}": number / 7 for number in range(50)}, tag=run_id)
    answers = []
    for url in (embedded_url, server_url):
        store = ResultStore(url)
        store.write_results(rows)
        store.write_results(rows)
        sql = "SELECT metric, value FROM vllm_eval.results FINAL WHERE model_tag = {tag:String} ORDER BY metric"
        answers.append(store.query(sql, {"tag": run_id}))
    assert answers[0].height == 50
    assert_frame_equal(answers[0], answers[1])


def test_the_result_table_has_the_five_columns_of_the_contract(store: ResultStore) -> None:
    columns = store.query("SELECT * FROM vllm_eval.results LIMIT 0").columns
    assert columns == ["run_id", "model_tag", "metric", "value", "ts"]


def test_the_tables_have_the_columns_that_rows_have(store: ResultStore) -> None:
    expected = {
        "results": [field.name for field in fields(ResultRow)],
        "runs": [field.name for field in fields(RunRow)],
        "alerts": [field.name for field in fields(AlertRow)],
        "samples": ["run_id", "model_tag", *SAMPLE_SCHEMA],
        "requests": ["run_id", "model_tag", *REQUEST_SCHEMA],
    }
    assert {table: store.query(f"SELECT * FROM {table} LIMIT 0").columns for table in expected} == expected


@fewer
@given(
    text=st.text(),
    hashes=st.dictionaries(st.text(), st.text()),
    seen=st.none() | moments,
    started=moments,
    verdict=st.text(),
)
def test_any_run_comes_back(
    store: ResultStore,
    run_id: str,
    text: str,
    hashes: dict[str, str],
    seen: datetime | None,
    started: datetime,
    verdict: str,
) -> None:
    row = run_row(run_id, model=text, step_hashes=hashes, seen_at=seen, started_at=started, verdict=verdict)

    store.write_run(row)
    kept = replace(row, seen_at=seen and to_the_millisecond(seen), started_at=to_the_millisecond(started))
    assert store.run(run_id) == kept


def to_the_millisecond(time: datetime) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000).astimezone(UTC)


def test_a_run_is_replaced_as_it_goes_on(store: ResultStore, run_id: str) -> None:
    assert store.run(run_id) is None
    store.write_run(run_row(run_id, finished_at=None, verdict=""))
    store.write_run(run_row(run_id, verdict="worse"))
    assert store.run(run_id) == run_row(run_id, verdict="worse")


def test_times_come_back_with_their_zone(store: ResultStore, run_id: str) -> None:
    store.write_run(run_row(run_id))
    assert store.query("SELECT started_at FROM runs FINAL WHERE run_id = {id:String}", {"id": run_id}).item() == NOON
    run = store.run(run_id)
    assert run is not None
    assert run.started_at.utcoffset() == timedelta(0)


def test_times_without_a_zone_are_refused_everywhere(store: ResultStore, run_id: str) -> None:
    naive = NOON.replace(tzinfo=None)
    for write in (
        lambda: store.write_run(run_row(run_id, finished_at=naive)),
        lambda: store.write_results([ResultRow(run_id, "t", "m", 1.0, naive)]),
        lambda: store.record_alerts([AlertRow(run_id, "t", "failed", naive, "teams", "")]),
        lambda: store.history(before=naive, exclude_tag="", limit=1),
    ):
        with pytest.raises(ResultsError, match="without a zone"):
            write()
    assert store.run(run_id) is None


def test_runs_come_newest_first(store: ResultStore, run_id: str) -> None:
    for number in (1, 3, 2):
        store.write_run(
            run_row(f"{run_id}-{number}", model_tag=run_id, started_at=NOON + timedelta(milliseconds=number))
        )
    assert [run.run_id[-1] for run in store.runs(limit=10, model_tag=run_id)] == ["3", "2", "1"]
    assert [run.run_id[-1] for run in store.runs(limit=2, model_tag=run_id)] == ["3", "2"]
    assert len(store.runs(limit=1)) == 1


def test_history_is_what_other_releases_had_finished_before(store: ResultStore, run_id: str) -> None:
    epoch = datetime(1980, 1, 1, tzinfo=UTC)  # before the runs of all other tests

    def finish(name: str, tag: str, second: float | None) -> None:
        end = None if second is None else epoch + timedelta(seconds=second)
        store.write_run(run_row(f"{run_id}-{name}", model_tag=tag, started_at=epoch, finished_at=end))

    metrics = {"eval/piqa/acc": 0.5, "eval/piqa/acc_norm": 1.0}
    store.write_results([row for name in ("old", "older") for row in result_rows(f"{run_id}-{name}", metrics)])
    finish("old", "release-1", 1)
    finish("older", "release-0", 0.5)
    finish("same tag", "release-2", 2)
    finish("under way", "release-1", None)
    finish("just before", "release-3", 9.999)
    finish("at that moment", "release-3", 10)
    past = store.history(before=epoch + timedelta(seconds=10), exclude_tag="release-2", limit=10)
    mine = [one for one in past if one.run.run_id.startswith(run_id)]
    assert [one.run.run_id for one in mine] == [f"{run_id}-{name}" for name in ("just before", "old", "older")]
    assert [one.metrics for one in mine] == [{}, metrics, metrics]
    assert len(store.history(before=epoch + timedelta(seconds=10), exclude_tag="release-2", limit=2)) == 2


def test_samples_come_back_and_a_replay_replaces_them(store: ResultStore, run_id: str) -> None:
    frame = samples_frame(
        [{}, {"item_hash": "한", "score": None, "status": "judge_error", "output_tokens": None}, {"metric": "acc_norm"}]
    )
    store.write_samples(run_id, "release-1", frame)
    store.write_samples(run_id, "release-1", frame.with_columns(score=pl.lit(0.5)).head(1))
    sql = "SELECT * EXCEPT (run_id, model_tag) FROM samples FINAL WHERE run_id = {id:String}"
    expected = frame.with_columns(score=pl.Series([0.5, None, 1.0]))
    assert_frame_equal(store.query(sql, {"id": run_id}), expected, check_row_order=False)


def test_requests_come_back_and_a_replay_replaces_them(store: ResultStore, run_id: str) -> None:
    frame = requests_frame(
        [
            {"request_index": number, "first_token_s": None, "http_status": None, "outcome": "timeout"}
            if number % 7 == 0
            else {"request_index": number, "due_s": number / 3}
            for number in range(3000)
        ]
    )
    for _ in range(2):
        store.write_requests(run_id, "release-1", frame)
    sql = "SELECT * EXCEPT (run_id, model_tag) FROM requests FINAL WHERE run_id = {id:String} ORDER BY request_index"
    assert_frame_equal(store.query(sql, {"id": run_id}), frame)


def test_nothing_to_write_is_no_error(store: ResultStore, run_id: str) -> None:
    store.write_results([])
    store.write_samples(run_id, "t", samples_frame([]))
    store.write_requests(run_id, "t", requests_frame([]))
    assert store.results_of(run_id) == {}


def test_the_ledger_remembers_per_run_and_kind(store: ResultStore, run_id: str) -> None:
    other = f"{run_id}x"
    assert store.alerts_of([run_id, other]) == set()
    for _ in range(2):
        store.record_alerts(
            [AlertRow(run, "release-1", "worse", NOON, f"teams {run_id}", "202 Accepted") for run in (run_id, other)]
        )
    assert store.alerts_of([run_id]) == {(run_id, "worse")}
    assert store.alerts_of([run_id, other, "nobody"]) == {(run_id, "worse"), (other, "worse")}
    assert store.messages_since(NOON - timedelta(seconds=1), f"teams {run_id}") == [NOON]
    assert store.messages_since(NOON, f"teams {run_id}") == []
    assert store.messages_since(NOON - timedelta(days=1), "outbox") == []
    rows = store.query("SELECT count() FROM alerts FINAL WHERE run_id = {id:String}", {"id": run_id})
    assert rows.item() == 1


def test_query_only_reads(store: ResultStore, run_id: str) -> None:
    store.write_results(result_rows(run_id, {"m": 1.0}))
    for sql in ("DROP TABLE results", "TRUNCATE TABLE results", "INSERT INTO results (run_id) VALUES ('x')"):
        with pytest.raises(ResultsError, match="readonly"):
            store.query(sql)
    assert store.results_of(run_id) == {"m": 1.0}


def test_an_empty_answer_has_columns_and_types(store: ResultStore) -> None:
    frame = store.query(
        "SELECT metric, value, ts, 1 = 1 AS yes FROM results FINAL WHERE run_id = {id:String}", {"id": "?"}
    )
    assert frame.height == 0
    assert frame.schema["value"] == pl.Float64
    assert frame.schema["metric"] == pl.String
    assert frame.schema["ts"] == pl.Datetime("us", "UTC")


def test_large_parameters_arrive(store: ResultStore) -> None:
    texts = ["x" * 1000 + str(number) for number in range(100)]
    assert store.query("SELECT length({texts:Array(String)}) AS n", {"texts": texts}).item() == 100


def test_a_wrong_question_is_one_sentence(store: ResultStore) -> None:
    with pytest.raises(ResultsError, match="failed") as caught:
        store.query("SELECT nothing FROM results")
    assert "\n" not in str(caught.value)


def test_threads_may_share_a_store(store: ResultStore, run_id: str) -> None:
    def write(number: int) -> dict[str, float]:
        store.write_results(result_rows(f"{run_id}-{number}", {"m": float(number)}))
        return store.results_of(f"{run_id}-{number}")

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(6))) == [{"m": float(number)} for number in range(6)]
