"""`vllm-quality alert`: a card is looked at without being sent, and the channel is tried without an evaluation."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vllm_quality.alerts.browser import find_browser
from vllm_quality.alerts.command import NothingStoredError, alert
from vllm_quality.alerts.teams import TeamsError
from vllm_quality.errors import UserError
from vllm_quality.results.database import ResultStore
from vllm_quality.results.objects import open_objects
from vllm_quality.results.publish import VERDICT_FILE
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.target import TARGET_FILE
from vllm_quality.settings import load_settings
from vllm_quality_tests.alerts.notices import TARGET, WORSE
from vllm_quality_tests.alerts.reader import check_schema, lines
from vllm_quality_tests.alerts.webhook import Answer, webhook
from vllm_quality_tests.results.samples import run_row


def run(*arguments: str) -> Result:
    return CliRunner().invoke(alert, list(arguments), standalone_mode=False)


def test_the_card_of_a_stored_evaluation(tmp_path: Path) -> None:
    settings = load_settings()
    ResultStore(settings.results).write_run(run_row("run-7", model_tag="release-1.4.0"))
    folder = RunFolder(open_objects(settings), "run-7")
    folder.put_json(TARGET_FILE, TARGET.as_json())
    folder.put_json(VERDICT_FILE, WORSE.as_json())
    done = run("preview", "release-1.4.0", "--out", str(tmp_path / "cards"))
    assert done.exception is None, done.output
    card = json.loads((tmp_path / "cards" / "card-release-1.4.0.json").read_text(encoding="utf-8"))
    assert "✗ release-1.4.0 is worse than its baseline" in lines(card)
    check_schema(card)
    assert "is worse than its baseline" in (tmp_path / "cards" / "card-release-1.4.0.html").read_text(encoding="utf-8")
    assert (tmp_path / "cards" / "card-release-1.4.0.png").exists() == (find_browser() is not None)
    assert "of 28,672 bytes" in done.output
    assert not (settings.home / "outbox").exists()


def test_a_tag_that_was_never_evaluated() -> None:
    done = run("preview", "release-9")
    assert isinstance(done.exception, NothingStoredError)
    assert "release-9 was never evaluated here" in str(done.exception)


def test_a_harmless_card_is_sent_and_the_answer_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_QUALITY_TEAMS_MENTIONS", "Hana <hana@example.com>")
    with webhook() as hook:
        monkeypatch.setenv("VLLM_QUALITY_TEAMS_WEBHOOK", hook.url)
        done = run("test")
        assert run("test", "--mention").exception is None
    assert "Taken: HTTP 202 from 127.0.0.1." in done.output
    assert "sig=" not in done.output
    quiet, calling = (body.decode() for body in hook.received)
    assert "<at>" not in quiet
    assert "<at>Hana</at>" in calling


def test_what_the_endpoint_did_not_take_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook(Answer(404)) as hook:
        monkeypatch.setenv("VLLM_QUALITY_TEAMS_WEBHOOK", hook.url)
        done = run("test")
    assert isinstance(done.exception, TeamsError)
    assert "HTTP 404" in str(done.exception)


def test_without_a_channel_there_is_nothing_to_try() -> None:
    done = run("test")
    assert isinstance(done.exception, UserError)
    assert "set VLLM_QUALITY_TEAMS_WEBHOOK" in str(done.exception)
