"""The form in which texts are compared."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.datasets.dedup.normal import comparison_form, comparison_text, normal
from vllm_quality.datasets.schema import Item, Message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("서울은 어디인가요?", unicodedata.normalize("NFD", "서울은 어디인가요?")),
        ("Ｗｈａｔ　ｉｓ　ｉｔ？", "what is it?"),
        ("What  is\n it?\t", "WHAT IS IT?"),
        ("Straße", "STRASSE"),
        ("zero\u200bwidth \ufeffmark", "zerowidth mark"),
        ("soft\u00adhyphen", "softhyphen"),
        ("ﬁne", "fine"),
    ],
)
def test_what_a_reader_takes_for_the_same_has_one_form(one: str, other: str) -> None:
    assert normal(one) == normal(other)


@pytest.mark.parametrize(("one", "other"), [("a b", "ab"), ("서울", "서을"), ("x-1", "x 1"), ("résumé", "resume")])
def test_what_differs_in_letters_or_words_does_not(one: str, other: str) -> None:
    assert normal(one) != normal(other)


@given(st.text())
def test_a_normal_form_is_its_own(text: str) -> None:
    assert normal(normal(text)) == normal(text)


def test_pseudonyms_are_compared_by_their_type() -> None:
    assert comparison_form("Call <PHONE_k7q2aaaaaa> now") == comparison_form("Call <PHONE> now") == "call <phone> now"


def test_an_item_is_compared_with_its_whole_conversation_and_its_choices() -> None:
    messages = (Message("system", "Be Brief."), Message("user", "Which one?"))
    item = Item("a", "en", "golden", messages, "B", ("Red", "Blue"), "{}", "rows.jsonl", 1)
    assert comparison_text(item) == "be brief. which one? red blue"
