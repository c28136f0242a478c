"""Without a webhook the card lies in the outbox, whole."""

import json
from pathlib import Path

import pytest

from vllm_quality.alerts.delivery import open_sender
from vllm_quality.alerts.outbox import OutboxError, OutboxSender
from vllm_quality.alerts.teams import TeamsSender
from vllm_quality.settings import load_settings

CARD = {"type": "message", "text": "한국어"}


def test_the_card_is_written_under_its_name(tmp_path: Path) -> None:
    where = OutboxSender(tmp_path / "new" / "outbox").send(CARD, name="run-7-run_failure:../x")
    assert Path(where) == tmp_path / "new" / "outbox" / "run-7-run_failure-..-x.json"
    assert json.loads(Path(where).read_text(encoding="utf-8")) == CARD
    assert [file.name for file in Path(where).parent.iterdir()] == [Path(where).name]


def test_a_second_card_of_that_name_replaces_the_first(tmp_path: Path) -> None:
    outbox = OutboxSender(tmp_path)
    outbox.send({"type": "old"}, name="card")
    assert json.loads(Path(outbox.send(CARD, name="card")).read_text(encoding="utf-8")) == CARD


def test_an_outbox_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutboxError, match=r"^The card cannot be written to .*file.card\.json \(.+\); make room"):
        OutboxSender(tmp_path / "file").send(CARD, name="card")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "card.json").mkdir()  # a file cannot take the place of a folder
    with pytest.raises(OutboxError):
        OutboxSender(tmp_path).send(CARD, name="card")
    assert [file.name for file in tmp_path.iterdir()] == ["card.json"]


def test_the_settings_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_sender(load_settings()) == OutboxSender(load_settings().home / "outbox")
    monkeypatch.setenv("VLLM_QUALITY_TEAMS_WEBHOOK", "https://example.com/?sig=s3cr3t")
    chosen = open_sender(load_settings())
    assert isinstance(chosen, TeamsSender)
    assert "s3cr3t" not in repr(chosen)
