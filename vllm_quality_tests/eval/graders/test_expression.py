"""Formulas are arithmetic over the graders' names; whatever else Python could do is refused before it is looked at twice."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.eval.graders.expression import ExpressionError, parse_expression

SCORES = {"name": 0.5, "email": 1.0, "형식": 0.25}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("(name + email) / 2", 0.75),  # OpenAI's example
        ("0.5 * name + 0.5 * email", 0.75),
        ("name ^ 2", 0.25),
        ("2 ^ 3 ^ 2", 512.0),
        ("-name ^ 2 + 1", 0.75),
        ("1 + name * 2 ^ 2", 3.0),  # ^ binds more tightly than *
        ("min(name, email, 형식)", 0.25),
        ("max(name, 2) - abs(-1)", 1.0),
        ("floor(name) + ceil(name)", 1.0),
        ("exp(log(email)) + sqrt(4)", 3.0),
    ],
)
def test_formulas_as_openai_documents_them(formula: str, value: float) -> None:
    parsed = parse_expression(formula, SCORES)
    assert parsed.value(SCORES) == pytest.approx(value)


def test_only_what_is_used_is_needed() -> None:
    assert parse_expression("max(name, 0)", SCORES).names == {"name"}


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('true')", "name.real", "name.__class__", "[x for x in (1, 2)]", "(lambda: 1)()", "{1: 2}",
        "name if email else 1", "name and email", "name == email", "not name", "~1", "name // 2", "name % 2", "name << 9",
        "'a' * 9", "True", "None", "...", "f'{name}'", "(name := 1)", "min(*[1])", "max(name, key=abs)", "abs()",
        "sqrt(1, 2)", "print(1)", "min", "name[0]", "1j", "1e999", "", "1 +", "name\nemail", "import os", "x" * 5000,
        "(" * 300 + "1" + ")" * 300, "-" * 3000 + "1", "9" * 4500, "await name", "yield", "1; 2",
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_sentence(formula: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(formula, SCORES)
    assert str(caught.value).count("\n") == 0


def test_a_name_that_is_no_grader_lists_the_graders() -> None:
    with pytest.raises(ExpressionError, match="uses 'nam', which is none of its graders; they are name, email, 형식"):
        parse_expression("nam + 1", SCORES)


@pytest.mark.parametrize(
    "formula", ["1 / 0", "log(0)", "sqrt(-1)", "(0 - 8) ^ 0.5", "9 ^ 9 ^ 9 ^ 9", "exp(9999)", "1e308 * 10"]
)
def test_a_value_that_does_not_exist_is_said(formula: str) -> None:
    with pytest.raises(ArithmeticError):
        parse_expression(formula, SCORES).value(SCORES)


FORMULAS = st.recursive(
    st.sampled_from(["name", "email", "1", "0.5", "3"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/^"), inner).map(lambda part: f"({part[0]} {part[1]} {part[2]})"),
        st.tuples(st.sampled_from(["abs", "floor", "ceil", "min", "max"]), inner).map(
            lambda part: f"{part[0]}({part[1]})"
        ),
        inner.map(lambda part: f"-{part}"),
    ),
    max_leaves=12,
)


@given(FORMULAS)
def test_a_formula_has_a_finite_value_or_none(formula: str) -> None:
    with suppress(ArithmeticError):
        assert math.isfinite(parse_expression(formula, SCORES).value(SCORES))


@given(st.text(max_size=60))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with suppress(ExpressionError, ArithmeticError):
        parse_expression(text, SCORES).value(SCORES)
