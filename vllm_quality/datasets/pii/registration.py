"""Numbers that a state gives to people and businesses."""

import re

from vllm_quality.datasets.pii import words
from vllm_quality.datasets.pii.checks import has_birthday, is_brn, is_frn, is_rrn
from vllm_quality.datasets.pii.rule import ENDS, LIKELY, NUMBER, STARTS, STRONG, WEAK, Near, Rule

_BIRTHDAY = r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_CITIZEN, _FOREIGNER = "[0-49]", "[5-8]"  # sex and century
_REGIONS = "서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충북|충남|전북|전남|경북|경남|제주"
_RESIDENT = Near(words.RESIDENT, before=24)
_BUSINESS = Near(words.BUSINESS, before=24)
_PASSPORT = Near(words.PASSPORT, before=30, after=12)
_LICENCE = Near(words.LICENCE, before=30, after=12)
_SOCIAL = Near(words.SOCIAL, before=30, after=16)


def _pattern(body: str, ends: str = ENDS) -> re.Pattern[str]:
    return re.compile(STARTS + body + ends)


def _resident(kind: str, sex: str) -> tuple[Rule, ...]:
    """Of a number in one piece the check digit or a word beside it must tell: most numbers of 13 digits are something else."""
    hyphened = _pattern(rf"{_BIRTHDAY} ?- ?{sex}[0-9]{{6}}")
    plain = _pattern(rf"{_BIRTHDAY} ?{sex}[0-9]{{6}}")
    check = is_rrn if kind == "RRN" else is_frn
    return (
        Rule(kind, hyphened, STRONG, NUMBER, has_birthday, unless=words.THING),
        Rule(kind, plain, LIKELY, NUMBER, check, unless=words.THING),
        Rule(kind, plain, LIKELY, NUMBER, has_birthday, _RESIDENT),
        Rule(kind, _pattern(rf"{_BIRTHDAY} ?- ?{sex}[0-9]{{0,5}}[*xX#]{{1,7}}", r"(?![0-9A-Za-z*#])"), STRONG, NUMBER),
        Rule(kind, _pattern(rf"{_BIRTHDAY} ?- ?{sex}", r"(?![0-9A-Za-z*#-])"), WEAK, NUMBER, None, _RESIDENT),
    )


RULES = (
    *_resident("RRN", _CITIZEN),
    *_resident("FRN", _FOREIGNER),
    Rule("RRN", _pattern(rf"{_BIRTHDAY} ?- ?[*xX#]{{7}}", r"(?![0-9A-Za-z*#])"), STRONG, NUMBER),
    Rule("BRN", _pattern(r"[0-9]{3}-[0-9]{2}-[0-9]{5}"), LIKELY, NUMBER, is_brn, unless=words.THING),
    Rule("BRN", _pattern(r"[0-9]{3} ?- ?[0-9]{2} ?- ?[0-9]{5}"), LIKELY, NUMBER, near=_BUSINESS),
    Rule("BRN", _pattern(r"[0-9]{10}"), WEAK, NUMBER, is_brn, _BUSINESS),
    # Corporations' numbers look like residents'; of the two, the word beside them decides.
    Rule(
        "BRN",
        re.compile(rf"법인 ?(?:등록)? ?번호[^0-9\n]{{0,10}}(?P<value>[0-9]{{6}}-?[0-9]{{7}}){ENDS}"),
        0.99,
        "법인",
    ),
    Rule(
        "PASSPORT",
        _pattern(r"(?:[A-Za-z][0-9]{8}|[A-Za-z][0-9]{3}[A-Za-z][0-9]{4}|[A-Za-z]{2}[0-9]{7}|[0-9]{9})"),
        WEAK,
        words.PASSPORT,
        near=_PASSPORT,
    ),
    Rule(
        "DRIVER_LICENCE", _pattern(r"(?:1[1-9]|2[0-8])-[0-9]{2}-[0-9]{6}-[0-9]{2}"), LIKELY, NUMBER, unless=words.THING
    ),
    Rule("DRIVER_LICENCE", re.compile(rf"(?:{_REGIONS})[ -]?[0-9]{{2}}-[0-9]{{6}}-[0-9]{{2}}{ENDS}"), LIKELY, NUMBER),
    Rule(
        "DRIVER_LICENCE",
        _pattern(r"(?:1[1-9]|2[0-8])[- ]?[0-9]{2}[- ]?[0-9]{6}[- ]?[0-9]{2}"),
        WEAK,
        NUMBER,
        None,
        _LICENCE,
    ),
    Rule("DRIVER_LICENCE", _pattern(r"[A-Z][0-9]{7,12}"), WEAK, NUMBER, None, _LICENCE),
    Rule("SSN", _pattern(r"(?!000|666)[0-9]{3}[- ]?(?!00)[0-9]{2}[- ]?(?!0000)[0-9]{4}"), WEAK, NUMBER, None, _SOCIAL),
)
