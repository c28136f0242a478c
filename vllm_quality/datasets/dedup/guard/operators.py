"""Signs as operators: which of them are, where they stand, and which say the same."""

import re

_ONE_SIGN = {"−": "-", "–": "-", "*": "×", "·": "×", "∙": "×", "/": "÷", "⁄": "÷", "**": "^", "<=": "≤", ">=": "≥"} | {
    "!=": "≠",
    "==": "=",
    "=>": "⇒",
    "->": "→",
    "<-": "←",
    "&&": "∧",
    "||": "∨",
}
_ALSO_PUNCTUATION = frozenset("-−–*/⁄<>!·∙")
_OPERAND = re.compile(r"(?<![^\W\d_])[^\W\d_](?![^\W\d_])|[\d()\[\]]")


def operator_at(text: str, at: int, sign: str) -> str | None:
    """The operator that a sign in a text is; None for punctuation. Signs that say the same have one name."""
    if sign in _ALSO_PUNCTUATION and not _is_operator(text, at):
        return None
    return _ONE_SIGN.get(sign, sign)


def _is_operator(text: str, at: int) -> bool:
    """Whether a sign that is also punctuation stands between two operands, or as the sign of a number."""
    sign, before, after = text[at], text[max(0, at - 2) : at].rstrip(), text[at + 1 : at + 4].lstrip()
    left = bool(before) and _ends_with_operand(text, at)
    if sign == "!":
        return bool(before) and text[at - 1].isdigit() and not text[at + 1 : at + 2].isalpha()
    right = bool(after) and _begins_with_operand(after)
    if sign in "-−–" and text[at + 1 : at + 2].isdigit() and (at == 0 or text[at - 1] in " (=<>+*/×÷,["):
        return True
    if sign in "<>" and text[max(0, at - 1) : at + 2] == f" {sign} ":
        return True
    return left and right


def _ends_with_operand(text: str, at: int) -> bool:
    before = text[max(0, at - 4) : at].rstrip()
    return bool(before) and _OPERAND.match(before, len(before) - 1) is not None


def _begins_with_operand(after: str) -> bool:
    return _OPERAND.match(after) is not None
