"""The kinds of personal data and secrets that are looked for, and a place where one was found."""

from dataclasses import dataclass

# Of two findings of equal score and length, the kind named first wins.
KINDS = (
    "JWT",
    "API_KEY",
    "URL_TOKEN",
    "EMAIL",
    "CARD",
    "IBAN",
    "RRN",  # resident registration number
    "FRN",  # that of a foreigner
    "BRN",  # business or corporate registration number
    "PHONE",
    "DRIVER_LICENCE",
    "PASSPORT",
    "SSN",  # social security number of the United States
    "IP",
    "BANK_ACCOUNT",
    "PERSON",
)


@dataclass(frozen=True)
class Found:
    """A place in the text that was given, in code points, end excluded; never the value."""

    kind: str
    start: int
    end: int
