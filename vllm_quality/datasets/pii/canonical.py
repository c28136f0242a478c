"""One spelling for each value, so that a number has one pseudonym however it was typed."""

import re
import unicodedata

_NOT_ALNUM = re.compile(r"[^0-9A-Za-z*]")
_SPACES = re.compile(r"\s+")
_CASELESS = ("EMAIL", "PERSON")
_EXACT = ("API_KEY", "JWT", "URL_TOKEN")


def canonical_value(kind: str, value: str) -> str:
    """E.164 for phones, digits and capitals for other numbers, lower case for e-mail; secrets stay as they are."""
    if kind in _EXACT:
        return value
    value = unicodedata.normalize("NFKC", value)
    if kind == "PHONE":
        return _phone(value)
    if kind in _CASELESS:
        return _SPACES.sub(" ", value).strip().casefold()
    if kind == "IP":
        return _address(value)
    return _NOT_ALNUM.sub("", value).upper()


def _phone(value: str) -> str:
    """E.164, a number without a country being Korean; digits and masks where it is none."""
    import phonenumbers

    digits = re.sub(r"[^0-9*+]", "", value)
    if "*" in digits:
        return digits
    try:
        number = phonenumbers.parse(re.sub(r"^00(?=[1-9])", "+", digits), "KR")
    except phonenumbers.NumberParseException:
        return digits
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _address(value: str) -> str:
    import ipaddress

    try:
        return ipaddress.ip_address(value).compressed
    except ValueError:
        return value.lower()
