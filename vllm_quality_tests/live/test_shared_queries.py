"""Machines that freeze the service's queries share what they have signed in a real Redis."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vllm_quality.datasets.traffic.take import take_day
from vllm_quality.results.objects import FileObjects, open_objects
from vllm_quality.settings import PREFIX, load_settings
from vllm_quality_tests.benchmarks.corpus import make_corpus

pytestmark = pytest.mark.live

DAYS = [dt.date(2026, 11, 20) + dt.timedelta(days=at) for at in range(3)]
EACH = 300
TAKE = """
import datetime as dt, sys
from vllm_quality.datasets.traffic.take import take_day
from vllm_quality.results.objects import open_objects
from vllm_quality.settings import load_settings
settings = load_settings()
found = take_day(settings, dt.date.fromisoformat(sys.argv[1]), open_objects(settings), print).manifest
print(found.hash, found.counts.known, found.certificate.verdict)
"""


@pytest.fixture
def logs(tmp_path: Path) -> str:
    """Three days of English and Korean prose, in which texts come again with a few edits."""
    (tmp_path / "logs").mkdir()
    texts = make_corpus(EACH * len(DAYS), seed=31).texts
    for at, day in enumerate(DAYS):
        rows = [json.dumps({"prompt": text}, ensure_ascii=False) for text in texts[at :: len(DAYS)]]
        (tmp_path / "logs" / f"{day}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return f"file://{tmp_path}/logs/{{day}}"


def test_machines_that_fill_an_index_at_once_freeze_what_one_alone_does(tmp_path: Path, logs: str, redis: str) -> None:
    for day in DAYS:
        alone = take_day(
            load_settings(home=tmp_path / "alone", queries_url=logs),
            day,
            FileObjects(tmp_path / "alone" / "objects"),
            print,
        ).manifest
    shared = load_settings(
        home=tmp_path / "first", queries_url=logs, queries_index=redis, objects_url=f"file://{tmp_path}/objects"
    )
    for day in DAYS[:2]:
        take_day(shared, day, open_objects(shared), print)
    machines = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE, DAYS[2].isoformat()],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {
                f"{PREFIX}HOME": str(tmp_path / name),
                f"{PREFIX}QUERIES_URL": logs,
                f"{PREFIX}QUERIES_INDEX": redis,
                f"{PREFIX}OBJECTS_URL": f"file://{tmp_path}/objects",
            },
        )
        for name in ("second", "third")
    ]
    said = [machine.communicate(timeout=300)[0].splitlines()[-1] for machine in machines]
    assert alone.counts.known > 10
    assert said == [f"{alone.hash} {alone.counts.known} pass"] * 2
