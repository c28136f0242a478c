"""What deepeval saves is read back: json, jsonl and csv, single questions and conversations, with all that belongs to them."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from vllm_quality.datasets.goldens import read_golden
from vllm_quality.datasets.rows import RowError
from vllm_quality.datasets.schema import Item
from vllm_quality.eval.environment import prepare_deepeval
from vllm_quality_tests.datasets.sets import read_set, write_set

Ending = Literal["json", "jsonl", "csv"]
ENDINGS: tuple[Ending, ...] = ("json", "jsonl", "csv")


def saved(folder: Path, goldens: list[Any], ending: Ending) -> dict[str, Item]:
    """Items by their question, of a file that deepeval itself wrote."""
    from deepeval.dataset import EvaluationDataset

    EvaluationDataset(goldens=goldens).save_as(ending, str(folder / "saved"), "goldens")
    text = (folder / "saved" / f"goldens.{ending}").read_text(encoding="utf-8")
    contents = read_set(write_set(folder, "mine", {f"goldens.{ending}": text}, format="deepeval", role="golden"))
    assert contents.bad_rows == 0
    return {item.input: item for item in contents.items}


@pytest.mark.parametrize("ending", ENDINGS)
def test_goldens_of_questions(tmp_path: Path, ending: Ending) -> None:
    prepare_deepeval(tmp_path)
    from deepeval.dataset import Golden

    goldens = [
        Golden(input="수도는?", expected_output="서울", context=["대한민국의 수도는 서울이다.", "강이 흐른다."]),
        Golden(
            input="Where?",
            expected_output="In Busan",
            context=["It is in Busan."],
            retrieval_context=["Busan is a port."],
            additional_metadata={"should_refuse": False},
        ),
        Golden(input="Alone?"),
    ]
    items = saved(tmp_path, goldens, ending)
    assert {question: item.reference for question, item in items.items()} == {
        "수도는?": "서울",
        "Where?": "In Busan",
        "Alone?": None,
    }
    assert json.loads(items["수도는?"].metadata) == {"context": ["대한민국의 수도는 서울이다.", "강이 흐른다."]}
    assert json.loads(items["Where?"].metadata) == {
        "context": ["It is in Busan."],
        "retrieval_context": ["Busan is a port."],
        "should_refuse": False,
    }
    assert items["Alone?"].metadata == "{}"


@pytest.mark.parametrize("ending", ENDINGS)
def test_goldens_of_conversations(tmp_path: Path, ending: Ending) -> None:
    prepare_deepeval(tmp_path)
    from deepeval.dataset import ConversationalGolden
    from deepeval.test_case import Turn

    turns = [
        Turn(role="user", content="안녕하세요"),
        Turn(role="assistant", content="네, 무엇을 도와드릴까요?"),
        Turn(role="user", content="환불하고 싶어요"),
        Turn(role="assistant", content="환불해 드렸습니다.", retrieval_context=["환불은 7일 안에 된다."]),
    ]
    golden = ConversationalGolden(scenario="A refund", expected_outcome="The money is back.", turns=turns)
    (item,) = saved(tmp_path, [golden], ending).values()
    assert [message.role for message in item.messages] == ["user", "assistant", "user"]
    assert (item.input, item.reference) == ("환불하고 싶어요", "환불해 드렸습니다.")
    facts = json.loads(item.metadata)
    assert (facts["scenario"], facts["expected_outcome"]) == ("A refund", "The money is back.")
    assert facts["context"] == ["환불은 7일 안에 된다."]


def test_a_passage_that_names_its_source_is_the_passage() -> None:
    row = {"input": "?", "retrieval_context": ["deepeval_source=a.pdf,deepeval_context=Line one,\nline two", "plain"]}
    assert read_golden(row, {}).metadata == {"context": ["Line one,\nline two", "plain"]}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"input": "?", "context": {"a": 1}}, "context that is no list"),
        ({"input": "?", "context": [1]}, "context that is no list"),
        ({"input": "?", "additional_metadata": [1]}, "no object"),
        ({"scenario": "s"}, "scenario without 'turns'"),
        ({"expected_output": "x"}, "no text in 'input'"),
    ],
)
def test_what_is_no_golden_is_said(row: dict[str, Any], says: str) -> None:
    with pytest.raises(RowError, match=says):
        read_golden(row, {})
