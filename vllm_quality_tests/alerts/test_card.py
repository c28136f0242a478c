"""The card says what happened, calls people only when it must, and always fits into Teams' 28 KB."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.alerts.card import MAX_BYTES, build_card, encode
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.serving.endpoint import Endpoint
from vllm_quality.verdict.types import Finding, Verdict
from vllm_quality_tests.alerts.notices import DUMBER, FAILURE, MENTIONS, PASS, REGRESSION, SUCCESS, TARGET, WORSE


def content(message: dict[str, Any]) -> dict[str, Any]:
    (attachment,) = message["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card: dict[str, Any] = attachment["content"]
    return card


def lines(message: dict[str, Any]) -> list[str]:
    """The card as a person reads it: a line per text, fact, table row and button."""
    card = content(message)
    return [line for element in card["body"] for line in _lines(element)] + [
        f"[{action['title']}]({action['url']})" for action in card.get("actions", [])
    ]


def _lines(element: dict[str, Any]) -> Iterator[str]:
    match element["type"]:
        case "TextBlock":
            yield element["text"]
        case "Container":
            for item in element["items"]:
                yield from _lines(item)
        case "FactSet":
            yield from (f"{fact['title']}: {fact['value']}" for fact in element["facts"])
        case "Table":
            for row in element["rows"]:
                yield " | ".join(text for cell in row["cells"] for item in cell["items"] for text in _lines(item))
        case unknown:
            raise AssertionError(unknown)


def test_a_regression() -> None:
    message = build_card(REGRESSION, MENTIONS)
    assert lines(message) == [
        "release-1.4.0 is worse than its baseline",
        "Worse: 3 of 4 judged metrics are beyond their limit, against 2 earlier runs.",
        "Digest: sha256:5d41402abc4b",
        "Model: HuggingFaceTB/SmolLM2-360M",
        "Engine: vllm 0.11.2",
        "Profile: standard",
        "Hardware: 2x L40S",
        "Ended: 2026-11-21 14:34 UTC, took 31 min 5 s",
        "Run: run-7",
        "Metric | Now | Baseline | Change | Limit",
        "load/baseline/main: requests that succeeded (0.967 is under the floor of 0.99.) | 96.7 % | – | – | –",
        "basics\\_ko: exact match | 27.0 % | 52.2 % | −48.3 % | ≥ −10 %",
        "load/baseline/main: time to first token p99 | 277 ms | 204 ms | +36.0 % | ≤ +10 %",
        "load/baseline/main: output throughput | 833 tok/s | 869 tok/s | −4.1 % | ≥ −10 %",
        "<at>LLM-Ops</at> <at>김하나</at>",
        "[Open the report](https://s3.example.com/reports/release-1.4.0/run-7/report.html)",
        "[Open the run in Dagster](http://dagster:3000/runs/run-7)",
    ]
    assert content(message)["body"][0]["style"] == "attention"


def test_a_failed_run() -> None:
    message = build_card(replace(FAILURE, target=None, started_at=None), MENTIONS)
    assert lines(message) == [
        "release-1.4.0 could not be evaluated: the run failed",
        "Digest: sha256:5d41402abc4b",
        "Ended: 2026-11-21 14:34 UTC",
        "Run: run-7",
        "Failed at step serving\\_endpoint",
        "http://vllm:8000 cannot be reached (Connection refused); check --base-url or VLLM\\_QUALITY\\_BASE\\_URL.",
        "<at>LLM-Ops</at> <at>김하나</at>",
        "[Open the run in Dagster](http://dagster:3000/runs/run-7)",
    ]


def test_a_regression_whose_run_failed_afterwards_says_both() -> None:
    text = lines(build_card(replace(REGRESSION, outcome="failure", failed_step="release_report", error="Full."), ()))
    assert "release-1.4.0 is worse than its baseline" in text
    assert "Failed at step release\\_report" in text


@pytest.mark.parametrize(
    ("notice", "style", "color", "words"),
    [
        (SUCCESS, "good", "Good", "is not worse than its baseline"),
        (REGRESSION, "attention", "Attention", "is worse than its baseline"),
        (FAILURE, "attention", "Attention", "could not be evaluated: the run failed"),
        (replace(SUCCESS, verdict=replace(PASS, status="no_baseline")), "warning", "Warning", "no comparable earlier"),
        (replace(SUCCESS, verdict=replace(PASS, status="invalid")), "warning", "Warning", "cannot be trusted"),
        (replace(SUCCESS, verdict=None), "warning", "Warning", "no verdict was found"),
        (replace(FAILURE, outcome="canceled"), "emphasis", "Default", "was canceled before it was done"),
    ],
)
def test_the_header_shows_the_verdict(notice: RunNotice, style: str, color: str, words: str) -> None:
    header = content(build_card(notice, ()))["body"][0]
    assert header["style"] == style
    assert header["items"][0]["color"] == color
    assert words in header["items"][0]["text"]
    assert words in content(build_card(notice, ()))["fallbackText"]


@pytest.mark.parametrize("notice", [REGRESSION, FAILURE])
def test_people_are_called_when_something_is_worse_or_failed(notice: RunNotice) -> None:
    card = content(build_card(notice, MENTIONS))
    assert card["msteams"]["entities"] == [
        {"type": "mention", "text": f"<at>{name}</at>", "mentioned": {"id": identity, "name": name}}
        for name, identity in MENTIONS
    ]
    # Teams ignores a mention whose text is not in the body to the letter.
    assert "<at>LLM-Ops</at> <at>김하나</at>" in lines({"attachments": [_attachment(card)]})


def _attachment(card: dict[str, Any]) -> dict[str, Any]:
    return {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}


@pytest.mark.parametrize(
    "notice",
    [
        SUCCESS,
        replace(SUCCESS, verdict=replace(PASS, status="no_baseline")),
        replace(SUCCESS, verdict=replace(PASS, status="invalid")),
        replace(FAILURE, outcome="canceled", error=None),
    ],
)
def test_nobody_is_called_otherwise(notice: RunNotice) -> None:
    message = build_card(notice, MENTIONS)
    assert "entities" not in content(message)["msteams"]
    assert "<at>" not in json.dumps(message)


def test_an_untrusted_verdict_still_calls_people_when_a_metric_is_worse() -> None:
    card = content(build_card(replace(SUCCESS, verdict=replace(WORSE, status="invalid")), MENTIONS))
    assert len(card["msteams"]["entities"]) == 2


def test_what_others_wrote_is_neither_markup_nor_a_mention() -> None:
    notice = replace(FAILURE, model_tag="release-*_a_*", error="1. **bold** [a](http://x) <at>LLM-Ops</at>\n# head\x00")
    text = lines(build_card(notice, ()))
    assert text[0].startswith("release-\\*\\_a\\_\\* could")
    assert "1\\. \\*\\*bold\\*\\* \\[a\\](http://x) \\<at\\>LLM-Ops\\</at\\> \\# head" in text


def test_a_report_that_teams_cannot_open_is_named_instead() -> None:
    message = build_card(replace(SUCCESS, report_url="s3://llm-eval-ds/reports/r/1/report.html"), ())
    assert "Report: s3://llm-eval-ds/reports/r/1/report.html" in lines(message)
    assert [action["title"] for action in content(message)["actions"]] == ["Open the run in Dagster"]


def test_at_most_six_findings_and_the_number_of_the_others() -> None:
    findings = tuple(replace(DUMBER, metric=f"eval/suite{index}/exact_match") for index in range(9))
    text = lines(build_card(replace(SUCCESS, verdict=replace(WORSE, findings=findings)), ()))
    assert sum("exact match" in line for line in text) == 6
    assert "3 more metrics are worse; the report has them all." in text


def test_a_mention_that_teams_could_not_resolve_is_left_out() -> None:
    mentions = (("<at>", "a@example.com"), ("Ops", "x" * 400), ("Ops\udcff", "o@example.com"), *MENTIONS)
    card = content(build_card(FAILURE, mentions))
    assert [entity["mentioned"]["name"] for entity in card["msteams"]["entities"]] == ["LLM-Ops", "김하나"]


# Everything that JSON and Markdown make longer.
NASTY = st.text(st.sampled_from('\\*_"<\n한🚀a\x00\ud800'), max_size=40).map(lambda text: text * 60)


@settings(max_examples=60, deadline=None)
@given(
    text=NASTY,
    error=NASTY.map(lambda text: text * 20),
    findings=st.integers(0, 40),
    people=st.integers(0, 120),
    url=st.sampled_from(
        ["https://x.example.com/" + "a" * 970, "https://x.example.com/" + "%" * 5000, "s3://b/" + "é" * 900]
    ),
)
def test_the_card_is_never_over_the_limit(text: str, error: str, findings: int, people: int, url: str) -> None:
    finding = replace(DUMBER, metric=f"eval/{text}/{text}", reason=text, change=None)
    target = replace(TARGET, endpoint=Endpoint(text, text, text, text, (), None), hardware=text)
    notice = RunNotice(
        run_id=text,
        dagster_run_id=text,
        model_tag=text,
        outcome="failure",
        target=target,
        image_digest=text,
        verdict=Verdict("worse", (finding,) * findings, (), text),
        error=error,
        failed_step=text,
        run_url=url,
        report_url=url,
    )
    mentions = [(f"{'한' * 100}{index}", f"{'x' * 200}{index}@example.com") for index in range(people)]
    message = build_card(notice, mentions)
    assert len(encode(message)) <= MAX_BYTES
    assert json.loads(encode(message)) == message
    assert bool(people) == ("entities" in content(message)["msteams"])


def test_every_element_is_of_adaptive_cards_1_5() -> None:
    for notice in (SUCCESS, REGRESSION, FAILURE):
        card = content(build_card(notice, MENTIONS))
        assert (card["type"], card["version"]) == ("AdaptiveCard", "1.5")
        assert {element["type"] for element in card["body"]} <= {"Container", "FactSet", "Table", "TextBlock"}
        assert {action["type"] for action in card["actions"]} == {"Action.OpenUrl"}
        for table in (element for element in card["body"] if element["type"] == "Table"):
            assert {len(row["cells"]) for row in table["rows"]} == {len(table["columns"])}
            assert all(isinstance(column["width"], int) for column in table["columns"])


def test_the_verdict_of_a_finding_without_change_is_its_reason() -> None:
    finding = Finding("eval/deepeval", "quality", "invalid", None, None, None, None, True, "", "no judge is set.")
    text = lines(build_card(replace(SUCCESS, verdict=Verdict("invalid", (finding,), (), "Cannot tell.")), ()))
    assert "eval/deepeval (no judge is set.) | – | – | – | –" in text
