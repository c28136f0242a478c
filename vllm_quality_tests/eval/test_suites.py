"""evalchemy.json: what an entry may hold, and what a mistake in it says."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from vllm_quality.eval.suites import Suite, SuiteConfigError, load_suites, load_suites_file


def written(folder: Path, content: object) -> Path:
    path = folder / "evalchemy.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_bare_name_and_an_object_are_both_suites(tmp_path: Path) -> None:
    path = written(tmp_path, {"tasks": ["kobest", {"name": "mmlu", "num_fewshot": 5, "limit": 7}]})
    bare, full = load_suites(path)
    assert (bare.task, bare.num_fewshot, bare.limit_for("smoke"), bare.limit_for("full")) == ("kobest", None, 20, None)
    assert (full.task, full.num_fewshot) == ("mmlu", 5)
    assert [full.limit_for(profile) for profile in ("smoke", "standard", "full")] == [7, 7, 7]


def test_a_limit_per_profile_keeps_the_defaults_of_the_others(tmp_path: Path) -> None:
    (suite,) = load_suites(written(tmp_path, {"tasks": [{"name": "a", "limit": {"smoke": 3, "standard": None}}]}))
    assert [suite.limit_for(profile) for profile in ("smoke", "standard", "full")] == [3, None, None]


def test_evalchemys_presets_are_understood(tmp_path: Path) -> None:
    loaded = load_suites_file(
        written(tmp_path, {"annotator_model": "gpt-4o-mini", "tasks": [{"task_name": "MATH500", "batch_size": 32}]})
    )
    assert loaded.annotator_model == "gpt-4o-mini"
    assert loaded.tasks[0].task == "MATH500"


PRESET = """\
annotator_model: gpt-4o-mini-2024-07-18
tasks:
  - task_name: IFEval
    batch_size: 32
  - task_name: MATH500
"""


def test_a_preset_of_evalchemys_brings_its_tasks_with_the_entrys_settings(tmp_path: Path) -> None:
    (tmp_path / "light.yaml").write_text(PRESET, encoding="utf-8")
    entries = ["kobest", {"preset": "light.yaml", "runner": "evalchemy", "limit": 5}]
    first, *others = load_suites(written(tmp_path, {"tasks": entries}))
    assert (first.task, first.runner, first.annotator_model) == ("kobest", "lm-eval", None)
    assert [(suite.task, suite.runner, suite.batch_size) for suite in others] == [
        ("IFEval", "evalchemy", 32),
        ("MATH500", "evalchemy", None),
    ]
    assert {suite.annotator_model for suite in others} == {"gpt-4o-mini-2024-07-18"}
    assert {suite.limit_for("full") for suite in others} == {5}


@pytest.mark.parametrize(
    ("text", "entry", "says"),
    [
        (None, {}, "tasks[1] cannot be used: Preset"),
        ("tasks: [", {}, "is not YAML"),
        ("- a", {}, "the file cannot be used"),
        ("tasks: [{name: a}]", {}, "tasks.0.task_name cannot be used: field required"),
        ("tasks: [{task_name: a}]", {"name": "b"}, "in an entry that names no task itself"),
        ("tasks: [{task_name: a}]", {"limit": 0}, "tasks[1].limit.smoke (of 'a') cannot be used"),
        ("tasks: [{task_name: a}, {task_name: x}]", {}, "tasks[1] ('x') has the same name as tasks[0]"),
    ],
)
def test_a_mistake_in_a_preset_is_one_sentence(tmp_path: Path, text: str | None, entry: object, says: str) -> None:
    if text is not None:
        (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    assert isinstance(entry, dict)
    path = written(tmp_path, {"tasks": ["x", {"preset": "p.yaml", **entry}]})
    with pytest.raises(SuiteConfigError) as caught:
        load_suites(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_probe_and_time_limit_are_given_per_profile_or_for_all(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"tasks": ["a", {"name": "b", "concurrency_probe": {"smoke": 0}, "time_limit_s": 90, "cluster": "passage"}]},
    )
    plain, given = load_suites(path)
    assert 0 < plain.probe_for("smoke") < plain.probe_for("full")
    assert 0 < plain.time_limit_for("smoke") < plain.time_limit_for("full")
    assert (given.probe_for("smoke"), given.probe_for("standard")) == (0, plain.probe_for("standard"))
    assert {given.time_limit_for(profile) for profile in ("smoke", "standard", "full")} == {90.0}
    assert given.cluster == "passage"


def test_the_name_in_assets_and_paths_is_safe() -> None:
    suite = Suite(name="leaderboard::math-hard/한국")
    assert suite.asset_name == "eval_leaderboard__math_hard___"
    assert suite.step == "eval/leaderboard__math_hard___"


def test_task_folders_are_found_beside_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, {"tasks": ["a", {"name": "b", "include_path": "mine"}]})
    assert [suite.include_path for suite in load_suites(path)] == [None, tmp_path / "mine"]
    (tmp_path / "tasks").mkdir()
    assert [suite.include_path for suite in load_suites(path)] == [tmp_path / "tasks", tmp_path / "mine"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"tasks": ["a",]}', "is not JSON: Expecting value at line 1, column 16"),
        ([1], "the file cannot be used: it must be an object"),
        ({}, "tasks cannot be used: it is missing"),
        ({"tasks": "a"}, "tasks cannot be used: it must be a list"),
        ({"tasks": ["a"], "judge": "x"}, "judge cannot be used: there is no such setting"),
        ({"tasks": ["a", 3]}, "tasks[1] cannot be used: it must be an object, or (in tasks) a name"),
        ({"tasks": [{"limit": 3}]}, "tasks[0].name cannot be used: it is missing"),
        ({"tasks": [{"name": ""}]}, "tasks[0].name cannot be used"),
        ({"tasks": [{"name": "a", "limt": 3}]}, "tasks[0].limt (of 'a') cannot be used: there is no such setting"),
        ({"tasks": [{"name": "a", "limit": 0}]}, "tasks[0].limit.smoke (of 'a') cannot be used"),
        ({"tasks": [{"name": "a", "limit": {"fast": 1}}]}, "tasks[0].limit.fast (of 'a') cannot be used"),
        ({"tasks": [{"name": "a", "mode": "telepathy"}]}, "tasks[0].mode (of 'a') cannot be used"),
        ({"tasks": [{"name": "a", "num_fewshot": -1}]}, "tasks[0].num_fewshot (of 'a') cannot be used"),
        ({"tasks": [{"name": "a", "runner": "promptfoo"}]}, "tasks[0].runner (of 'a') cannot be used"),
        ({"tasks": [{"name": "a", "time_limit_s": 0}]}, "tasks[0].time_limit_s.smoke (of 'a') cannot be used"),
        ({"tasks": [{"name": "a", "concurrency_probe": -1}]}, "tasks[0].concurrency_probe.smoke (of 'a') cannot"),
        ({"tasks": ["a-b", "c", "a_b"]}, "tasks[2] ('a_b') has the same name as tasks[0]"),
        ({"tasks": ["deepeval"]}, "tasks[0] is called 'deepeval', which is taken"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_entry(tmp_path: Path, content: object, says: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(SuiteConfigError) as caught:
        load_suites(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SuiteConfigError, match="cannot be read"):
        load_suites(tmp_path / "evalchemy.json")


def test_the_packaged_suites_load() -> None:
    assert load_suites(Path(str(files("vllm_quality"))) / "configs" / "evalchemy.json")


def test_reading_the_suites_imports_no_framework() -> None:
    code = "import sys, vllm_quality.eval.suites; print({'lm_eval', 'deepeval', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
