"""The page on which a card is looked at, and its picture."""

from dataclasses import replace
from pathlib import Path

import pytest

from vllm_quality.alerts.browser import BrowserError, find_browser, take_picture
from vllm_quality.alerts.card import build_card
from vllm_quality.alerts.digest import build_digest
from vllm_quality.alerts.notice import Failure
from vllm_quality.alerts.preview import render_page
from vllm_quality.alerts.small_cards import retag_card, trial_card
from vllm_quality_tests.alerts.notices import FAILURE, MENTIONS, REGRESSION, SUCCESS
from vllm_quality_tests.alerts.reader import check_schema, lines


def test_the_page_shows_what_the_card_says_light_dark_and_narrow() -> None:
    page = render_page(build_card(REGRESSION, MENTIONS))
    for view in ('class="card light"', 'class="card dark"', 'class="card light phone"'):
        assert page.count(view) == 1
    for text in (
        "release-1.4.0 is worse than its baseline",
        "<b>basics_ko</b>",
        "@LLM-Ops",
        "&lt;PHONE&gt;",
        "−2.4 points",
    ):
        assert page.count(text) >= 3, text
    assert "<script" not in page
    assert "\\_" not in page


def test_what_others_wrote_stays_text() -> None:
    hostile = '<script>alert(1)</script> <img src=x onerror="1"> [a](javascript:1)'
    notice = replace(FAILURE, model_tag=hostile, failure=Failure(hostile, hostile, hostile))
    page = render_page(build_card(notice))
    assert "<script" not in page
    assert "<img" not in page
    assert 'href="javascript' not in page


def test_a_digest_links_to_what_was_bad() -> None:
    page = render_page(build_digest([SUCCESS, REGRESSION], (), about="Backfill b"))
    assert '<a class="at" href="https://s3.example.com/reports/release-1.4.0/run-7/report.html">' in page


@pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed")
def test_the_picture_is_as_high_as_the_page(tmp_path: Path) -> None:
    browser = find_browser()
    assert browser is not None
    png = tmp_path / "card.png"
    take_picture(browser, render_page(build_card(SUCCESS)), png)
    data = png.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    assert width == 1700
    assert 300 < height < 2000


def test_a_browser_that_does_not_work_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BrowserError, match="look at the HTML file instead"):
        take_picture("/bin/false", "<body></body>", tmp_path / "card.png")
    with pytest.raises(BrowserError, match="look at the HTML file instead"):
        take_picture(str(tmp_path / "missing"), "<body></body>", tmp_path / "card.png")


def test_a_moved_tag_and_a_trial() -> None:
    moved = retag_card("release-1_a", "5d41402abc4b2a76", "sha256:" + "9b74c989" * 8, "ghcr.io/o/n", MENTIONS)
    assert lines(moved)[0] == "? release-1\\_a was moved to another image"
    assert "Before: sha256:5d41402abc4b" in lines(moved)
    assert "Now: sha256:9b74c9899b74" in lines(moved)
    trial = trial_card("teams")
    assert "<at>" not in str(trial)
    for card in (moved, trial):
        check_schema(card)
        assert render_page(card)
