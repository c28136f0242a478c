"""The card says what happened, calls people only when it must, and always fits into Teams' 28 KB."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.alerts.card import build_card
from vllm_quality.alerts.elements import MAX_BYTES, encode
from vllm_quality.alerts.notice import Failure, FlippedAnswer, RunNotice, SpeedFigure, StageSpeed
from vllm_quality.serving.endpoint import Endpoint
from vllm_quality.verdict.types import Finding, Moved, Verdict
from vllm_quality_tests.alerts.notices import (
    DUMBER,
    FAILURE,
    MENTIONS,
    PASS,
    REGRESSION,
    SLICE,
    STEADY,
    SUCCESS,
    TARGET,
    UNDERPOWERED,
    WORSE,
)
from vllm_quality_tests.alerts.reader import check_schema, content, elements, lines
from vllm_quality_tests.report.judged import MOVED

TABLE_OF_CHANGES = "Before → now | Change (95 % interval)"


def test_a_regression() -> None:
    message = build_card(REGRESSION, MENTIONS)
    assert lines(message) == [
        "✗ release-1.4.0 is worse than its baseline",
        "basics\\_ko: exact match: 52.2 % → 49.8 % (−2.4 points), and 2 more metrics are worse.",
        "<at>LLM-Ops</at> <at>김하나</at>",
        f"What got worse | {TABLE_OF_CHANGES}",
        "exact match / basics\\_ko | 52.2 % → 49.8 % | −2.4 points / −3.1 to −1.7; counts from 2 points",
        "requests that succeeded / load/baseline/main | 96.7 % | 0.967 is under the floor of 0.99",
        "time to first token p99 / load/baseline/main | 204 ms → 277 ms | +35.8 % / +29.1 to +42.7; counts from 10 %",
        f"Worst slices | {TABLE_OF_CHANGES}",
        "exact match / basics\\_ko, math | 49.0 % → 41.0 % | −8.0 points / −11.0 to −5.0; counts from 5 points",
        "Answers that got worse",
        "**basics\\_ko**, score 1 → 0: 서울에서 부산까지 기차로 몇 시간 걸리나요?",
        "expected: 2시간 30분 · before: 약 2시간 30분 · now: 12시간",
        "**basics\\_ko**, score 1 → 0: 문의는 \\<PHONE\\> 로 해 주세요. 몇 시까지 받나요?",
        "expected: 18시 · now: 모릅니다.",
        "**basics\\_ko**, score 1 → 0.25: item 77aa",
        "Speed against 5 runs | Tokens | TTFT | TPOT",
        "baseline/main | 639 tok/s / −26.5 % | 277 ms / p99 +36.0 % | 11.3 ms / p50 +0.9 %",
        "sweep/c8 | 724 tok/s / −16.7 % | 245 ms / p99 +20.0 % | 11.3 ms / p50 +0.9 %",
        "Measured: HuggingFaceTB/SmolLM2-360M on vllm 0.11.2, 2x L40S, profile standard",
        "Image: sha256:5d41402abc4b",
        "Held against: 2 earlier runs",
        "Ended: 2026-11-21 14:34 UTC, took 31 min 5 s",
        "Run: run-7",
        "[Open the report](https://s3.example.com/reports/release-1.4.0/run-7/report.html)",
        "[Open the run](http://dagster:3000/runs/run-7)",
        "[Open the release in Dagster](http://dagster:3000/assets/results?view=partitions&partition=release-1.4.0)",
    ]
    assert content(message)["body"][0]["style"] == "attention"


def test_a_failed_run_names_step_cause_and_the_next_action() -> None:
    message = build_card(replace(FAILURE, target=None, started_at=None), MENTIONS)
    assert lines(message)[:5] == [
        "✗ release-1.4.0 could not be evaluated: the run failed",
        "<at>LLM-Ops</at> <at>김하나</at>",
        "Step: serving\\_endpoint",
        "Cause: http://vllm:8000 cannot be reached (Connection refused); check --base-url or VLLM\\_QUALITY\\_BASE\\_URL.",
        "Do next: Bring the endpoint up, then re-execute the run from failure.",
    ]


def test_what_could_not_be_told_says_what_would_have_shown_and_what_it_takes() -> None:
    text = lines(build_card(replace(SUCCESS, verdict=UNDERPOWERED), MENTIONS))
    assert text[0] == "? release-1.4.0 shows no loss, but one that matters could have stayed unseen"
    assert "No loss seen, but | Change (95 % interval) | Could have lost unseen" in text
    assert (
        "llm judge pass ratio / tone\\_ko | −2.0 points / −9.0 to +5.0 | "
        "up to 11 points / to see 2 points it takes about 1,400 items instead of 50."
    ) in text


def test_not_worse_says_what_would_have_shown() -> None:
    verdict = replace(PASS, findings=(STEADY, replace(DUMBER, status="pass", mde=0.012), replace(DUMBER, mde=0.019)))
    text = lines(build_card(replace(SUCCESS, verdict=verdict)))
    assert "Would have shown: a loss of 1.2 points in any judged score, a loss of 8 % in any judged speed" in text


def test_not_worse_by_a_logprob_is_told_beside_the_scores() -> None:
    fine = replace(DUMBER, status="pass", mde=0.012)
    logprob = replace(
        fine, metric="eval/arc/gold_logprob", unit="nats/byte", current=-1.5, baseline=-1.5, effect=0.0, mde=0.015
    )
    finer = replace(logprob, metric="eval/mmlu/gold_logprob", current=-3.0, baseline=-3.0, mde=0.024)
    text = lines(build_card(replace(SUCCESS, verdict=replace(PASS, findings=(STEADY, logprob, finer, fine)))))
    assert (
        "Would have shown: a loss of 1.2 points in any judged score, a loss of 1 % in any other quality, "
        "a loss of 8 % in any judged speed"
    ) in text


def test_a_logprob_falls_by_per_cent() -> None:
    logprob = replace(
        DUMBER, metric="eval/arc/gold_logprob", unit="nats/byte", current=-1.53, baseline=-1.5, effect=-0.03
    )
    logprob = replace(logprob, low=-0.045, high=-0.015, matters=0.03)
    text = lines(build_card(replace(SUCCESS, verdict=replace(WORSE, findings=(logprob,), slices=()))))
    assert text[1] == "arc: gold logprob: −1.500 → −1.530 nats/byte (−2.0 %)."
    assert "gold logprob / arc | −1.500 → −1.530 nats/byte | −2.0 % / −3.0 to −1.0; counts from 2 %" in text


@pytest.mark.parametrize(
    ("changed", "words", "fact"),
    [
        (replace(DUMBER, repeat="confirmed"), "measured twice", "1 confirmed"),
        (replace(DUMBER, repeat="failed"), "second measurement failed", "1 failed"),
        (replace(DUMBER, detector="drift"), "drift, against the oldest releases", None),
    ],
)
def test_how_sure_a_loss_is_stands_in_the_first_line_and_in_the_table(
    changed: Finding, words: str, fact: str | None
) -> None:
    message = build_card(replace(SUCCESS, verdict=replace(WORSE, findings=(changed,), slices=())))
    check_schema(message)
    text = lines(message)
    assert text[1] == f"basics\\_ko: exact match: 52.2 % → 49.8 % (−2.4 points; {words})."
    assert any(line.endswith(f"counts from 2 points / {words}") for line in text)
    assert (f"Measured again: {fact}" in text) is (fact is not None)


def test_what_was_not_borne_out_is_told_though_nothing_is_worse() -> None:
    refuted = replace(DUMBER, status="pass", repeat="refuted")
    text = lines(build_card(replace(SUCCESS, verdict=replace(PASS, findings=(refuted,)))))
    assert "Measured again: 1 not borne out" in text


def test_at_most_two_lines_tell_what_else_moved() -> None:
    message = build_card(replace(SUCCESS, verdict=replace(PASS, moved=MOVED)))
    check_schema(message)
    assert [line for line in lines(message) if "moved" in line] == [
        "Also moved: basics\\_ko, length of the answers 212 → 187 characters (−11.9 %)",
        "Also moved: gsm8k: exact match, items that changed sides 1.0 % → 4.6 % (+3.6 points); 1 more in the report",
    ]
    assert not any("moved" in line for line in lines(build_card(SUCCESS)))


def test_an_empty_answer_and_one_that_was_not_kept_differ() -> None:
    flips = (FlippedAnswer("s", "1", 1, 0, "Q?", "A", None, ""), FlippedAnswer("s", "2", 1, 0, "R?", None, "B", None))
    text = lines(build_card(replace(REGRESSION, flips=flips)))
    assert "expected: A · now: (nothing)" in text
    assert "before: B" in text


def test_what_has_no_baseline_says_why() -> None:
    finding = Finding("eval/deepeval", "quality", "invalid", None, None, None, None, True, "", "no judge is set.")
    text = lines(build_card(replace(SUCCESS, verdict=Verdict("invalid", (finding,), (), "Cannot tell.")), ()))
    assert text[1] == "Cannot tell."
    assert "**eval/deepeval**: invalid, no judge is set." in text


def test_a_rule_without_statistics_shows_its_limit() -> None:
    plain = replace(DUMBER, effect=None, low=None, high=None, matters=None, detector="rule", change=-0.2)
    text = lines(build_card(replace(SUCCESS, verdict=replace(WORSE, findings=(plain,), slices=())), ()))
    assert "exact match / basics\\_ko | 52.2 % → 49.8 % | −20.0 % / limit ≥ −10 %" in text


def test_a_regression_whose_run_failed_afterwards_says_both() -> None:
    failure = Failure("release_report", "Full.", "Free room.")
    text = lines(build_card(replace(REGRESSION, outcome="failure", failure=failure), ()))
    assert "✗ release-1.4.0 is worse than its baseline" in text
    assert "Step: release\\_report" in text


@pytest.mark.parametrize(
    ("notice", "style", "color", "words"),
    [
        (SUCCESS, "good", "Good", "✓ release-1.4.0 is not worse than its baseline"),
        (REGRESSION, "attention", "Attention", "✗ release-1.4.0 is worse than its baseline"),
        (FAILURE, "attention", "Attention", "could not be evaluated: the run failed"),
        (replace(SUCCESS, verdict=replace(PASS, status="no_baseline")), "warning", "Warning", "no comparable earlier"),
        (replace(SUCCESS, verdict=replace(PASS, status="invalid")), "warning", "Warning", "cannot be trusted"),
        (replace(SUCCESS, verdict=None), "warning", "Warning", "no verdict was found"),
        (replace(FAILURE, outcome="canceled"), "emphasis", "Default", "■ release-1.4.0 was canceled"),
    ],
)
def test_the_header_shows_the_verdict_in_words_sign_and_colour(
    notice: RunNotice, style: str, color: str, words: str
) -> None:
    message = build_card(notice, ())
    header = content(message)["body"][0]
    assert header["style"] == style
    assert header["items"][0]["color"] == color
    assert words in header["items"][0]["text"]
    assert content(message)["fallbackText"] in header["items"][0]["text"]


@pytest.mark.parametrize("notice", [REGRESSION, FAILURE])
def test_people_are_called_when_something_is_worse_or_failed(notice: RunNotice) -> None:
    message = build_card(notice, MENTIONS)
    assert content(message)["msteams"]["entities"] == [
        {"type": "mention", "text": f"<at>{name}</at>", "mentioned": {"id": identity, "name": name}}
        for name, identity in MENTIONS
    ]
    # Teams ignores a mention whose text is not in the body to the letter.
    assert "<at>LLM-Ops</at> <at>김하나</at>" in lines(message)


@pytest.mark.parametrize(
    "notice",
    [
        SUCCESS,
        replace(SUCCESS, verdict=UNDERPOWERED),
        replace(SUCCESS, verdict=replace(PASS, status="no_baseline")),
        replace(SUCCESS, verdict=replace(PASS, status="invalid")),
        replace(FAILURE, outcome="canceled", failure=None),
    ],
)
def test_nobody_is_called_otherwise(notice: RunNotice) -> None:
    message = build_card(notice, MENTIONS)
    assert "entities" not in content(message)["msteams"]
    assert "<at>" not in json.dumps(message)


def test_an_untrusted_verdict_still_calls_people_when_a_metric_is_worse() -> None:
    card = content(build_card(replace(SUCCESS, verdict=replace(WORSE, status="invalid")), MENTIONS))
    assert len(card["msteams"]["entities"]) == 2


HOSTILE_FIGURE = SpeedFigure("load/a/b/ttft_p99_s", "s", 1.0, 2.0)


def test_what_others_wrote_is_neither_markup_nor_a_mention() -> None:
    hostile = "1. **bold** [a](http://x) <at>LLM-Ops</at>\n# head\x00"
    notice = replace(
        FAILURE,
        model_tag="release-*_a_*",
        failure=Failure(hostile, hostile, hostile),
        verdict=replace(WORSE, findings=(replace(DUMBER, metric=f"eval/{hostile}/em"),), slices=()),
        flips=(FlippedAnswer(hostile, "1", 1, 0, hostile, hostile, hostile, hostile),),
        speed=(StageSpeed(hostile, HOSTILE_FIGURE, HOSTILE_FIGURE, HOSTILE_FIGURE, 1),),
    )
    text = lines(build_card(notice, ()))
    assert text[0].startswith("✗ release-\\*\\_a\\_\\* is worse")
    assert "Cause: 1\\. \\*\\*bold\\*\\* \\[a\\](http://x) \\<at\\>LLM-Ops\\</at\\> \\# head" in text
    assert "<at>" not in "".join(text)
    assert "**bold**" not in "".join(text)
    assert "[a](" not in "".join(text)


def test_a_report_that_teams_cannot_open_is_named_instead() -> None:
    message = build_card(replace(SUCCESS, report_url="s3://llm-eval-ds/reports/r/1/report.html"), ())
    assert "Report: s3://llm-eval-ds/reports/r/1/report.html" in lines(message)
    titles = [action["title"] for action in content(message)["actions"]]
    assert titles == ["Open the run", "Open the release in Dagster"]


def test_at_most_six_findings_five_slices_and_five_answers() -> None:
    findings = tuple(replace(DUMBER, metric=f"eval/suite{index}/exact_match") for index in range(9))
    slices = tuple(replace(SLICE, metric=f"eval/a/em[part {index}]", effect=-index / 100) for index in range(9))
    verdict = replace(WORSE, findings=findings, slices=slices)
    notice = replace(SUCCESS, verdict=verdict, flips=tuple(FlippedAnswer("s", str(i), 1, 0) for i in range(9)))
    text = lines(build_card(notice, ()))
    assert sum(line.startswith("exact match /") for line in text) == 6
    assert "3 more metrics are worse; the report has them all." in text
    assert next(line for line in text if "part " in line).startswith("em / a, part 8")
    assert sum("part " in line for line in text) == 5
    assert sum("score 1 → 0" in line for line in text) == 5


def test_the_smallest_card_has_the_verdict_the_failure_and_the_links() -> None:
    message = build_card(replace(REGRESSION, outcome="failure", failure=FAILURE.failure), MENTIONS, smallest=True)
    assert not [element for element in elements(content(message)) if element["type"] == "Table"]
    text = "\n".join(lines(message))
    for kept in ("is worse than its baseline", "Step: serving", "<at>LLM-Ops</at>", "[Open the report]"):
        assert kept in text


NOTICES = (SUCCESS, REGRESSION, FAILURE, replace(SUCCESS, verdict=UNDERPOWERED), replace(FAILURE, outcome="canceled"))


@pytest.mark.parametrize("notice", NOTICES)
def test_microsofts_schema_takes_the_card(notice: RunNotice) -> None:
    message = build_card(notice, MENTIONS)
    check_schema(message)
    assert content(message)["version"] == "1.5"
    for element in elements(content(message)):
        # What a webhook cannot do is in the schema all the same (Action.Submit).
        assert element["type"] in (
            "Action.OpenUrl",
            "Container",
            "FactSet",
            "Table",
            "TableCell",
            "TableRow",
            "TextBlock",
            "mention",
        )
        if element["type"] == "Table":
            assert {len(row["cells"]) for row in element["rows"]} == {len(element["columns"])}


# Everything that JSON and Markdown make longer.
NASTY = st.text(st.sampled_from('\\*_"<\n한🚀a\x00\ud800'), max_size=40).map(lambda text: text * 60)


@settings(max_examples=40, deadline=None)
@given(
    text=NASTY,
    error=NASTY.map(lambda text: text * 20),
    many=st.integers(0, 40),
    people=st.integers(0, 120),
    url=st.sampled_from(
        ["https://x.example.com/" + "a" * 970, "https://x.example.com/" + "%" * 5000, "s3://b/" + "é" * 900]
    ),
)
def test_the_card_is_never_over_the_limit(text: str, error: str, many: int, people: int, url: str) -> None:
    finding = replace(DUMBER, metric=f"eval/{text}/{text}", reason=text, change=None, effect=None)
    weak = replace(finding, status="underpowered", mde=0.5)
    figure = SpeedFigure(f"load/{text}/ttft_p99_s", "s", 1.0, 2.0)
    notice = RunNotice(
        run_id=text,
        dagster_run_id=text,
        model_tag=text,
        outcome="failure",
        target=replace(TARGET, endpoint=Endpoint(text, text, text, text, (), None), hardware=text),
        image_digest=text,
        verdict=Verdict(
            "worse",
            (finding,) * many + (weak,) * many,
            (),
            text,
            (replace(SLICE, metric=text),) * many,
            moved=(Moved(f"eval/{text}/{text}", text, 1.0, 2.0, 0.5, 1.5, 0.0, 9),) * many,
        ),
        failure=Failure(text, error, error),
        run_url=url,
        report_url=url,
        partition_url=url,
        flips=(FlippedAnswer(text, text, 1.0, 0.0, error, error, error, error),) * many,
        speed=(StageSpeed(text, figure, figure, figure, 5),) * many,
    )
    mentions = [(f"{'한' * 100}{index}", f"{'x' * 50}{index}@example.com") for index in range(people)]
    message = build_card(notice, mentions)
    assert len(encode(message)) <= MAX_BYTES
    assert json.loads(encode(message)) == message
    assert bool(people) == ("entities" in content(message)["msteams"])
