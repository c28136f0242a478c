"""Texts without pseudonyms: equal for two texts that differ in nothing but whom they are about."""

import re

from vllm_quality.datasets.pii.kinds import KINDS

PSEUDONYM_LENGTH = 10  # base32 characters, 50 bits
_KIND = "|".join(KINDS)

# What stands in a text in place of a finding, with a pseudonym and without.
PLACEHOLDER = re.compile(rf"<(?:{_KIND})(?:_[a-z2-7]{{{PSEUDONYM_LENGTH}}})?>")
_PSEUDONYM = re.compile(rf"<({_KIND})_[a-z2-7]{{{PSEUDONYM_LENGTH}}}>")


def skeleton(text: str) -> str:
    """The text with `<PHONE>` for every `<PHONE_k7q2…>`, and so on for each kind."""
    return _PSEUDONYM.sub(r"<\1>", text)
