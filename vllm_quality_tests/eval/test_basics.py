"""The packaged tasks basics_en and basics_ko: what they ask, and which answers count."""

import pytest

from vllm_quality.eval.tasks.basics import documents, score


@pytest.mark.parametrize(
    ("reference", "choices", "answer", "points"),
    [
        ("Paris", [], "The capital of France is Paris.", 1.0),
        ("Paris", [], "paris", 1.0),
        ("Paris", [], "The Parisian way", 0.0),
        ("7", [], "5 + 2 = 7.", 1.0),
        ("7", [], "17", 0.0),
        ("바다", [], "바다가 있습니다.", 1.0),
        ("바다", [], "\u1107\u1161\u1103\u1161", 1.0),  # the same in decomposed Hangul
        ("다", [], "바다", 0.0),
        ("바다", ["나무", "바다"], "바다입니다.", 1.0),
        ("바다", ["나무", "바다"], "나무 또는 바다", 0.0),
        ("바다", ["나무", "바다"], "", 0.0),
    ],
)
def test_an_answer_counts_when_it_says_the_reference_and_no_other_choice(
    reference: str, choices: list[str], answer: str, points: float
) -> None:
    assert score({"reference": reference, "choices": choices}, [answer]) == {"exact_match": points}


@pytest.mark.parametrize("name", ["basics_en", "basics_ko"])
def test_each_question_is_asked_once_and_can_be_answered(name: str) -> None:
    rows = list(documents(name)["test"])
    assert len({row["input"] for row in rows}) == len(rows) >= 150
    for row in rows:
        assert score(row, [row["reference"]]) == {"exact_match": 1.0}
        assert score(row, ["I am sorry, I cannot say."]) == {"exact_match": 0.0}
        # Repeating a question that offers choices is no answer to it.
        assert not row["choices"] or score(row, [row["input"]]) == {"exact_match": 0.0}
