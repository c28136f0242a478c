"""The page says everything, runs and loads nothing, and stays small."""

import re
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree

import polars as pl
import pytest

from vllm_quality.report.data import ReportData, report_key
from vllm_quality.report.page import MAX_BYTES, render_report
from vllm_quality.report.tables import finding_row
from vllm_quality.report.units import human
from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.metrics import definition_of
from vllm_quality.verdict.types import Verdict
from vllm_quality_tests.report.html_page import read_page
from vllm_quality_tests.report.releases import (
    BEGAN,
    HOSTILE,
    KOREAN,
    TARGET,
    measurements,
    past,
    release,
    requests,
    samples,
    texts,
    with_problem,
    worse_release,
)

EMPTY = ReportData(TARGET, Verdict("invalid", (), (), "Nothing."), BEGAN + timedelta(seconds=5), [])
REPORTS = {
    "pass": release(),
    "worse": worse_release(),
    "no baseline": release(history=()),
    "not trusted": with_problem(release()),
    "empty": EMPTY,
}


@pytest.mark.parametrize("name", REPORTS)
def test_every_figure_is_on_the_page(name: str) -> None:
    report = REPORTS[name]
    text = read_page(render_report(report)).text
    for measurement in report.measurements:
        for metric, value in measurement.metrics.items():
            definition = definition_of(metric)
            assert metric in text
            assert f"{value:.6g}" in text
            assert definition is None or human(metric, definition.unit, value) in text
    for finding in report.verdict.findings:
        row = finding_row(finding)
        assert f"{finding.metric} {row.now} {row.baseline} {row.change} {row.limit} {row.status_words}" in text
        if finding.status != "ok":
            assert finding.reason in text


@pytest.mark.parametrize("name", REPORTS)
def test_nothing_is_run_or_loaded(name: str) -> None:
    html = render_report(REPORTS[name])
    page = read_page(html)
    assert {tag for tag, _ in page.tags} & {
        "script",
        "img",
        "iframe",
        "link",
        "object",
        "embed",
        "base",
        "form",
    } == set()
    for _, attributes in page.tags:
        assert not [attribute for attribute in attributes if attribute.startswith("on")]
        assert {"src", "srcset", "action", "xlink:href", "data"} & set(attributes) == set()
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [url for url in REPORTS[name].links.values() if url.startswith("http")]
    (style,) = page.of["style"]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in html


@pytest.mark.parametrize("name", REPORTS)
def test_charts_are_whole(name: str) -> None:
    for svg in re.findall(r"<svg.*?</svg>", render_report(REPORTS[name]), re.DOTALL):
        assert ElementTree.fromstring(svg).get("aria-label")
        assert "nan" not in svg
        assert "inf" not in svg


def test_what_a_model_wrote_stays_text() -> None:
    html = render_report(worse_release())
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>" not in html
    shown = read_page(html).of["pre"]
    assert any("</pre><script>alert('x')</script>" in text for text in shown)
    assert any(KOREAN in text for text in shown)
    assert "\x00" not in html


def test_hostile_names_stay_text() -> None:
    found = [
        Measurement(
            f"eval/{HOSTILE}", {f"eval/{HOSTILE}/exact_match": 0.5}, "c", problem=HOSTILE, details={HOSTILE: HOSTILE}
        ),
        Measurement(f"load/{HOSTILE}", {f"load/{HOSTILE.replace('/', '')}/main/ttft_p99_s": 0.5}, "c"),
    ]
    hostile = replace(
        release(found, history=()),
        target=replace(TARGET, model_tag=HOSTILE, hardware=HOSTILE),
        links={HOSTILE: "javascript:alert(1)"},
        item_counts={HOSTILE: 3},
        warnings=[HOSTILE],
        requests={found[1].step: requests().with_columns(stage=pl.lit(HOSTILE), scenario=pl.lit(HOSTILE))},
    )
    html = render_report(hostile)
    page = read_page(html)
    assert not {tag for tag, _ in page.tags} & {"script", "img", "a"}
    assert "<script" not in html


def test_the_verdict_is_the_first_thing() -> None:
    worse = read_page(render_report(worse_release()))
    assert worse.of["h1"] == ["release-1.4.0 is worse than its baseline."]
    assert worse.of["title"][0] == "release-1.4.0: Worse"
    assert "Compared with the mean of 2 earlier releases: release-1.3.8, release-1.3.7." in worse.text
    passed = read_page(render_report(release()))
    assert passed.of["h1"] == ["release-1.4.0 is not worse than its baseline."]
    first = read_page(render_report(release(history=())))
    assert "There was no comparable earlier release to compare with." in first.text
    assert "1 of 7 metrics could be judged, and that is within its limit." in first.text


def test_what_is_worse_comes_worst_first() -> None:
    page = read_page(render_report(worse_release()))
    text = page.text[page.text.index("What is worse") : page.text.index("What was evaluated")]
    order = ["requests that succeeded", "time to first token p99", "output throughput", "exact match"]
    places = [text.index(name) for name in order]
    assert places == sorted(places)
    assert "0.973 is under the floor of 0.99." in text


def test_what_was_evaluated() -> None:
    text = read_page(render_report(release())).text
    for fact in (
        "sha256:5d41402abc4b",
        "HuggingFaceTB/SmolLM2-360M",
        "vllm 0.11.2",
        "2x L40S",
        "standard",
        "2026-11-21 14:03 UTC",
        "33 min 12 s",
        "37 min 12 s",
        "9b74c9897bac",
        "1,050 in 2 data sets",
        "s3://llm-eval-ds/runs/8f4f2c1e",
    ):
        assert fact in text


def test_warnings_come_before_the_figures() -> None:
    text = read_page(render_report(with_problem(release()))).text
    warnings = text[text.index("Before you read on") : text.index("What is worse")]
    assert "load/baseline: the client was 50 ms late." in warnings
    assert "eval/deepeval: 7 answers could not be judged" in warnings
    assert "A sentence from elsewhere <b>." in warnings


def test_a_missing_judge_is_no_failure_of_the_judge() -> None:
    unjudged = samples("deepeval", "rag_accuracy_score", 0, judge_error=50).with_columns(judge=pl.lit("no judge"))
    text = read_page(render_report(replace(release(), samples={"eval/deepeval": unjudged}))).text
    assert "eval/deepeval: rag_accuracy_score need a judge, and none is set (VLLM_QUALITY_JUDGE_URL)" in text
    assert "could not be judged;" not in text


def test_missing_parts_are_said() -> None:
    text = read_page(render_report(EMPTY)).text
    for words in (
        "No quality was measured.",
        "No speed was measured.",
        "nothing that is judged was measured",
        "not known",
    ):
        assert words in text


def test_the_same_data_give_the_same_page() -> None:
    assert render_report(worse_release()) == render_report(worse_release())


def huge_release(answer: str) -> ReportData:
    suites = [f"suite{index}" for index in range(60)]
    scores = [
        Measurement(f"eval/{suite}", {f"eval/{suite}/acc": 0.5, f"eval/{suite}/acc_stderr": 0.1}, "c")
        for suite in suites
    ]
    return replace(
        release([*measurements(), *scores]),
        requests={"load/baseline": pl.concat(requests(3000, stage=f"rate{stage}") for stage in range(7))},
        samples={f"eval/{suite}": samples(suite, "acc", 50) for suite in suites},
        texts={f"eval/{suite}": texts(suite, answer) for suite in suites},
    )


def test_a_huge_release_stays_under_one_megabyte() -> None:
    html = render_report(huge_release("<한>" * 2000))
    assert len(html.encode()) <= MAX_BYTES
    assert "are left out here" not in html


def test_what_does_not_fit_is_left_out_and_said() -> None:
    html = render_report(replace(huge_release("'" * 2000), warnings=["'" * 150_000]))
    assert len(html.encode()) <= MAX_BYTES
    assert "texts are left out here" in html
    assert "suite0" in html


def test_the_page_works_in_light_dark_and_print() -> None:
    html = render_report(release())
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_history_tells_alike_from_other_conditions() -> None:
    html = render_report(release(history=(past(1), past(2, alike=False))))
    assert 'class="past"><title>release-1.3.8: ' in html
    assert 'class="past other"><title>release-1.3.7: ' in html
    assert 'class="now"><title>release-1.4.0: ' in html


def test_where_a_report_lies() -> None:
    assert report_key("release-1.4.0", "run-7") == "reports/release-1.4.0/run-7/report.html"
