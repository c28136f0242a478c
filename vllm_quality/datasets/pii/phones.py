"""Phone numbers: Korean ones, those of North America, and others in international form."""

import re

from vllm_quality.datasets.pii.checks import digits_of
from vllm_quality.datasets.pii.rule import ENDS, LIKELY, NUMBER, STRONG, WEAK, Near, Rule
from vllm_quality.datasets.pii.words import PHONE, THING

# Looking ahead first is quicker than looking back at every letter.
_STARTS = r"(?=[0-9+(])(?:(?<![0-9A-Za-z_+])(?<![0-9][-.])|(?<=[Tt][Ee][Ll])|(?<=[Ff][Aa][Xx])|(?<=[Hh][Pp]))"
_GAP = r"(?: ?[-.)/] ?| )"
_COUNTRY = rf"(?:(?:\+|00)82{_GAP}?\(?0?\)?{_GAP}?|\(?0)"
# Seoul, the provinces, internet telephony, free of charge, numbers that are forwarded.
_AREA = r"(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|80|50[2-8]?)"
_TOLD = Near(PHONE, before=24)

# Companies' numbers of eight digits (1588-…) are left: they are nobody's, and look like parts of others.


def _pattern(body: str) -> re.Pattern[str]:
    return re.compile(_STARTS + body + ENDS)


def _is_possible(value: str) -> bool:
    """By the numbering plan of its country."""
    import phonenumbers

    try:
        number = phonenumbers.parse("+" + digits_of(re.sub(r"^00", "", value)), None)
    except phonenumbers.NumberParseException:
        return False
    return len(digits_of(value)) >= 9 and bool(phonenumbers.is_possible_number(number))


def _is_american(value: str) -> bool:
    import phonenumbers

    return bool(phonenumbers.is_valid_number(phonenumbers.parse("+1" + digits_of(value)[-10:], None)))


def _is_filled_in(value: str) -> bool:
    return len(set(digits_of(value))) > 1


def _is_masked(value: str) -> bool:
    return "*" in value and len(digits_of(value)) >= 5


RULES = (
    Rule("PHONE", _pattern(rf"{_COUNTRY}1[016789]{_GAP}[0-9]{{3,4}}{_GAP}[0-9]{{4}}"), STRONG, NUMBER),
    Rule("PHONE", _pattern(rf"{_COUNTRY}1[016789]{_GAP}?[0-9]{{3,4}}{_GAP}?[0-9]{{4}}"), LIKELY, NUMBER, unless=THING),
    Rule(
        "PHONE",
        _pattern(rf"{_COUNTRY}{_AREA}(?:{_GAP}|\) ?)[0-9]{{3,4}}{_GAP}[0-9]{{4}}"),
        LIKELY,
        NUMBER,
        unless=THING,
    ),
    Rule("PHONE", _pattern(rf"0{_AREA}[0-9]{{7,8}}"), WEAK, NUMBER, near=_TOLD, unless=THING),
    Rule("PHONE", _pattern(r"01[016789][- ]?[0-9*]{3,4}[- ]?[0-9*]{4}(?!\*)"), STRONG, NUMBER, check=_is_masked),
    Rule("PHONE", _pattern(r"(?:\+|00)[1-9](?:[ .()-]{0,2}[0-9]){7,14}"), LIKELY, NUMBER, check=_is_possible),
    Rule(
        "PHONE",
        _pattern(r"(?:\+?1[-. ]?)?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-.])[2-9][0-9]{2}[-.][0-9]{4}"),
        LIKELY,
        NUMBER,
        check=_is_american,
        unless=THING,
    ),
    Rule("PHONE", _pattern(r"[2-9][0-9]{2}[ ]?[2-9][0-9]{2}[ ]?[0-9]{4}"), WEAK, NUMBER, _is_american, _TOLD, THING),
    Rule("PHONE", _pattern(r"0[0-9]{1,4}[-. ][0-9]{3,4}[-. ][0-9]{3,4}"), WEAK, NUMBER, _is_filled_in, _TOLD, THING),
)
