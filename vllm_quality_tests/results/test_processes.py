"""Several processes and one folder: they take turns, and one that is killed loses nothing that it had stored."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vllm_quality.results.connection import Embedded
from vllm_quality.results.database import ResultStore
from vllm_quality.results.rows import ResultsError
from vllm_quality.results.turns import turn
from vllm_quality_tests.results.samples import result_rows


def start_writer(url: str, run_id: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vllm_quality_tests.results.writer", url, run_id, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_and_this_one_write_side_by_side(tmp_path: Path) -> None:
    url = f"chdb://{tmp_path}/results"
    store = ResultStore(url)
    with start_writer(url, "one", 4) as one, start_writer(url, "two", 4) as two:
        for number in range(4):
            store.write_results(result_rows("three", {f"m{number}": float(number), "shared": 1.0}))
        assert (one.wait(60), two.wait(60)) == (0, 0)
    expected = {f"m{number}": float(number) for number in range(4)} | {"shared": 1.0}
    assert [store.results_of(run) for run in ("one", "two", "three")] == [expected] * 3
    assert store.query("SELECT count() FROM results FINAL").item() == 15


def test_kill_9_while_writing_then_a_replay_leaves_one_row_per_metric(tmp_path: Path) -> None:
    url = f"chdb://{tmp_path}/results"
    with start_writer(url, "killed", 1000) as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 4:
            pass
        writer.send_signal(signal.SIGKILL)
    store = ResultStore(url)
    stored = store.results_of("killed")
    assert {f"m{number}" for number in range(5)} <= set(stored)
    store.write_results(result_rows("killed", stored | {"m99": 99.0}))
    rows = store.query("SELECT metric FROM results FINAL WHERE run_id = 'killed'")
    assert sorted(rows["metric"]) == sorted([*stored, "m99"])


def test_who_waits_too_long_is_told_for_whom(tmp_path: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from vllm_quality.results.turns import turn\n"
        "with turn(Path(sys.argv[1]), 5): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told = rf"{tmp_path} has been in use by process {holder.pid} on .* for 0\.2 s; end that process"
        with pytest.raises(ResultsError, match=told):
            Embedded(tmp_path, turn_seconds=0.2).run(lambda client: client.command("SELECT 1"))
        holder.kill()
    assert Embedded(tmp_path, turn_seconds=5).run(lambda client: client.command("SELECT 1")) == 1


def test_threads_wait_for_each_other_whatever_the_folder(tmp_path: Path) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with turn(tmp_path / "a", 5):
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    with (
        pytest.raises(ResultsError, match=f"another thread of this process \\({os.getpid()}\\)"),
        turn(tmp_path / "b", 0.1),
    ):
        pass
    done.set()
    with turn(tmp_path / "b", 5):
        thread.join()


def test_a_turn_ends_with_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), turn(tmp_path, 1):
        raise ZeroDivisionError
    began = time.monotonic()
    with turn(tmp_path, 1):
        assert time.monotonic() - began < 0.5
