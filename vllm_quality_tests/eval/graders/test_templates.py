"""Templates look values up; they run nothing, and what is missing is one sentence."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.eval.graders.templates import MissingValueError, TemplateError, parse_template, render

VALUES = {
    "item": {"q": "왜?", "n": 3, "yes": True, "deep": {"list": [{"a b": "x"}, 2.5]}, "none": None},
    "sample": {"output_text": "because", "output_json": {"name": "Kim"}},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain { } text", "plain { } text"),
        ("{{ item.q }} {{sample.output_text}}", "왜? because"),
        ("{{item.n}} {{item.yes}} {{item.none}}", "3 true null"),
        ("{{ sample.output_json.name }}", "Kim"),
        ("{{ sample.output_json }}", '{"name": "Kim"}'),
        ("{{item.deep.list[0]['a b']}}{{item.deep.list[-1]}}", "x2.5"),
        ("{{item.deep.list}}", '[{"a b": "x"}, 2.5]'),
    ],
)
def test_references_become_texts(template: str, text: str) -> None:
    assert render(template, VALUES) == text


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{item.nothing}}", "item.nothing has no value: 'nothing' is not among q, n, yes, deep, none"),
        ("{{item.deep.list[7]}}", "the list has 2 entries"),
        ("{{item.q.upper}}", "'upper' is looked for in a text"),
        ("{{sample.output_json.name[0]}}", "0 is looked for in a text"),
        ("{{item.n.__class__}}", "'__class__' is looked for in a number"),
    ],
)
def test_what_is_missing_is_one_sentence(template: str, said: str) -> None:
    with pytest.raises(MissingValueError) as caught:
        render(template, VALUES)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "name", "items.a", "item.a + 1", "item.a()", "item..a", "env.HOME", "item.a|upper"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(TemplateError, match="is no reference"):
        parse_template("{{" + text + "}}")


KEYS = st.text(st.characters(exclude_characters="'{}", exclude_categories=["Cs"]), min_size=1)


@given(KEYS, st.text())
def test_any_key_is_found_and_any_value_stays_as_it_is(key: str, value: str) -> None:
    assert render("{{item['" + key + "']}}", {"item": {key: value}}) == value


@given(st.text(st.sampled_from("{}item.sample[]'\"0 _()"), max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    with suppress(TemplateError, MissingValueError):
        render(text, VALUES)
