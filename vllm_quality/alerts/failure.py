"""Why a run failed, in one sentence: no traceback, and nothing that might hold a secret."""

import importlib
import re
from collections.abc import Iterator
from typing import Protocol

from vllm_quality.alerts.actions import action_for, action_for_bug, action_for_dead_worker, action_for_full_disk
from vllm_quality.alerts.notice import Failure
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


def explain_failure(step: str | None, error: ErrorInfo) -> Failure:
    """What a person should read of an error: the innermost `UserError`'s text, else just what kind of bug it is.

    The text of any other error may hold addresses with passwords, so it stays in the run's log.
    """
    chain = list(_outermost_first(error))
    for link in reversed(chain):
        found = _user_error(link.message)
        if found is not None:
            kind, text = found
            full = any(sign in text for sign in _FULL_DISK) or "no space left" in text.lower()
            return Failure(step, text, action_for_full_disk() if full else action_for(kind))
    if any(sign in link.message for link in chain for sign in _FULL_DISK):
        return Failure(step, "The disk is full.", action_for_full_disk())
    cause = f"An unexpected {chain[-1].cls_name or 'error'}; the run's log in Dagster has the traceback."
    return Failure(step, cause, action_for_bug())


def died_outside_of_steps(message: str) -> Failure:
    """A run whose worker is gone; `message` is Dagster's own."""
    return Failure(None, message, action_for_dead_worker())


def _outermost_first(error: ErrorInfo) -> Iterator[ErrorInfo]:
    link: ErrorInfo | None = error
    while link is not None:
        yield link
        link = link.cause or link.context


def _user_error(message: str) -> tuple[type[UserError], str] | None:
    match = _QUALIFIED.match(message)
    if match is None:
        return None
    try:
        error_class = getattr(importlib.import_module(match["module"]), match["name"], None)
    except ImportError:
        return None
    if not isinstance(error_class, type) or not issubclass(error_class, UserError):
        return None
    return error_class, " ".join(match["text"].split())
