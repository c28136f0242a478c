"""The whole pipeline as a person runs it: `vllm-quality evaluate` in its own process, against a real endpoint on loopback."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from vllm_quality.results.database import ResultStore
from vllm_quality.results.publish import AGAIN
from vllm_quality_tests.dagster_dev import free_port
from vllm_quality_tests.servers.toy_llm import ToyModel, serve_toy

SCENARIOS = """
scenarios:
  baseline:
    title: Two seconds
    profiles:
      smoke:
        input_tokens: 16
        output_tokens: 8
        stages: [{type: constant, rate: 8, duration_s: 2}]
        trust: {client_lag_p99_s: 1}
"""
# The machine that runs the tests is shared, so only a slowdown of several times is one; and 20 items show large losses only.
THRESHOLDS = """
performance: {matters: 3.0, budget: 1.0, max_regression: 3.0, judged: ["load/*/tpot_p50_s"]}
quality: {matters: 1.0, judged: ["eval/*"]}
floors: {"load/*/success_ratio": 0.99}
"""
MENTION = "LLM-Ops <ops@example.com>"


@dataclass
class World:
    """A machine with an endpoint on it and a home for everything that is kept."""

    folder: Path
    model: ToyModel
    url: str
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "VLLM_QUALITY_HOME": str(self.home),
            "VLLM_QUALITY_CONFIG_DIR": str(self.folder / "configs"),
            "VLLM_QUALITY_TEAMS_MENTIONS": MENTION,
            "VLLM_QUALITY_PROFILE": "smoke",
            "VLLM_QUALITY_BASE_URL": self.url,
            **self.extra,
        }

    def start(self, tag: str, *arguments: str, work: str = "evaluate") -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "vllm_quality", work, tag, *arguments]
        return subprocess.Popen(
            command, env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def evaluate(self, tag: str, *arguments: str, work: str = "evaluate") -> tuple[int, str]:
        """Exit code and everything that was printed."""
        process = self.start(tag, *arguments, work=work)
        output, _ = process.communicate(timeout=180)
        assert "Traceback" not in output, output
        return process.returncode, " ".join(output.split())

    @property
    def store(self) -> ResultStore:
        return ResultStore(f"chdb://{self.home}/results")

    def cards(self) -> list[str]:
        """The cards in the outbox, oldest first."""
        paths = sorted((self.home / "outbox").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return [path.read_text(encoding="utf-8") for path in paths]

    def measured(self) -> list[str]:
        """The steps that left a measurement, over all runs."""
        found = (self.home / "objects" / "runs").rglob("measurement.json")
        return sorted("/".join(path.parts[-3:-1]) for path in found)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "scenarios.yaml").write_text(SCENARIOS, encoding="utf-8")
    (configs / "thresholds.yaml").write_text(THRESHOLDS, encoding="utf-8")
    model = ToyModel()
    with serve_toy(model) as url:
        yield World(tmp_path, model, url)


def rows_per_metric(world: World) -> Mapping[tuple[str, str], int]:
    sql = "SELECT run_id, metric, count() AS n FROM results FINAL GROUP BY run_id, metric"
    return {(run, metric): n for run, metric, n in world.store.query(sql).rows()}


def test_from_releases_to_verdicts(world: World) -> None:
    code, said = world.evaluate("release-1")
    assert code == 2, said
    assert "no baseline" in said

    code, said = world.evaluate("release-2")
    assert code == 0, said
    assert "release-2: pass" in said

    world.model.forgets, world.model.itl_s = 0.5, 0.03
    code, said = world.evaluate("release-3")
    assert code == 1, said
    assert "release-3: worse" in said

    metrics = world.store.query(
        "SELECT metric, value FROM vllm_eval.results FINAL WHERE model_tag = 'release-3' ORDER BY metric"
    )
    found = dict(metrics.rows())
    assert found["load/baseline/rate-8/success_ratio"] == 1.0
    assert 0.3 < found["eval/basics_ko/exact_match"] < 0.7
    assert found["load/baseline/rate-8/tpot_p50_s"] > 0.02
    assert set(rows_per_metric(world).values()) == {1}
    assert (
        world.store.query("SELECT count() AS n FROM requests FINAL")["n"].item() == 4 * 16
    )  # the last, suspected, twice
    assert world.store.query("SELECT count() AS n FROM samples FINAL")["n"].item() > 3 * 60

    first, second, third = world.cards()
    assert MENTION.split(" <")[0] not in first + second
    assert "<at>LLM-Ops</at>" in third
    assert all(len(card.encode()) < 28_000 for card in (first, second, third))

    [page] = (world.home / "objects" / "reports" / "release-3").rglob("report.html")
    html = page.read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="(?!#)[^"]*\.(?:js|css)', html) == []
    check_statuses(world)


def test_a_bad_day_is_measured_again_and_no_alarm(world: World) -> None:
    for tag in ("release-1", "release-2"):
        world.evaluate(tag)
    measured = len(world.measured())
    world.model.forgets = 0.5
    process = world.start("release-3")
    while len(world.measured()) < measured * 3 // 2 and process.poll() is None:
        time.sleep(0.02)
    world.model.forgets = 0.0  # before anything is measured again
    said, _ = process.communicate(timeout=180)
    assert (process.returncode, "release-3: pass" in said) == (0, True), said

    runs = {row.model_tag: row for row in world.store.runs(limit=3)}
    twice = world.store.query("SELECT metric, run_id, value FROM results FINAL WHERE model_tag = 'release-3'")
    values = {(metric, run_id.endswith(AGAIN)): value for metric, run_id, value in twice.rows()}
    assert values["eval/basics_ko/exact_match", False] < 0.7 < values["eval/basics_ko/exact_match", True]
    assert "eval/basics_ko" in runs["release-2"].step_hashes
    assert (
        "eval/basics_ko" not in runs["release-3"].step_hashes
    )  # of two measurements that differ, neither is a standard
    assert set(rows_per_metric(world).values()) == {1}


def test_of_twelve_historical_tags_the_bad_one_is_flagged_and_its_neighbours_are_not(world: World) -> None:
    tags = [f"release-1.{number}" for number in range(12)]
    world.model.forgets_at = {tags[5]: 0.5}
    world.extra = {"VLLM_QUALITY_BASE_URL": f"{world.url}/{{tag}}"}
    command = [sys.executable, "-m", "vllm_quality_tests.backfill", *tags]
    done = subprocess.run(command, env=world.environment, capture_output=True, text=True, timeout=600, check=True)
    statuses = json.loads(done.stdout.splitlines()[-1])
    assert statuses == {tag: {tags[0]: "no_baseline", tags[5]: "worse"}.get(tag, "pass") for tag in tags}

    # Each was held against those before it, and none against the bad one.
    of_run = {row.run_id: row.model_tag for row in world.store.runs(limit=20)}
    for path in (world.home / "objects" / "runs").glob("*/verdict.json"):
        tag = of_run[path.parent.name]
        before = [each for each in tags[: tags.index(tag)] if each != tags[5]]
        assert [of_run[run] for run in json.loads(path.read_text())["baseline_runs"]] == before[::-1][:5]


def check_statuses(world: World) -> None:
    with dg.DagsterInstance.from_config(str(world.home / "dagster")) as instance:
        runs = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": "release-3"}))
        events = instance.all_logs(runs[0].run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        checks: dict[str, Any] = {}
        for entry in events:
            assert entry.dagster_event is not None
            evaluation = entry.dagster_event.asset_check_evaluation_data
            checks[evaluation.check_name] = (evaluation.passed, evaluation.severity, evaluation.partition)
    error = dg.AssetCheckSeverity.ERROR
    worse = ("quality", "performance", "eval_basics_ko", "load_baseline")
    for name in worse:
        assert checks[f"{name}_not_regressed"] == (False, error, "release-3")
    assert checks["recall"][0]
    assert {partition for _, _, partition in checks.values()} == {"release-3"}


def test_the_same_tag_twice_is_two_runs_with_one_row_per_metric(world: World) -> None:
    code, said = world.evaluate("release-1", "--repeats", "2", work="calibrate")
    assert code == 0, said
    assert "have a scatter of 2 runs behind them" in said
    counts = rows_per_metric(world)
    assert len({run for run, _ in counts}) == 2
    assert set(counts.values()) == {1}
    assert len(world.cards()) == 2


def test_replaying_a_run_doubles_no_row_and_sends_no_second_card(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm_quality.alerts.sensors import announce_run
    from vllm_quality.results.publish import publish_run
    from vllm_quality.results.resources import ResultsResource
    from vllm_quality.verdict.thresholds import Thresholds

    world.evaluate("release-1")
    before, cards = rows_per_metric(world), world.cards()
    for name, value in world.environment.items():
        if name.startswith("VLLM_QUALITY_"):
            monkeypatch.setenv(name, value)
    [run] = world.store.runs(limit=5)
    results = ResultsResource()
    publish_run(results.run_folder(run.run_id), results.store(), world.measured(), Thresholds())
    with dg.DagsterInstance.from_config(str(world.home / "dagster")) as instance:
        [dagster_run] = instance.get_runs()
        announce_run(instance, dagster_run, results)
    assert rows_per_metric(world) == before
    assert world.cards() == cards


def left_behind(home: Path) -> set[str]:
    """What each asset of a run leaves in the object store last, so that the next may begin."""
    names = ("target.json", "snapshot.json", "measurement.json", "verdict.json", "report.html")
    found = [path for path in (home / "objects").rglob("*") if path.name in names]
    return {"/".join(path.parts[-3:]) if path.name == "measurement.json" else path.name for path in found}


def test_killed_after_each_asset_in_turn_nothing_is_lost_or_doubled(world: World) -> None:
    """kill -9 as soon as a new asset has left something, then resume, until there is nothing left to kill."""
    kills, seen, code, output = 0, set[str](), None, ""
    while code is None:
        process = world.start("release-1", *(["--resume"] if seen else []))
        new = set[str]()
        while process.poll() is None and not new:
            time.sleep(0.02)
            new = left_behind(world.home) - seen
        if process.poll() is None and kills < 8:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills, seen = kills + 1, seen | new
            continue
        output, _ = process.communicate(timeout=120)
        code = process.returncode
    assert kills >= 6, output
    assert code == 2, output  # no baseline
    assert "no baseline" in output
    counts = rows_per_metric(world)
    assert len({run for run, _ in counts}) == 1
    assert set(counts.values()) == {1}
    assert world.measured() == ["eval/basics_en", "eval/basics_ko", "eval/deepeval", "load/baseline"]
    assert world.store.query("SELECT count() AS n FROM requests FINAL")["n"].item() == 16
    assert [run.verdict for run in world.store.runs(limit=5)] == ["no_baseline"]
    assert sum("run_success" in path.name for path in (world.home / "outbox").iterdir()) == 1


@pytest.mark.parametrize(
    ("arguments", "model", "said"),
    [
        (("--base-url", "http://127.0.0.1:{port}"), ToyModel(), "cannot be reached"),
        (("--model", "gpt"), ToyModel(), "does not serve 'gpt' but toy"),
        ((), ToyModel(key="secret"), "refused the API key (401)"),
    ],
)
def test_an_unusable_endpoint_is_one_sentence_and_exit_2(
    world: World, arguments: tuple[str, ...], model: ToyModel, said: str
) -> None:
    with serve_toy(model) as world.url:
        code, output = world.evaluate("release-1", *(part.format(port=free_port()) for part in arguments))
    assert code == 2
    assert said in output
    [card] = world.cards()
    assert "<at>LLM-Ops</at>" in card


def test_an_endpoint_that_dies_half_way_loses_nothing_that_was_stored(world: World) -> None:
    world.evaluate("release-1")
    before = rows_per_metric(world)
    process = world.start("release-2")
    while world.measured().count("load/baseline") < 2 and process.poll() is None:
        time.sleep(0.05)
    world.model.down = 503
    process.communicate(timeout=180)
    assert process.returncode == 2
    assert {key: n for key, n in rows_per_metric(world).items() if key in before} == before
    assert world.measured().count("load/baseline") == 2


def test_a_results_store_that_is_down_is_one_sentence_and_the_run_can_go_on_later(world: World) -> None:
    world.extra["VLLM_QUALITY_RESULTS_URL"] = f"http://user:hunter2@127.0.0.1:{free_port()}/vllm_eval"
    code, output = world.evaluate("release-1")
    assert code == 2
    assert "cannot be reached" in output
    assert "hunter2" not in output
    asked = world.model.requests
    del world.extra["VLLM_QUALITY_RESULTS_URL"]
    code, output = world.evaluate("release-1", "--resume")
    assert (code, "no baseline" in output) == (2, True)
    assert world.model.requests == asked, "what was measured was measured again"
    assert len(rows_per_metric(world)) > 20


def test_an_unwritable_home_is_one_sentence(world: World) -> None:
    (world.folder / "file").write_text("", encoding="utf-8")
    world.extra["VLLM_QUALITY_HOME"] = str(world.folder / "file" / "home")
    code, output = world.evaluate("release-1")
    assert code == 2
    assert "cannot be written" in output
    assert "VLLM_QUALITY_HOME" in output


def mount_small_disk(folder: Path, size: str) -> str | None:
    """Mount a disk of a size; the reason when that is not possible here."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no mount command"
    return done.stderr.strip() or None


def test_a_full_disk_is_one_sentence_and_what_was_stored_is_still_there(world: World) -> None:
    disk = world.folder / "disk"
    if reason := mount_small_disk(disk, "40m"):
        pytest.skip(f"no small disk can be mounted: {reason}")
    try:
        world.extra["VLLM_QUALITY_OBJECTS_URL"] = f"file://{disk}/objects"
        world.evaluate("release-1")
        stored = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}
        assert stored
        (disk / "ballast").write_bytes(b"")
        with (disk / "ballast").open("r+b") as ballast:
            try:
                while ballast.write(b"x" * 65536):
                    ballast.flush()
            except OSError:
                pass
        code, output = world.evaluate("release-2")
        assert code == 2
        assert "full" in output or "space" in output, output
        assert {path: path.read_bytes() for path in stored} == stored
    finally:
        subprocess.run(["umount", str(disk)], check=False)


DATASET = "format: jsonl\nlanguage: en\nrole: golden\nlicence: CC0-1.0\n"


def test_a_malformed_row_is_counted_and_a_set_of_nothing_else_is_one_sentence(world: World) -> None:
    mine = world.folder / "sets" / "mine"
    mine.mkdir(parents=True)
    (mine / "dataset.yaml").write_text(DATASET, encoding="utf-8")
    good = json.dumps({"input": "What is two plus two?", "reference": "four"})
    (mine / "items.jsonl").write_text(f"{good}\n{{broken\n", encoding="utf-8")
    world.extra["VLLM_QUALITY_DATASETS_DIR"] = str(mine.parent)
    code, output = world.evaluate("release-1")
    assert code == 2
    assert "release-1: no baseline" in output
    [manifest] = (world.home / "objects" / "snapshots").rglob("manifest.json")
    assert "items.jsonl" in manifest.read_text(encoding="utf-8")

    (mine / "items.jsonl").write_text("{broken\n", encoding="utf-8")
    code, output = world.evaluate("release-2")
    assert code == 2
    assert "items.jsonl" in output
