"""Delivery of a card to a Teams channel through a Workflows webhook ("When a Teams webhook request is received").

A Workflows URL answers 202 when its trigger has taken the card. A legacy connector answers 200 whatever happens, and tells
of a failure in the body. The URL's `sig` parameter is a secret, so no message or log of this module holds the URL.
"""

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay

from vllm_quality.alerts.elements import encode
from vllm_quality.errors import UserError

_MOST_OF_A_BODY = 16 * 1024
_SETTING = "VLLM_QUALITY_TEAMS_WEBHOOK"
_LEGACY_FAILURE = re.compile(rb"Webhook message delivery failed|Microsoft Teams endpoint returned HTTP error")
_LEGACY_STATUS = re.compile(rb"HTTP error (\d{3})")
_ERROR_CODE = re.compile(rb'"code"\s*:\s*"([A-Za-z.]{1,60})"')


class TeamsError(UserError):
    """The card was not delivered.

    card_refused  it was the card that the webhook did not want; another one may be taken
    after_s       how much later it wants to be asked again, when it said so
    """

    def __init__(self, message: str, *, card_refused: bool = False, after_s: float | None = None) -> None:
        super().__init__(message)
        self.card_refused = card_refused
        self.after_s = after_s


class _TryAgainError(Exception):
    """The webhook may take the card later; `after_s` when it said how much later."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s


@dataclass(frozen=True)
class TeamsSender:
    """Posts cards to one webhook. All attempts for one card together take at most about `budget_s` seconds."""

    webhook: SecretStr
    timeout_s: float = 10.0
    budget_s: float = 40.0
    attempts: int = 4
    first_wait_s: float = 1.0

    @property
    def channel(self) -> str:
        """The name of this way of delivery in the ledger."""
        return "teams"

    @property
    def limited(self) -> bool:
        """Teams takes only so many messages in a time."""
        return True

    def send(self, card: Mapping[str, Any], *, name: str) -> str:
        """Deliver a card and tell what was answered. Raises `TeamsError`, one sentence without the URL."""
        started = time.monotonic()
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts) | stop_before_delay(self.budget_s),
            wait=self._wait,
            retry=retry_if_exception_type(_TryAgainError),
            reraise=True,
        )
        try:
            return retrying(self._post, encode(card), started + self.budget_s)
        except _TryAgainError as error:
            took = time.monotonic() - started
            raise TeamsError(
                f"The Teams webhook at {self._host()} did not take the card {name} within {took:.0f} s ({error.reason}); "
                "check Teams and the network.",
                after_s=error.after_s,
            ) from None

    def _host(self) -> str:
        return urlsplit(self.webhook.get_secret_value()).hostname or "an unnamed host"

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, _TryAgainError) and error.after_s is not None:
            return error.after_s
        return float(self.first_wait_s * 2 ** (state.attempt_number - 1))

    def _post(self, body: bytes, deadline: float) -> str:
        # Connecting and waiting for the answer may take this long each.
        timeout = max(0.1, min(self.timeout_s, (deadline - time.monotonic()) / 2))
        url = self.webhook.get_secret_value()
        try:
            with (
                _no_url_in_log(),
                httpx.Client(timeout=timeout) as client,
                client.stream("POST", url, content=body, headers={"Content-Type": "application/json"}) as response,
            ):
                answer = _read(response, deadline)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise TeamsError(f"{_SETTING} is not a usable URL; copy it again from the Teams workflow.") from None
        except httpx.TimeoutException:
            raise _TryAgainError(f"no answer within {timeout:.3g} s") from None
        except httpx.RequestError as error:
            raise _TryAgainError(type(error).__name__) from None
        return self._judge(response, answer)

    def _judge(self, response: httpx.Response, body: bytes) -> str:
        status = response.status_code
        legacy = _LEGACY_FAILURE.search(body)
        if response.is_success and legacy is not None:
            inner = _LEGACY_STATUS.search(body)
            status = int(inner[1]) if inner else 502
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
            raise _TryAgainError(f"HTTP {status}", _retry_after(response))
        host = self._host()
        if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            code = _ERROR_CODE.search(body)
            why = f" {code[1].decode()}" if code else ""
            raise TeamsError(
                f"The Teams webhook at {host} refused the card (HTTP {status}{why}); check that {_SETTING} is a workflow "
                "that posts Adaptive Cards.",
                card_refused=True,
            )
        if not response.is_success or response.headers.get("content-type", "").startswith("text/html"):
            raise TeamsError(
                f"{host} does not answer as a Teams webhook (HTTP {status}); copy {_SETTING} again from the Teams workflow."
            )
        return f"HTTP {status} from {host}"


def _read(response: httpx.Response, deadline: float) -> bytes:
    """As much of the body as tells of a failure; a server that trickles does not keep us beyond the deadline."""
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) >= _MOST_OF_A_BODY or time.monotonic() > deadline:
            break
    return body


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after")
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


@contextmanager
def _no_url_in_log() -> Iterator[None]:
    """httpx logs every URL at INFO, and the URL is the secret: what this thread would log meanwhile is dropped."""
    thread = threading.get_ident()

    def is_of_another_thread(record: logging.LogRecord) -> bool:
        return record.thread not in (thread, None)

    logger = logging.getLogger("httpx")
    logger.addFilter(is_of_another_thread)
    try:
        yield
    finally:
        logger.removeFilter(is_of_another_thread)
