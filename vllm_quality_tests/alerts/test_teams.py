"""Delivery over real sockets: what is sent again, what is given up, and that the webhook's secret never shows."""

import json
import logging
import socket
import time
import traceback

import pytest
from pydantic import SecretStr

from vllm_quality.alerts.card import build_card
from vllm_quality.alerts.elements import encode
from vllm_quality.alerts.teams import TeamsError, TeamsSender
from vllm_quality_tests.alerts.notices import MENTIONS, REGRESSION
from vllm_quality_tests.alerts.webhook import Answer, webhook

CARD = build_card(REGRESSION, MENTIONS)
SECRET = "s3cr3t-SIGNATURE"


def sender(url: str, timeout_s: float = 2.0, budget_s: float = 5.0) -> TeamsSender:
    return TeamsSender(SecretStr(url), timeout_s=timeout_s, budget_s=budget_s, first_wait_s=0.01)


def refusal(url: str, **limits: float) -> TeamsError:
    with pytest.raises(TeamsError) as caught:
        sender(url, **limits).send(CARD, name="run-7-run_success")
    text = "".join(traceback.format_exception(caught.value))
    assert SECRET not in text
    assert "sig=" not in text
    return caught.value


def test_202_is_delivered_as_it_was_built() -> None:
    with webhook() as hook:
        assert sender(hook.url).send(CARD, name="card") == "HTTP 202 from 127.0.0.1"
    assert hook.received == [encode(CARD)]
    assert json.loads(hook.received[0]) == CARD


def test_legacy_200_is_delivered() -> None:
    with webhook(Answer(200, b"1")) as hook:
        sender(hook.url).send(CARD, name="card")


@pytest.mark.parametrize(
    "first",
    [
        Answer(429, headers=(("Retry-After", "0"),)),
        Answer(429, headers=(("Retry-After", "Sat, 21 Nov 2020 14:03:00 GMT"),)),
        Answer(429, headers=(("Retry-After", "soon"),)),
        Answer(500),
        Answer(503),
        Answer(
            200, b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with"
        ),
        Answer(200, b"Webhook message delivery failed with error: something else"),
    ],
)
def test_what_passes_is_sent_again(first: Answer) -> None:
    with webhook(first) as hook:
        sender(hook.url).send(CARD, name="card")
    assert len(hook.received) == 2


def test_retry_after_is_obeyed() -> None:
    with webhook(Answer(429, headers=(("Retry-After", "1"),))) as hook:
        started = time.monotonic()
        sender(hook.url).send(CARD, name="card")
        assert time.monotonic() - started >= 1


def test_a_wait_beyond_the_budget_is_not_begun() -> None:
    with webhook(Answer(429, headers=(("Retry-After", "3600"),))) as hook:
        started = time.monotonic()
        error = refusal(hook.url)
        assert time.monotonic() - started < 2
    assert "did not take the card run-7-run_success" in str(error)
    assert "HTTP 429" in str(error)
    assert error.after_s == 3600
    assert len(hook.received) == 1


def test_attempts_are_bounded() -> None:
    with webhook(*[Answer(500)] * 20) as hook:
        error = refusal(hook.url)
    assert len(hook.received) == 4
    assert not error.card_refused


def test_a_timeout_is_tried_again_within_the_budget() -> None:
    with webhook(*[Answer(after_s=0.6)] * 20) as hook:
        started = time.monotonic()
        error = refusal(hook.url, timeout_s=0.3, budget_s=1.0)
        assert time.monotonic() - started < 2.5
    assert len(hook.received) > 1
    assert "no answer within" in str(error)


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = refusal(f"http://127.0.0.1:{unused.getsockname()[1]}/?sig={SECRET}")
    assert "ConnectError" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(400, b'{"error":{"code":"TriggerInputSchemaMismatch","message":"... sig=s3cr3t-SIGNATURE"}}'),
        Answer(413),
        Answer(
            200, b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413 with"
        ),
    ],
)
def test_a_card_that_teams_refuses_is_not_sent_again(answer: Answer) -> None:
    with webhook(answer) as hook:
        error = refusal(hook.url)
    assert error.card_refused
    assert len(hook.received) == 1
    assert ("TriggerInputSchemaMismatch" in str(error)) == (answer.status == 400)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(401),
        Answer(404, b'{"error":{"code":"WorkflowNotFound"}}'),
        Answer(302, headers=(("Location", "http://127.0.0.1:9/login"),)),
        Answer(200, b"<html>Sign in</html>", (("Content-Type", "text/html; charset=utf-8"),)),
    ],
)
def test_an_address_that_is_no_webhook(answer: Answer) -> None:
    with webhook(answer) as hook:
        error = refusal(hook.url)
    assert "VLLM_QUALITY_TEAMS_WEBHOOK" in str(error)
    assert not error.card_refused
    assert len(hook.received) == 1


@pytest.mark.parametrize("url", ["chdb:///folder?sig=s3cr3t-SIGNATURE", "http://127.0.0.1:port/?sig=s3cr3t-SIGNATURE"])
def test_an_unusable_address(url: str) -> None:
    assert "VLLM_QUALITY_TEAMS_WEBHOOK is not a usable URL" in str(refusal(url))


def test_the_secret_is_in_no_log_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with webhook(Answer(500)) as hook:
        sender(hook.url).send(CARD, name="card")
        assert SECRET not in repr(sender(hook.url))
    assert SECRET not in caplog.text
    assert logging.getLogger("httpx").filters == []
