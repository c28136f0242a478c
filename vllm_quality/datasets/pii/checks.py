"""Check digits, and other things that tell a number from one that only looks like it."""

import re
from datetime import date

_NOT_DIGITS = re.compile(r"[^0-9]")
_RRN_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_BRN_WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)
_PLACEHOLDER = re.compile(r"your|example|xxxx|\*\*\*|\.\.\.|changeme|placeholder|dummy|<|{|^\$", re.IGNORECASE)
_DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


def digits_of(value: str) -> str:
    """The digits of a value."""
    return _NOT_DIGITS.sub("", value)


def is_luhn(value: str) -> bool:
    """ISO/IEC 7812-1, as on payment cards."""
    numbers = [int(digit) for digit in reversed(digits_of(value))]
    doubled = sum(sum(divmod(2 * number, 10)) for number in numbers[1::2])
    return len(set(numbers)) > 1 and (sum(numbers[::2]) + doubled) % 10 == 0


def is_rrn(value: str) -> bool:
    """The check digit of a resident registration number. Numbers given since October 2020 have none."""
    return _resident_check_digit(value, 11)


def is_frn(value: str) -> bool:
    """The check digit of a foreigner's registration number. Numbers given since October 2020 have none."""
    return _resident_check_digit(value, 13)


def has_birthday(value: str) -> bool:
    """Whether a resident registration number begins with a day that there was."""
    digits = digits_of(value[:6])
    try:
        date(2000 + int(digits[:2]) % 4, int(digits[2:4]), int(digits[4:6]))  # of the century only leap years matter
    except ValueError:
        return False
    return True


def is_brn(value: str) -> bool:
    """The check digit of a business registration number."""
    numbers = [int(digit) for digit in digits_of(value)]
    weighted = sum(number * weight for number, weight in zip(numbers, _BRN_WEIGHTS, strict=False))
    return len(numbers) == 10 and (weighted + numbers[8] * 5 // 10 + numbers[9]) % 10 == 0


def is_iban(value: str) -> bool:
    """ISO 13616: the remainder of 97."""
    code = value.replace(" ", "").upper()
    return 15 <= len(code) <= 34 and int("".join(str(int(char, 36)) for char in code[4:] + code[:4])) % 97 == 1


def is_random(value: str) -> bool:
    """Whether a value looks drawn, not named: letters and digits, of these three or of those several of both cases."""
    digits, capitals, small = (sum(map(is_one, value)) for is_one in (str.isdigit, str.isupper, str.islower))
    drawn = digits >= 3 or (digits >= 1 and capitals >= 2 and small >= 2)
    return drawn and capitals + small > 0 and is_filled_in(value) and _DOTTED_NAME.fullmatch(value) is None


def is_encoded(value: str) -> bool:
    """Whether a value is not a word of a language: a digit in it, or a capital behind a small letter."""
    return is_filled_in(value) and re.search(r"[0-9]|[a-z][A-Z]", value) is not None


def is_filled_in(value: str) -> bool:
    """Whether a secret stands there, and not what says that one should."""
    return _PLACEHOLDER.search(value) is None and len(set(value)) > 3


def _resident_check_digit(value: str, base: int) -> bool:
    numbers = [int(digit) for digit in digits_of(value)]
    weighted = sum(number * weight for number, weight in zip(numbers, _RRN_WEIGHTS, strict=False))
    return len(numbers) == 13 and (base - weighted % 11) % 10 == numbers[12]
