"""Why a run failed, in one sentence: no traceback, and nothing that might hold a secret."""

import importlib
import re
from collections.abc import Iterator
from typing import Protocol

from vllm_quality.errors import UserError

_FULL_DISK = ("No space left on device", "disk is full")
_QUALIFIED = re.compile(r"(?P<module>vllm_quality(?:\.\w+)+)\.(?P<name>\w+): (?P<text>.+)", re.DOTALL)


class ErrorInfo(Protocol):
    """An error as Dagster stores it. `message` is "module.Class: text"."""

    @property
    def message(self) -> str:
        """Class and text."""
        ...

    @property
    def cls_name(self) -> str | None:
        """The class alone."""
        ...

    @property
    def cause(self) -> "ErrorInfo | None":
        """What it was raised from."""
        ...

    @property
    def context(self) -> "ErrorInfo | None":
        """What was being handled when it was raised."""
        ...


def sentence(error: ErrorInfo) -> str:
    """What a person should read of an error: the innermost `UserError`'s text, else just what kind of bug it is.

    The text of any other error may hold addresses with passwords, so it stays in the run's log.
    """
    chain = list(_outermost_first(error))
    for link in reversed(chain):
        text = _user_error_text(link.message)
        if text is not None:
            return text
    if any(sign in link.message for link in chain for sign in _FULL_DISK):
        return "The disk is full; free room below VLLM_QUALITY_HOME and DAGSTER_HOME, then run it again."
    return f"An unexpected {chain[-1].cls_name or 'error'}; the run's log in Dagster has the traceback."


def _outermost_first(error: ErrorInfo) -> Iterator[ErrorInfo]:
    link: ErrorInfo | None = error
    while link is not None:
        yield link
        link = link.cause or link.context


def _user_error_text(message: str) -> str | None:
    match = _QUALIFIED.match(message)
    if match is None:
        return None
    try:
        error_class = getattr(importlib.import_module(match["module"]), match["name"], None)
    except ImportError:
        return None
    is_user_error = isinstance(error_class, type) and issubclass(error_class, UserError)
    return " ".join(match["text"].split()) if is_user_error else None
