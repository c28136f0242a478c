"""Whom a card calls. Only what Teams can resolve is sent to it: an id that it cannot find shifts those after it.

Teams drops what it does not find from its list and goes on counting (learn.microsoft.com/answers, question 5587981). So ids
are checked by their form, and all mentions stand in one line with no words of their own between them: where an id that looks
right belongs to nobody, the same people are called, and nothing is said about the wrong one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vllm_quality.alerts.elements import Element, text
from vllm_quality.alerts.markdown import plain

Mentions = Sequence[tuple[str, str]]

_UPN = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")
_LONGEST_UPN = 113  # Entra ID's own limit
_ENTRA_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LONGEST_NAME = 128


@dataclass(frozen=True)
class Called:
    """Who can be mentioned, with names that differ, and the names of those who cannot."""

    people: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...] = ()


def checked(mentions: Mentions) -> Called:
    """The people as Teams wants them: each id once, a UPN or an Entra object id, and no two of one name."""
    people: dict[str, tuple[str, str]] = {}
    names: set[str] = set()
    left_out: list[str] = []
    for name, identity in mentions:
        if not _is_name(name) or not _is_identity(identity):
            left_out.append(name)
        elif identity.lower() not in people:
            # Teams finds a mention by its text: two people of one text would be one.
            unique = name if name not in names else f"{name} ({identity.partition('@')[0]})"
            names.add(unique)
            people[identity.lower()] = (unique, identity)
    return Called(tuple(people.values()), tuple(left_out))


def mention_line(called: Called, most: int) -> list[Element]:
    """One line that calls the first `most` people, and one that says who could not be called."""
    lines = []
    if called.people:
        lines.append(text(" ".join(_tag(name) for name, _ in called.people[:most]), spacing="Medium"))
    if called.left_out:
        names = ", ".join(plain(name, 40) for name in called.left_out[:5])
        lines.append(
            text(
                f"Not called: {names}. The id in VLLM\\_QUALITY\\_TEAMS\\_MENTIONS is neither a UPN nor an Entra id.",
                isSubtle=True,
                spacing="None",
            )
        )
    return lines


def entities(called: Called, most: int) -> list[Element]:
    """What Teams needs beside the line."""
    return [
        {"type": "mention", "text": _tag(name), "mentioned": {"id": identity, "name": name}}
        for name, identity in called.people[:most]
    ]


def _tag(name: str) -> str:
    return f"<at>{name}</at>"  # to the letter as in the entity, or it is ignored


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable() and not set("<>&") & set(name)


def _is_identity(identity: str) -> bool:
    upn = len(identity) <= _LONGEST_UPN and _UPN.fullmatch(identity) is not None
    return upn or _ENTRA_ID.fullmatch(identity) is not None
