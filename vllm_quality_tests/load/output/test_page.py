"""report.html tells a person what was measured, loads nothing from elsewhere, and stays small."""

from dataclasses import replace

import polars as pl
import pytest

from vllm_quality.load.output.page import render_page
from vllm_quality.load.result import LoadResult
from vllm_quality_tests.load.output.results import PROBLEM, capacity, endpoint, load_result
from vllm_quality_tests.report.html_page import read_page

MOST_BYTES = 1_500_000


def test_a_ladder_shows_its_figures_curves_and_plateau() -> None:
    html = render_page(load_result(capacity=capacity()))
    page = read_page(html)
    for said in ("concurrency-8", "concurrency-64", "Saturated at 31 streams.", "plateau", "knee at 30.5", "Goodput"):
        assert said in page.text
    for heading in ("Stages", "Throughput and latency", "Distributions", "Timeline", "Errors", "What the server says"):
        assert any(text.startswith(heading) for text in page.of["h2"])
    assert "429 Too Many Requests: slow down" in page.text


@pytest.mark.parametrize("result", [load_result(), load_result([{"type": "constant", "rate": 10, "duration_s": 4}])])
def test_it_runs_and_loads_nothing(result: LoadResult) -> None:
    html = render_page(result)
    page = read_page(html)
    assert not any(name in ("script", "link", "img", "iframe") for name, _ in page.tags)
    assert "url(" not in html
    assert not any("href" in attributes or "src" in attributes for _, attributes in page.tags)


def test_what_must_not_be_compared_says_so_at_the_top() -> None:
    text = read_page(render_page(load_result(problem=PROBLEM))).text
    assert text.index("Not to be compared") < text.index(PROBLEM) < text.index("Key figures")
    assert "Interrupted" in read_page(render_page(load_result(interrupted=True))).text


def test_a_run_without_a_success_is_still_a_page() -> None:
    result = load_result([{"type": "concurrency", "streams": 4, "requests": 8}])
    (stage,) = result.stages
    nothing = stage.frame.with_columns(
        outcome=pl.lit("connect_error"),
        first_token_s=pl.lit(None, pl.Float64),
        last_token_s=pl.lit(None, pl.Float64),
        sent_s=pl.lit(None, pl.Float64),
    )
    none = replace(stage.whole.ttft, count=0, mean=None, p50=None, p90=None, p95=None, p99=None, max=None)
    whole = replace(stage.whole, ok=0, by_outcome={"connect_error": 8}, ttft=none, tpot=none, itl=none, e2e=none)
    failed = replace(stage, frame=nothing, whole=whole, steady=None, unsteady="too few requests", server=None)
    page = read_page(render_page(replace(result, stages=(failed,), requests=nothing.select(result.requests.columns))))
    assert "Nothing was answered" in page.text
    assert "0 of 8 requests ended ok" in page.text
    empty = read_page(render_page(replace(result, stages=(), requests=result.requests.clear())))
    assert "No request was sent." in empty.text


def test_texts_of_the_endpoint_are_shown_not_interpreted() -> None:
    result = load_result([{"type": "concurrency", "streams": 4, "requests": 40}])
    bad = result.requests.with_columns(
        error=pl.when(pl.col("outcome") != "ok").then(pl.lit("<script>alert(1)</script>")).otherwise(pl.lit(""))
    )
    html = render_page(replace(result, requests=bad, endpoint=replace(endpoint(), model="<b>m</b>")))
    assert "<script>" not in html
    assert "<b>m</b>" not in html
    assert "<script>alert(1)</script>" in read_page(html).text


def test_many_requests_are_thinned_for_drawing_and_that_is_said() -> None:
    result = load_result([{"type": "constant", "rate": 500, "duration_s": 60}], requests=30_000)
    html = render_page(result)
    assert len(html.encode()) < MOST_BYTES / 5
    assert "1,500 of 29,2" in read_page(html).text


def test_how_to_replay_is_a_command_where_the_tape_was_kept() -> None:
    assert "--tape here/tape" in read_page(render_page(load_result(), replay="vllm-quality --tape here/tape")).text
    assert "The tape was not saved" in read_page(render_page(load_result())).text


def test_the_probes_of_a_capacity_search_are_shown_with_their_rates_and_the_one_that_held_is_the_headline() -> None:
    rates = [{"type": "poisson", "rate": rate, "duration_s": 10, "name": f"probe-{rate}"} for rate in (4, 8, 16)]
    result = load_result(rates, requests=60, plateau=None, capacity=capacity())
    probes = tuple(replace(stage, probe=True) for stage in result.stages)
    page = read_page(render_page(replace(result, stages=probes)))
    assert "Key figures at probe-8 (8/s), the highest rate that held" in page.of["h2"]
    assert "probe-16 (16/s)" in page.text
    assert "Capacity search" in page.text
