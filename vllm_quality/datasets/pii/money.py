"""Payment cards and bank accounts."""

import re

from vllm_quality.datasets.pii import words
from vllm_quality.datasets.pii.checks import digits_of, is_iban, is_luhn
from vllm_quality.datasets.pii.rule import ENDS, LIKELY, NUMBER, STARTS, STRONG, WEAK, Near, Rule

# Visa, MasterCard, JCB, Discover, UnionPay, Korean cards at home; American Express; Diners.
_CARD = (
    r"(?:[3-69][0-9]{3}|2[2-7][0-9]{2})(?P<gap>[- ]?)[0-9]{4}(?P=gap)[0-9]{4}(?P=gap)[0-9]{4}(?:(?P=gap)[0-9]{3})?"
    r"|3[47][0-9]{2}[- ]?[0-9]{6}[- ]?[0-9]{5}|3[068][0-9]{2}[- ]?[0-9]{6}[- ]?[0-9]{4}"
)
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[ A-Z0-9]{8}")
_DATE = re.compile(r"(?:19|20)[0-9]{2}-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12][0-9]|3[01])(?:[^0-9]|$)")
_BANK = Near(words.BANK, before=28, after=14, behind=words.BANK_BEHIND)


def _pattern(body: str) -> re.Pattern[str]:
    return re.compile(f"{STARTS}(?:{body})(?!\\*){ENDS}")


def _is_masked_card(value: str) -> bool:
    return value.count("*") >= 4 and len(digits_of(value)) >= 4


def _is_account(value: str) -> bool:
    return 10 <= len(re.sub(r"[^0-9*]", "", value)) <= 16 and _DATE.match(value) is None


RULES = (
    Rule("CARD", _pattern(_CARD), STRONG, NUMBER, is_luhn, unless=words.THING),
    Rule("CARD", _pattern(r"[0-9]{4}([- ])[0-9]{4}\1[0-9]{4}\1[0-9]{4}"), LIKELY, NUMBER, None, Near(words.CARD, 16)),
    Rule("CARD", _pattern(r"[0-9]{4}([- ]?)[0-9*]{4}\1[0-9*]{4}\1[0-9*]{3,4}"), LIKELY, NUMBER, check=_is_masked_card),
    Rule("IBAN", _pattern(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?"), STRONG, _IBAN, is_iban),
    Rule(
        "BANK_ACCOUNT",
        _pattern(r"[0-9*]{2,6}(?:-[0-9*]{1,7}){1,4}"),
        WEAK,
        NUMBER,
        _is_account,
        _BANK,
        words.THING,
    ),
    Rule("BANK_ACCOUNT", _pattern(r"[0-9]{10,16}"), WEAK, NUMBER, _is_account, _BANK, words.THING),
)
