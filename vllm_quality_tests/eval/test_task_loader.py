"""Tasks are found by name, and a wrong name is answered with the right ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vllm_quality.eval.dataset_source import DatasetRequest
from vllm_quality.eval.environment import prepare_lm_eval
from vllm_quality.eval.mirror import Mirror
from vllm_quality.eval.suites import Suite
from vllm_quality.eval.task_data import TaskData
from vllm_quality.eval.task_loader import TaskError, load_tasks
from vllm_quality.results.objects import FileObjects
from vllm_quality_tests.eval.task_files import write_answer_task, write_choice_task


@pytest.fixture(autouse=True)
def _prepared() -> None:
    prepare_lm_eval(None)


def test_a_task_is_loaded_with_what_it_needs(tmp_path: Path) -> None:
    write_choice_task(tmp_path)
    write_answer_task(tmp_path)
    choices = load_tasks(Suite(name="capitals_mc", include_path=tmp_path))
    assert list(choices.tasks) == ["capitals_mc"]
    assert choices.needs_loglikelihood == ("capitals_mc",)
    assert load_tasks(Suite(name="sums", include_path=tmp_path)).needs_loglikelihood == ()


def test_a_group_brings_its_tasks(tmp_path: Path) -> None:
    write_choice_task(write_answer_task(tmp_path))
    (tmp_path / "all.yaml").write_text("group: everything\ntask: [sums, capitals_mc]\n", encoding="utf-8")
    loaded = load_tasks(Suite(name="everything", include_path=tmp_path))
    assert sorted(loaded.tasks) == ["capitals_mc", "sums"]
    assert [root.name for root in loaded.roots] == ["everything"]


def test_a_tag_stands_for_its_tasks(tmp_path: Path) -> None:
    write_answer_task(tmp_path, "one", tag="sums_of_all")
    write_answer_task(tmp_path, "two", tag="sums_of_all")
    loaded = load_tasks(Suite(name="sums_of_all", include_path=tmp_path))
    assert [root.task_name for root in loaded.roots] == ["one", "two"]
    assert loaded.groups == {}


def test_a_group_of_ones_own_may_name_tasks_of_lm_eval_and_an_own_task_wins(
    tmp_path: Path, used_before: Callable[[Path], Path]
) -> None:
    from datasets import Dataset

    mirror = Mirror(FileObjects(tmp_path / "objects"))
    rows = [{"question": "1 + 1?", "choices": {"text": ["1", "2"], "label": ["A", "B"]}, "answerKey": "B"}]
    splits = {name: Dataset.from_list(rows) for name in ("train", "validation", "test")}
    mirror.publish(DatasetRequest("allenai/ai2_arc", "ARC-Easy"), splits)
    write_answer_task(tmp_path)
    write_answer_task(tmp_path, "arc_challenge")
    (tmp_path / "all.yaml").write_text("group: of_both\ntask: [sums, arc_easy, arc_challenge]\n", encoding="utf-8")
    data = TaskData(mirror, only=True)
    suite = Suite(name="of_both", include_path=tmp_path)
    loaded = load_tasks(suite, lambda request, ask: data(request, ask), work_folder=used_before(tmp_path / "work"))
    assert sorted(loaded.tasks) == ["arc_challenge", "arc_easy", "sums"]
    assert list(loaded.tasks["arc_easy"].eval_docs) == rows
    assert len(loaded.tasks["arc_challenge"].eval_docs) == 12


def test_an_unknown_name_is_answered_with_the_nearest_and_with_files_that_could_not_be_read(tmp_path: Path) -> None:
    write_choice_task(tmp_path)
    (tmp_path / "broken.yaml").write_text("task: [unclosed", encoding="utf-8")
    with pytest.raises(TaskError) as caught:
        load_tasks(Suite(name="kobest_bolq", include_path=tmp_path))
    assert "There is no task 'kobest_bolq'; the nearest are kobest_boolq" in str(caught.value)
    assert "broken.yaml cannot be read" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_data_that_cannot_be_loaded_is_one_sentence(tmp_path: Path) -> None:
    write_answer_task(tmp_path)
    (tmp_path / "sums.jsonl").unlink()
    with pytest.raises(TaskError, match="'sums': its task or data set cannot be loaded") as caught:
        load_tasks(Suite(name="sums", include_path=tmp_path))
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="is not a folder; correct its include_path"):
        load_tasks(Suite(name="sums", include_path=tmp_path / "nowhere"))
