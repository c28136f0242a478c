"""Where lm-eval's own tasks are found, without asking lm-eval to read all of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vllm_quality.eval.environment import prepare_lm_eval
from vllm_quality.eval.task_index import BuiltinTasks, scan


@pytest.fixture(autouse=True)
def _prepared() -> None:
    prepare_lm_eval(None)


def test_the_index_is_the_one_that_lm_eval_makes_itself(tmp_path: Path) -> None:
    from lm_eval.tasks import TaskManager

    theirs = TaskManager().task_index
    ours = BuiltinTasks(tmp_path).entries("arc_easy")
    again = BuiltinTasks(tmp_path).entries("arc_easy")
    assert len(theirs) > 10_000
    for index in (ours, again):
        assert set(index) == set(theirs)
        for name, entry in theirs.items():
            other = index[name]
            assert (other.name, other.kind, other.yaml_path, other.tags) == (
                entry.name,
                entry.kind,
                entry.yaml_path,
                entry.tags,
            )


def test_it_is_read_once_for_a_work_folder_and_again_only_for_a_name_that_it_lacks(
    tmp_path: Path, used_before: Callable[[Path], Path]
) -> None:
    used_before(tmp_path)
    (kept,) = (tmp_path / "lm_eval_tasks").iterdir()
    kept.write_text('[["mine", "TASK", "mine.yaml", []]]', encoding="utf-8")
    assert list(BuiltinTasks(tmp_path).entries("mine")) == ["mine"]
    assert len(BuiltinTasks(tmp_path).entries("kobest")) > 10_000
    assert kept.stat().st_size > 1_000_000  # kept again, with what was asked for


def test_an_index_that_cannot_be_read_is_made_again(tmp_path: Path, used_before: Callable[[Path], Path]) -> None:
    (kept,) = (used_before(tmp_path) / "lm_eval_tasks").iterdir()
    kept.write_text("not an index", encoding="utf-8")
    assert "kobest" in BuiltinTasks(tmp_path).entries("kobest")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("task: plain\n", {"plain"}),
        ('"task": "quoted" # and why\n', {"quoted"}),
        ("tag: [one, two]\ntask: tagged\n", {"tagged", "one", "two"}),
        ("tag:\n  - one\ntask: tagged\n", {"tagged", "one"}),
        ("group: all\ntag: none\ntask:\n  - tagged\n", {"all"}),
        ("task: python\nclass: !function here.There\n", {"python"}),
        ("include: ../other/base\ntask: child\n", {"child", "of_base"}),
        ("include: nowhere.yaml\ntask: child\n", set()),
        ("include: this.yaml\ntask: child\n", set()),
        ("dataset_path: json\n", set()),
        ("task: [unclosed\n", set()),
    ],
)
def test_a_file_defines_what_it_would_define_for_lm_eval(tmp_path: Path, text: str, found: set[str]) -> None:
    from lm_eval.tasks._index import TaskIndex

    folder = tmp_path / "tasks"
    (tmp_path / "other").mkdir()
    folder.mkdir()
    (tmp_path / "other" / "base").write_text("tag: of_base\n", encoding="utf-8")
    (folder / "this.yaml").write_text(text, encoding="utf-8")
    ours = {name: (entry.kind, entry.yaml_path, entry.tags) for name, entry in scan(folder)}
    theirs = {name: (entry.kind, entry.yaml_path, entry.tags) for name, entry in TaskIndex.build([folder]).items()}
    assert ours == theirs
    assert set(ours) == found
