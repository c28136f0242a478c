"""kill -9 while a snapshot is built: what was there stays, what was begun is absent or whole, and the next build succeeds."""

import random
import signal
import subprocess
import sys
from pathlib import Path
from string import ascii_lowercase

import pytest

from vllm_quality.datasets.freeze import Freezing, build_snapshot
from vllm_quality.datasets.snapshot import list_snapshots, load_snapshot, read_pairs
from vllm_quality.results.objects import FileObjects
from vllm_quality_tests.datasets.sets import lines, write_set

WORDS = ["".join(random.Random(number).choices(ascii_lowercase, k=6)) for number in range(400)]
ROWS = [{"input": " ".join(random.Random(number).choices(WORDS, k=8))} for number in range(600)]
OLD, NEW = ROWS[:20], [*ROWS, ROWS[0]]
STEPS = (
    "reading mine",
    "writing items",
    "after set.parquet",
    "before items.parquet",
    "after items.parquet",
    "after pairs.parquet",
    "before manifest.json",
    "after manifest.json",
)


def kill_at(step: str, sets: Path, objects: Path, work: Path) -> None:
    """Run a build until it comes to a step, and kill it there."""
    command = [sys.executable, "-m", "vllm_quality_tests.datasets.builder", str(sets), str(objects), str(work), step]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as building:
        assert building.stdout is not None
        assert step in (line.rstrip("\n") for line in building.stdout)
        building.send_signal(signal.SIGKILL)
    assert building.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", STEPS)
def test_kill_9_leaves_the_old_snapshot_and_none_or_all_of_the_new(tmp_path: Path, step: str) -> None:
    sets, work, objects = tmp_path / "sets", tmp_path / "work", FileObjects(tmp_path / "objects")
    mine = write_set(sets, "mine", {"rows.jsonl": lines(OLD)}, pii="keep")
    old = build_snapshot([mine], objects, Freezing(work=work))
    (mine.folder / "rows.jsonl").write_text(lines(NEW) + "bad\n", encoding="utf-8")
    kill_at(step, sets, objects.root, work)

    assert load_snapshot(objects, old.hash).height == len(OLD)
    for found in set(list_snapshots(objects)) - {old.hash}:
        assert step == "after manifest.json"
        assert load_snapshot(objects, found).height == len(ROWS)

    new = build_snapshot([mine], objects, Freezing(work=work))
    assert new.is_new is (step != "after manifest.json")
    assert set(list_snapshots(objects)) == {old.hash, new.hash}
    assert load_snapshot(objects, new.hash).height == new.manifest.items
    assert read_pairs(objects, new.hash).height == new.manifest.files["pairs"].rows
    # What the killed build had spooled is gone, too.
    assert list(work.glob("spool-*")) == []
