"""What a text is read as: tokens of kinds, some of which carry meaning."""

from typing import NamedTuple


class Kind:
    """Kinds of tokens that carry meaning, and (from ORDER on) of differences that no single token has; WORD is any other.

    Plain numbers, one bit each: there are millions of tokens.
    """

    WORD = 0
    NUMBER = 1
    NEGATION = 2
    OPERATOR = 4
    OPTION = 8
    UNIT = 16
    OPPOSITE = 32
    MOMENT = 64
    ORDER = 128
    CASE = 256
    NAME = 512
    QUESTION = 1024
    REPLACED = 2048


class Token(NamedTuple):
    """One word or sign.

    value     what it says: of an opposite, its class and side; of other words, the word in lower case without particle
    particle  Korean; "" where there is none
    """

    kind: int
    value: str
    particle: str = ""
