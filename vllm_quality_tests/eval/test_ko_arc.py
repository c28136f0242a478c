"""Ko-ARC: what an answer in Korean settles on, and where the questions come from."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from vllm_quality.eval.environment import prepare_lm_eval
from vllm_quality.eval.mirroring import mirror_tasks
from vllm_quality.eval.suites import Suite
from vllm_quality.eval.task_data import open_task_data
from vllm_quality.eval.task_loader import PACKAGED_TASKS, load_tasks
from vllm_quality.eval.tasks.ko_arc import choose, sample, score
from vllm_quality.settings import load_settings

LABELS = ["A", "B", "C", "D"]
TEXTS = ["호흡", "광합성", "증산 작용", "발효"]


def rows() -> list[dict[str, Any]]:
    text = (PACKAGED_TASKS / "ko_arc_sample.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("B", "B"),
        (" b.", "B"),
        ("(B)", "B"),
        ("**B**", "B"),
        ("B. 광합성", "B"),
        ("B입니다.", "B"),
        ("정답: B", "B"),
        ("정답은 B입니다.", "B"),
        ("정답은 **B. 광합성**입니다.", "B"),
        ("정답은 (B)번입니다.", "B"),
        ("답은 'B' 이다", "B"),
        ("Answer: B", "B"),
        ("Ｂ", "B"),
        (r"따라서 \boxed{B}", "B"),
        ("A는 양분을 쓰는 작용이고 C는 물을 내보내는 작용이므로 정답은 B입니다.", "B"),
        ("정답은 A가 아니라 B입니다.", "B"),
        ("처음에는 정답: A 라고 생각했지만, 다시 보니 정답: B", "B"),
        ("<think>정답은 A일까?</think>B", "B"),
        ("보기 가운데 B가 맞습니다.", "B"),
        ("B 광합성", "B"),
        ("B\n광합성이기 때문입니다. A는 아닙니다.", "B"),
        ("광합성", "B"),
        ("식물의 광합성을 묻는 문제입니다.", "B"),
        ("A 또는 B", None),
        ("호흡이나 광합성", None),
        ("잘 모르겠습니다.", None),
        ("", None),
    ],
)
def test_the_label_is_found_however_it_is_said(answer: str, label: str | None) -> None:
    assert choose(answer, LABELS, TEXTS) == label


@pytest.mark.parametrize("answer", ["3", "③", "3번", "정답은 3번입니다.", "3) 증산 작용", "정답: ③"])
def test_labels_may_be_numbers(answer: str) -> None:
    assert choose(answer, ["1", "2", "3", "4"], TEXTS) == "3"


def test_an_answer_without_a_choice_scores_zero_and_not_none() -> None:
    doc = {"choices": {"label": LABELS, "text": TEXTS}, "answerKey": "B"}
    assert score(doc, ["정답: B"]) == {"exact_match": 1.0}
    assert score(doc, ["모름"]) == {"exact_match": 0.0}


def test_the_sample_is_well_formed_and_its_answers_are_spread_evenly() -> None:
    questions = rows()
    assert len({row["question"] for row in questions}) == len(questions) >= 40
    for row in questions:
        assert row["choices"]["label"] == LABELS
        assert len(set(row["choices"]["text"])) == 4
    keys = [row["answerKey"] for row in questions]
    assert max(map(keys.count, LABELS)) - min(map(keys.count, LABELS)) <= 2
    assert list(sample()["test"]) == questions


def test_both_forms_ask_the_same_questions() -> None:
    prepare_lm_eval(None)
    choice = load_tasks(Suite(name="ko_arc_sample"))
    chat = load_tasks(Suite(name="ko_arc_sample_chat"))
    assert choice.needs_loglikelihood == ("ko_arc_sample",)
    assert chat.needs_loglikelihood == ()
    one, other = choice.tasks["ko_arc_sample"], chat.tasks["ko_arc_sample_chat"]
    first = rows()[0]
    assert one.doc_to_text(first) == f"질문: {first['question']}\n정답:"
    assert one.doc_to_choice(first)[one.doc_to_target(first)] == "광합성"
    assert f"A. {first['choices']['text'][0]}\nB. {first['choices']['text'][1]}\n" in other.doc_to_text(first)
    assert [doc["id"] for doc in one.eval_docs] == [doc["id"] for doc in other.eval_docs]


def test_a_question_is_never_its_own_example() -> None:
    prepare_lm_eval(None)
    task = load_tasks(Suite(name="ko_arc_sample")).tasks["ko_arc_sample"]
    task.set_config("num_fewshot", 5)
    task.set_fewshot_seed(seed=1234)
    for doc in task.eval_docs:
        assert task.fewshot_context(doc, num_fewshot=5).count(doc["question"]) == 1


def test_a_local_file_takes_the_place_of_the_mirror(tmp_path: Path) -> None:
    prepare_lm_eval(None)
    data = tmp_path / "mine.jsonl"
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows()[:7]), encoding="utf-8")
    task = {
        "include": str(PACKAGED_TASKS / "ko_arc.yaml"),
        "task": "my_ko_arc",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
    }
    (tmp_path / "my_ko_arc.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    loaded = load_tasks(Suite(name="my_ko_arc", include_path=tmp_path)).tasks["my_ko_arc"]
    assert list(loaded.eval_docs) == rows()[:7]


def test_the_teams_own_questions_come_from_the_mirror_whatever_the_settings_say(tmp_path: Path) -> None:
    folder = tmp_path / "ko-benchmark" / "ko_arc"
    folder.mkdir(parents=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows()[:5])
    (folder / "test.jsonl").write_text(text, encoding="utf-8")
    said: list[str] = []
    assert mirror_tasks(load_settings(), ["ko_arc"], tmp_path, said.append)
    assert said == ["'ko-benchmark/ko_arc': version 1 (new), 5 rows"]
    assert mirror_tasks(load_settings(), ["ko_arc_chat"], tmp_path, said.append)
    assert said[1] == "'ko-benchmark/ko_arc': version 1 (unchanged), 5 rows"
    assert load_settings().benchmarks == "hub"
    loaded = load_tasks(Suite(name="ko_arc"), open_task_data(load_settings()))
    assert list(loaded.tasks["ko_arc"].eval_docs) == rows()[:5]
    assert loaded.data == {"'ko-benchmark/ko_arc'": 1}


def test_questions_that_nobody_supplied_are_one_sentence_with_the_command() -> None:
    prepare_lm_eval(None)
    said: list[str] = []
    assert not mirror_tasks(load_settings(), ["ko_arc"], None, said.append)
    assert (
        "put its files into FOLDER/ko-benchmark/ko_arc and run `vllm-quality datasets mirror ko_arc --from" in said[0]
    )
