"""`calculate_output` of a multi grader: arithmetic over the names of its graders, parsed and walked, never evaluated as code.

Source: "Multigraders" in OpenAI's graders guide: + - * / ^ and min, max, abs, floor, ceil, exp, sqrt, log.
"""

import ast
import math
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from vllm_quality.errors import UserError

_LONGEST = 4_000  # characters
_DEEPEST = 60

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: math.pow,
}
_ONE: Mapping[str, Callable[[float], float]] = {
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
}
_MANY: Mapping[str, Callable[..., float]] = {"min": min, "max": max}


class ExpressionError(UserError, ValueError):
    """A formula that is not arithmetic over its graders' names."""


@dataclass(frozen=True)
class Expression:
    """A formula that has been checked.

    names  the graders that it needs
    """

    text: str
    tree: ast.expr
    names: frozenset[str]

    def value(self, scores: Mapping[str, float]) -> float:
        """The formula's value, finite. Raises `ArithmeticError` where it has none (1/0, log of a negative number, too large)."""
        found = _value(self.tree, {_normal(name): score for name, score in scores.items()})
        if not math.isfinite(found):
            raise ArithmeticError(f"{self.text} is {found}")
        return found


def parse_expression(text: str, names: Collection[str]) -> Expression:
    """Check a formula over `names`. Raises `ExpressionError`, one sentence."""
    if len(text) > _LONGEST:
        raise ExpressionError(f"calculate_output has {len(text)} characters; at most {_LONGEST} are taken.")
    try:
        # ^ is the power here; Python's own would bind more loosely than +.
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval").body
        used = _check(tree, {_normal(name): name for name in names}, 0)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ExpressionError):
            raise
        raise ExpressionError(f"calculate_output {text[:80]!r} is no formula; use numbers, names, + - * / ^.") from None
    return Expression(text, tree, frozenset(used))


def _check(node: ast.expr, names: Mapping[str, str], depth: int) -> set[str]:
    if depth > _DEEPEST:
        raise ExpressionError(f"calculate_output is nested more than {_DEEPEST} deep; simplify it.")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            if not _is_finite(number):
                raise ExpressionError("calculate_output has a number that is too large.")
            return set()
        case ast.Name(id=name):
            if name not in names:
                raise ExpressionError(
                    f"calculate_output uses {name!r}, which is none of its graders; they are {', '.join(names.values())}."
                )
            return {names[name]}
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _check(left, names, depth + 1) | _check(right, names, depth + 1)
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            return _check(operand, names, depth + 1)
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]) if _takes(function, len(arguments)):
            return set().union(*(_check(argument, names, depth + 1) for argument in arguments))
    raise ExpressionError(
        f"calculate_output has {ast.unparse(node)[:60]!r}, which is not allowed; use numbers, names, + - * / ^ and "
        f"{', '.join([*_MANY, *_ONE])}."
    )


def _takes(function: str, arguments: int) -> bool:
    return (function in _ONE and arguments == 1) or (function in _MANY and arguments >= 1)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False


def _value(node: ast.expr, scores: Mapping[str, float]) -> float:
    try:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                return float(scores[name])
            case ast.BinOp(left=left, op=op, right=right):
                return float(_OPERATORS[type(op)](_value(left, scores), _value(right, scores)))
            case ast.UnaryOp(op=op, operand=operand):
                return -_value(operand, scores) if isinstance(op, ast.USub) else _value(operand, scores)
            case ast.Call(func=ast.Name(id=function), args=arguments):
                values = [_value(argument, scores) for argument in arguments]
                return float(_ONE[function](values[0]) if function in _ONE else _MANY[function](values))
    except ValueError as error:  # math's word for "outside the domain"
        raise ArithmeticError(str(error)) from None
    raise ArithmeticError("not a formula")  # _check lets nothing else through


def _normal(name: str) -> str:
    return unicodedata.normalize("NFKC", name)  # as Python reads names
