"""Sets of format lm_eval: a task's documents as items, known by the same hash as the suite's samples."""

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.datasets.description import parse_description
from vllm_quality.datasets.reading import iterate_set
from vllm_quality.datasets.registry import DatasetFolder
from vllm_quality.datasets.rows import BadRow
from vllm_quality.datasets.schema import DatasetError, Item
from vllm_quality.eval.lm_samples import item_hash
from vllm_quality.eval.lm_suite import run_suite
from vllm_quality.eval.suites import Suite
from vllm_quality.eval.task_loader import TaskError
from vllm_quality_tests.datasets.sets import write_set
from vllm_quality_tests.eval.task_files import add_up, vllm_at, write_answer_task, write_choice_task, write_task
from vllm_quality_tests.servers.openai_api import OpenAIServer

ABOUT = {"format": "lm_eval", "role": "benchmark"}


def documents(folder: Path, name: str, task: str) -> list[Item]:
    found = list(iterate_set(write_set(folder, name, {}, task=task, **ABOUT)))
    assert all(isinstance(item, Item) for item in found)
    return [item for item in found if isinstance(item, Item)]


def test_choices_and_the_right_one(tmp_path: Path) -> None:
    write_choice_task(tmp_path / "capitals" / "tasks", items=5)
    items = documents(tmp_path, "capitals", "capitals_mc")
    assert [item.input for item in items][:2] == ["Q: 0. France?\nA:", "Q: 1. 대한민국?\nA:"]
    assert [item.reference for item in items] == ["Paris", "서울", "Tokyo", "베를린", "Paris"]
    assert items[0].choices == ("Paris", "서울", "Tokyo", "베를린")
    assert [(item.source_file, item.source_line) for item in items][:2] == [("capitals_mc", 1), ("capitals_mc", 2)]
    assert {item.role for item in items} == {"benchmark"}


def test_a_group_is_all_of_its_tasks(tmp_path: Path) -> None:
    write_choice_task(write_answer_task(tmp_path / "both" / "tasks", items=3), items=2)
    (tmp_path / "both" / "tasks" / "all.yaml").write_text(
        "group: everything\ntask: [sums, capitals_mc]\n", encoding="utf-8"
    )
    items = documents(tmp_path, "both", "everything")
    assert [json.loads(item.metadata)["task"] for item in items] == ["sums"] * 3 + ["capitals_mc"] * 2
    assert [item.source_line for item in items] == [1, 2, 3, 4, 5]


def test_beginnings_to_choose_from(tmp_path: Path) -> None:
    docs = [{"sentence": "The cup fell off _ since it shook.", "options": ["the table", "the floor"], "answer": "1"}]
    beginnings = "{% set i = sentence.index('_') %}{{[sentence[:i] + options[0], sentence[:i] + options[1]]}}"
    write_task(
        tmp_path / "grande" / "tasks",
        "grande",
        docs,
        output_type="multiple_choice",
        doc_to_text="{{answer|int - 1}}",
        doc_to_choice=beginnings,
        doc_to_target="{{sentence[sentence.index('_') + 2:]}}",
        metric_list=[{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    )
    (item,) = documents(tmp_path, "grande", "grande")
    assert item.input == "The cup fell off the table / The cup fell off the floor since it shook."
    assert item.reference == "The cup fell off the table"


def test_the_hash_is_that_of_the_suites_samples(tmp_path: Path) -> None:
    folder = write_answer_task(tmp_path / "sums" / "tasks", items=6)
    items = [json.loads(item.metadata) for item in documents(tmp_path, "sums", "sums")]
    with OpenAIServer(answer=add_up) as server:
        suite = Suite(name="sums", include_path=folder)
        result = run_suite(suite, vllm_at(server.base_url), None, profile="full", concurrency=2, timeout_s=10)
    assert {item_hash(found["task"], found["doc_hash"]) for found in items} == set(result.samples["item_hash"])
    assert len(items) == 6


def test_a_document_that_cannot_be_put_is_told_by_its_number(tmp_path: Path) -> None:
    docs: list[dict[str, Any]] = [{"question": "1?", "answer": "a"}, {"question": "2?", "answer": None}]
    write_task(
        tmp_path / "odd" / "tasks",
        "odd",
        docs,
        output_type="generate_until",
        doc_to_text="{{question}}",
        doc_to_target="{{answer.upper()}}",
        metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    )
    good, bad = iterate_set(write_set(tmp_path, "odd", {}, task="odd", **ABOUT))
    assert isinstance(good, Item)
    assert isinstance(bad, BadRow)
    assert (bad.file, bad.line) == ("odd", 2)
    assert "cannot be put as task 'odd' has it" in bad.why


def test_a_task_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    found = write_set(tmp_path, "none", {}, task="kobest_bolq", **ABOUT)
    with pytest.raises(TaskError, match="There is no task 'kobest_bolq'"):
        list(iterate_set(found))


@pytest.mark.parametrize("about", ["format: lm_eval", "format: jsonl\ntask: sums"])
def test_the_task_belongs_to_the_format(about: str) -> None:
    with pytest.raises(DatasetError, match="format lm_eval needs the key task, and no other format takes it"):
        parse_description(f"{about}\nlanguage: en\nrole: benchmark\nlicence: MIT\n", "dataset.yaml")


def test_a_set_of_a_task_needs_no_files(tmp_path: Path) -> None:
    assert isinstance(write_set(tmp_path, "sums", {}, task="sums", **ABOUT), DatasetFolder)
