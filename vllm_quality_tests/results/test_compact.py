"""The embedded store stays small: parts that merges and inserts leave behind go, rows do not."""

from pathlib import Path

import clickhouse_connect  # noqa: TID253 - this test is about the engine itself

from vllm_quality.results.compact import MOST_PARTS
from vllm_quality.results.database import ResultStore
from vllm_quality_tests.results.samples import result_rows


def part_folders(folder: Path) -> int:
    return sum(1 for _ in folder.glob("store/*/*/all_*"))


def insert_one_by_one(folder: Path, count: int) -> None:
    with clickhouse_connect.get_client(interface="chdb", path=str(folder), database="vllm_eval") as client:
        for number in range(count):
            client.command(f"INSERT INTO results VALUES ('old', 't', 'm{number % 50}', {number}, now64(3))")


def test_parts_do_not_pile_up(tmp_path: Path) -> None:
    store = ResultStore(f"chdb://{tmp_path}")
    store.write_results(result_rows("first", {"m": 1.0}))
    insert_one_by_one(tmp_path, MOST_PARTS + 3)
    assert part_folders(tmp_path) > MOST_PARTS
    before = store.results_of("old")
    assert before == {f"m{number % 50}": float(number) for number in range(MOST_PARTS + 3)}
    assert part_folders(tmp_path) < 10
    assert store.results_of("old") == before
    assert store.results_of("first") == {"m": 1.0}
    store.write_results(result_rows("first", {"m": 2.0}))
    assert store.results_of("first") == {"m": 2.0}


def test_what_a_killed_compaction_left_is_in_nobodys_way(tmp_path: Path) -> None:
    store = ResultStore(f"chdb://{tmp_path}")
    store.write_results(result_rows("first", {"m": 1.0}))
    with clickhouse_connect.get_client(interface="chdb", path=str(tmp_path), database="vllm_eval") as client:
        client.command("CREATE TABLE results_compacted AS results")
        client.command("INSERT INTO results_compacted SELECT 'ghost', * EXCEPT run_id FROM results")
    insert_one_by_one(tmp_path, MOST_PARTS + 3)
    store.results_of("first")
    assert part_folders(tmp_path) < 10
    assert store.results_of("ghost") == {}
    assert store.results_of("first") == {"m": 1.0}
    assert "results_compacted" not in store.query("SELECT name FROM system.tables WHERE database = 'vllm_eval'")["name"]
