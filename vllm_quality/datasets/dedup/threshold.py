"""How near is near: a share of the longer text's length, compared in integers."""

import re
from dataclasses import dataclass
from math import gcd

from vllm_quality.datasets.schema import DatasetError

_SHARE = re.compile(r"\s*(?:(\d{1,9})/(\d{1,9})|(\d?)\.(\d{1,9})|(\d))\s*", re.ASCII)


@dataclass(frozen=True)
class Threshold:
    """Two texts are near when `edits / longer < num / den`, strictly; rational, so that no rounding decides at the border.

    Raises `DatasetError` unless 0 < num / den < 1.
    """

    num: int = 1
    den: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.num < self.den:
            raise DatasetError(f"A threshold of {self.num}/{self.den} is not between 0 and 1; 0.2 is usual.")
        common = gcd(self.num, self.den)
        object.__setattr__(self, "num", self.num // common)
        object.__setattr__(self, "den", self.den // common)

    def __str__(self) -> str:
        return f"{self.num / self.den:.9g}"

    def allows(self, edits: int, longer: int) -> bool:
        """Whether texts at this Levenshtein distance are near; `longer` is the longer one's length in code points."""
        return edits * self.den < self.num * longer

    def most_edits(self, longer: int) -> int:
        """The largest distance that is still near; -1 for an empty text, which is near nothing."""
        return (self.num * longer - 1) // self.den

    def longest_near(self, length: int) -> int:
        """The length of the longest text that a text of this length can be near."""
        # longer - length edits at least: (longer - length) * den < num * longer.
        return (self.den * length - 1) // (self.den - self.num) if length > 0 else 0

    @classmethod
    def parse(cls, text: str) -> "Threshold":
        """A threshold written as `0.2` or `1/5`. Raises `DatasetError`."""
        found = _SHARE.fullmatch(text)
        if found is None:
            raise DatasetError(
                f"{text!r} is no threshold; write a share of the longer text's length, such as 0.2 or 1/5."
            )
        num, den, whole, decimals, integer = found.groups()
        if num is not None:
            return cls(int(num), int(den))
        if integer is not None:
            return cls(int(integer), 1)
        return cls(int((whole or "0") + decimals), 10 ** len(decimals))


USUAL = Threshold()
