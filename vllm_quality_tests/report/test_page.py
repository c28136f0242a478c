"""The page says everything, runs and loads nothing, and stays small."""

import re
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.report.data import ReportData, report_key
from vllm_quality.report.page import MAX_BYTES, render_report
from vllm_quality.report.tables import finding_row
from vllm_quality.report.units import human
from vllm_quality.results.measurement import Measurement
from vllm_quality.verdict.metrics import definition_of
from vllm_quality.verdict.types import Finding, FlippedItem, Verdict
from vllm_quality_tests.report.html_page import read_page
from vllm_quality_tests.report.judged import judged_releases
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

# fmt: off
KNOWN_TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "nav", "section", "article", "footer",
    "span", "h1", "h2", "h3", "h4", "p", "a", "ul", "li", "strong", "i", "code", "pre", "table", "caption", "thead",
    "tbody", "tr", "th", "td", "br", "details", "summary", "dl", "dt", "dd", "div", "figure", "figcaption", "svg",
    "g", "text", "line", "path", "rect", "circle",
}
# fmt: on
EMPTY = ReportData(TARGET, Verdict("invalid", (), (), "Nothing."), BEGAN + timedelta(seconds=5), [])
REPORTS = {
    "pass": release(),
    "worse": worse_release(),
    "no baseline": release(history=()),
    "not trusted": with_problem(release()),
    "empty": EMPTY,
    **{f"judged {name}": data for name, data in judged_releases().items()},
}
PAGES = {name: render_report(report) for name, report in REPORTS.items()}


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
        if finding.status != "pass":
            assert finding.reason in text


@pytest.mark.parametrize("name", REPORTS)
def test_nothing_is_run_or_loaded(name: str) -> None:
    html = PAGES[name]
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
    links = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
    assert [link for link in links if not link.startswith("#")] == [
        url for url in REPORTS[name].links.values() if url.startswith("http")
    ]
    (style,) = page.of["style"]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in html


@pytest.mark.parametrize("name", REPORTS)
def test_charts_are_whole(name: str) -> None:
    for svg in re.findall(r"<svg.*?</svg>", PAGES[name], re.DOTALL):
        drawing = ElementTree.fromstring(svg)
        assert drawing.get("aria-label") or drawing.get("aria-hidden") == "true"
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
    assert not {tag for tag, _ in page.tags} & {"script", "img"}
    assert all((attributes["href"] or "").startswith("#") for tag, attributes in page.tags if tag == "a")
    assert "<script" not in html


def test_the_verdict_is_the_first_thing() -> None:
    worse = read_page(PAGES["judged worse"])
    assert worse.of["h1"] == ["release-1.4.0 is worse than its baseline."]
    assert worse.of["title"][0] == "release-1.4.0: Worse"
    assert worse.of["p"][0].startswith("gsm8k: exact match went from ")
    assert "It was held against 4 earlier releases, release-1.3.8 the newest" in worse.of["p"][0]
    passed = read_page(PAGES["judged pass"])
    assert passed.of["h1"] == ["release-1.4.0 is not worse than its baseline."]
    assert "a loss of 2 points or 2 % would have shown" in passed.of["p"][0]
    first = read_page(PAGES["judged first"])
    assert first.of["title"][0] == "release-1.4.0: No baseline"
    assert "There was no comparable earlier release to compare with." in first.text
    weak = read_page(PAGES["judged underpowered"])
    assert re.search(r"to see 2 points there, it takes about [\d,]+ items instead of 60", weak.of["p"][0])
    better = read_page(PAGES["judged better"])
    assert better.of["title"][0] == "release-1.4.0: Better"


def test_what_is_worse_comes_worst_first() -> None:
    page = read_page(render_report(worse_release()))
    text = page.text[page.text.index("Worst first") : page.text.rindex("What was evaluated")]
    order = ["requests that succeeded", "time to first token p99", "output throughput"]
    places = [text.index(name) for name in order]
    assert places == sorted(places)
    assert "0.973 is under the floor of 0.99." in text


def test_flipped_items_have_both_answers_and_the_reason() -> None:
    page = read_page(PAGES["judged worse"])
    text = page.text[page.text.index("Items that lost most") :]
    for words in ("Asked", "Expected", "Before", "Now", "Reason", "the last line is", "characters"):
        assert words in text


def test_signals_that_moved_have_a_section_and_a_place_in_the_list_of_sections() -> None:
    page = read_page(PAGES["judged measured again"])
    assert ("a", {"href": "#moved"}) in page.tags
    text = page.text[page.text.rindex("What else moved Early signals") : page.text.index("Items that lost most")]
    assert "length of the answers basics_ko −11.9 % −13.2 to −10.5 212 → 187 characters 1 in 1,000,000 releases" in text
    assert "items that changed sides gsm8k: exact match +3.6 points 1.0 % → 4.6 % 1 in 30,000 releases 1,319" in text
    assert "What else moved" not in read_page(PAGES["judged first"]).text


def test_second_measurements_and_drift_are_marked_in_the_table() -> None:
    page = read_page(PAGES["judged measured again"])
    kinds = [attributes.get("class") for tag, attributes in page.tags if tag == "span"]
    for kind, words in (
        ("confirmed", "measured twice"),
        ("refuted", "measured again, not borne out"),
        ("failed", "second measurement failed"),
        ("drift", "drift"),
    ):
        assert f"mark {kind}" in kinds
        assert words in page.of["span"]
    assert not any("mark " in html for html in re.findall(r'class="[^"]*"', PAGES["judged worse"]))
    assert "4 suspicions were measured again and not borne out." in page.of["p"][0]


def test_a_logprob_is_in_nats_wherever_it_stands() -> None:
    page = read_page(PAGES["judged measured again"])
    assert "gold logprob mmlu_ko −1.122 nats/byte ± 0.011 nats/byte −1.096 nats/byte worse" in page.text
    assert "−112" not in page.text


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
    warnings = text[text.index("Before you read on") : text.index("What could not be judged")]
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


@pytest.mark.parametrize("name", REPORTS)
def test_headings_go_down_one_level_at_a_time(name: str) -> None:
    levels = [int(tag[1]) for tag, _ in read_page(PAGES[name]).tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(level <= before + 1 for before, level in pairwise(levels))


@pytest.mark.parametrize("name", REPORTS)
def test_everything_has_a_name_to_those_who_listen(name: str) -> None:
    page = read_page(PAGES[name])
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        if tag in ("section", "article") and attributes.get("class") != "answer":
            assert attributes["aria-labelledby"] in ids
        if tag == "a" and (attributes["href"] or "").startswith("#"):
            assert (attributes["href"] or "")[1:] in ids
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if "tabindex" in attributes:
            assert attributes["role"] == "region"
            assert attributes["aria-label"]
    assert sum(tag == "main" for tag, _ in page.tags) == 1
    assert dict(page.tags)["html"] == {"lang": "en"}


@pytest.mark.parametrize("name", REPORTS)
def test_rows_that_become_cards_on_a_phone_stay_a_table_to_those_who_listen(name: str) -> None:
    html = PAGES[name]
    for table in re.findall(r'<table class="forest.*?</table>', html, re.DOTALL):
        tags = read_page(table).tags
        roles = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "td": "cell"}
        assert all(attributes["role"] == roles[tag] for tag, attributes in tags if tag in roles)
        heads = [attributes["role"] for tag, attributes in tags if tag == "th"]
        columns = 5 if "signals" in table else 6
        assert heads.count("columnheader") == columns
        assert heads.count("rowheader") == len(heads) - columns


def _luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_stands_out_from_its_ground(scheme: int) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1 for text; 1.4.11: 3 to 1 for what is drawn."""
    css = render_report(EMPTY)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", re.findall(r":root {(.*?)}", css, re.DOTALL)[scheme]))

    def contrast(ink: str, ground: str) -> float:
        low, high = sorted((_luminance(colours[ink]), _luminance(colours[ground])))
        return (high + 0.05) / (low + 0.05)

    papers = ("paper", "faint", "good-paper", "bad-paper", "warn-paper")
    assert all(contrast("ink", paper) >= 7 and contrast("muted", paper) >= 4.5 for paper in papers)
    assert all(contrast(name, "paper") >= 4.5 for name in ("good", "bad", "warn", "accent"))
    assert all(contrast(name, f"{name}-paper") >= 4.5 for name in ("good", "bad", "warn"))
    assert all(contrast(name, "zone") >= 3 for name in ("good", "bad", "warn", "muted", "ink"))
    assert contrast("accent", "page") >= 4.5


@settings(max_examples=25)
@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_is_written_stays_text(answer: str, name: str) -> None:
    metric = f"eval/s/{name.replace('/', '')}_score"
    found = FlippedItem(metric, "s-0001", 1.0, 0.0, 1.0)
    finding = Finding(
        metric, "quality", "worse", 0.5, 0.6, -0.1, 0.1, True, "", answer, effect=-0.1, low=-0.2, high=0.1
    )
    verdict = Verdict(
        "worse", (finding,), ("past-1",), answer, (replace(finding, metric=f"{metric}[{name}]"),), (found,)
    )
    report = replace(
        EMPTY,
        verdict=verdict,
        history=(past(1),),
        measurements=[Measurement("eval/s", {metric: 0.5}, "c", details={name: answer})],
        texts={"eval/s": texts("s", answer, 3, reason=name)},
        earlier_texts={"eval/s": texts("s", name, 3)},
    )
    page = read_page(render_report(report))
    assert {tag for tag, _ in page.tags} <= KNOWN_TAGS


def test_where_a_report_lies() -> None:
    assert report_key("release-1.4.0", "run-7") == "reports/release-1.4.0/run-7/report.html"
