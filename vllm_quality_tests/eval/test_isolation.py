"""The frameworks talk to nobody but the endpoints, write nothing where they run, and bring no torch along."""

import json
import os
import subprocess
import sys
from pathlib import Path

from vllm_quality_tests.eval.task_files import add_up, write_answer_task
from vllm_quality_tests.eval.test_deepeval_suite import snapshot
from vllm_quality_tests.servers.obedient_judge import obey
from vllm_quality_tests.servers.openai_api import OpenAIServer

PROGRAM = """
import json, sys
from pathlib import Path

strangers = []


def watch(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "127.0.0.1", "localhost"):
        strangers.append(arguments[0])
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] != "127.0.0.1":
        strangers.append(arguments[1][0])


sys.addaudithook(watch)
import polars as pl
from vllm_quality.eval.deepeval_suite import run_deepeval
from vllm_quality.eval.judge import JudgeSettings
from vllm_quality.eval.lm_suite import run_suite
from vllm_quality.eval.suites import Suite
from vllm_quality_tests.eval.task_files import vllm_at

release, judge, tasks, frame, work, config = sys.argv[1:]
common = {"profile": "full", "concurrency": 2, "timeout_s": 10, "work_folder": Path(work)}
suite = run_suite(Suite(name="sums", include_path=tasks), vllm_at(release), None, **common)
graded = run_deepeval(
    pl.read_parquet(frame),
    vllm_at(release),
    None,
    judge=JudgeSettings(judge + "/v1", "judge"),
    metrics_dir=None,
    config=Path(config),
    **common,
)
imported = sorted({"torch", "transformers", "vllm"} & set(sys.modules))
judged = sum(name.endswith("_score") for name in graded.metrics)
print(json.dumps([strangers, imported, suite.problem, graded.problem, judged]))
"""
# What an operator may have set for other work, and what would have deepeval ask others.
STRANGERS = {"CONFIDENT_API_KEY": "confident", "OPENAI_API_KEY": "sk-other", "DEEPEVAL_EVAL_MODE": "hybrid"}


def test_both_frameworks_keep_to_themselves(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    snapshot(4, context=True).write_parquet(tmp_path / "items.parquet")
    write_answer_task(tmp_path / "tasks", items=4)
    entries = [{"metric": name} for name in ("AnswerRelevancyMetric", "FaithfulnessMetric", "TurnRelevancyMetric")]
    (tmp_path / "deepeval.json").write_text(json.dumps({"metrics": entries}), encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DEEPEVAL", "HF_"))}
    with OpenAIServer(answer=add_up) as release, OpenAIServer(answer=obey, model="judge") as judge:
        places = [tmp_path / "tasks", tmp_path / "items.parquet", tmp_path / "work", tmp_path / "deepeval.json"]
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, release.base_url, judge.base_url, *map(str, places)],
            cwd=here,
            env={**inherited, "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache"), **STRANGERS},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    # Four of the folder's, three configured, the canary, and what load changes.
    assert json.loads(done.stdout.splitlines()[-1]) == [[], [], None, None, 4 + 3 + 2]
    assert done.stderr == ""
    assert list(here.iterdir()) == []
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"deepeval", "huggingface"}
    assert not (tmp_path / "home").exists()
