"""The server's own figures, and when they cannot both be right."""

import random

import polars as pl
import pytest

from vllm_quality.load.figures.prometheus import Histogram, ServerState
from vllm_quality.load.figures.server import Scrape, server_figures
from vllm_quality.load.result import ServerFigures
from vllm_quality_tests.load.figures.queueing import TOKENS, TTFT_S, closed_loop, even

# 100 requests of one second; the stage begins at 500 on the process's clock. Before it the server had served 40 others.
FRAME = closed_loop(10, None, even(), random.Random(0), requests=100)
START, END = 500.0, 512.0


def state(requests: float, tokens: float, *, ttft: float = TTFT_S, running: float = 0) -> ServerState:
    def histogram(mean: float) -> Histogram:
        return Histogram(mean * requests, requests, {0.1: requests, float("inf"): requests})

    return ServerState(
        {"running": running, "waiting": 0.0, "kv_cache": running / 100},
        {"output_tokens": tokens},
        {"ttft": histogram(ttft), "queue": histogram(0.01), "e2e": histogram(1.0), "itl": histogram(0.05)},
    )


def told(
    *, requests: float = 100, tokens: float = 100 * TOKENS, ttft: float = TTFT_S, frame: pl.DataFrame = FRAME
) -> ServerFigures:
    scrapes = [
        Scrape(START - 60, state(0, 0)),
        Scrape(START - 0.1, state(40, 800)),
        Scrape(START + 5, state(80, 1500, running=10)),
        Scrape(START + 6, state(90, 1700, running=8)),
        Scrape(END + 0.1, _after(state(40, 800), requests, tokens, ttft)),
        Scrape(END + 60, state(900, 90_000)),
    ]
    figures = server_figures(scrapes, START, END, frame)
    assert figures is not None
    return figures


def _after(before: ServerState, requests: float, tokens: float, ttft: float) -> ServerState:
    more = state(requests, tokens, ttft=ttft)
    added = {
        name: Histogram(
            before.histograms[name].sum + histogram.sum,
            before.histograms[name].count + histogram.count,
            {bound: before.histograms[name].buckets[bound] + count for bound, count in histogram.buckets.items()},
        )
        for name, histogram in more.histograms.items()
    }
    return ServerState(more.gauges, {"output_tokens": 800 + tokens}, added)


def test_only_what_happened_between_the_stages_ends_counts() -> None:
    figures = told()
    assert figures.requests == 100
    assert figures.output_tokens == 100 * TOKENS
    assert figures.ttft_mean_s == pytest.approx(TTFT_S)
    assert figures.queue_mean_s == pytest.approx(0.01)
    assert figures.e2e_mean_s == pytest.approx(1.0)
    assert figures.itl_mean_s == pytest.approx(0.05)
    assert figures.ttft_buckets == ((0.1, 100), (float("inf"), 100))
    assert figures.disagreement is None


def test_the_series_is_of_the_stage_alone() -> None:
    figures = told()
    assert figures.series["at_s"] == [5, 6]
    assert figures.series["running"] == [10, 8]
    assert (figures.running_max, figures.waiting_max, figures.kv_cache_max) == (10, 0, 0.1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"requests": 130}, "The server counted 130 requests where 100 were sent: others used it at the same time."),
        ({"requests": 50, "tokens": 1000}, "The server counted 50 requests where 100 were answered"),
        ({"tokens": 4000}, "The server counted 4000 output tokens and this client 2000."),
        ({"ttft": 0.03}, "The mean TTFT is 50.0 ms here and 30.0 ms by the server's own count: what is between them"),
        ({"ttft": 0.2}, "The mean TTFT is 50.0 ms here and 200.0 ms by the server's own count: the server's clock"),
        ({"ttft": 0.046}, None),  # within 5 ms
        ({"requests": 101}, None),
        ({"tokens": 2030}, None),
    ],
)
def test_what_cannot_both_be_right_is_said(changes: dict[str, float], said: str | None) -> None:
    disagreement = told(**changes).disagreement  # type: ignore[arg-type]
    if said is None:
        assert disagreement is None
    else:
        assert disagreement is not None
        assert disagreement.startswith(said)


def test_ttft_is_not_held_against_each_other_where_requests_differ() -> None:
    failed = FRAME.with_columns(
        outcome=pl.when(pl.col("request_index") < 30).then(pl.lit("timeout")).otherwise("outcome")
    )
    assert told(ttft=0.5, frame=failed).disagreement is None


def test_tokens_that_the_server_did_not_count_in_its_answers_are_named() -> None:
    disagreement = told(tokens=4000, frame=FRAME.with_columns(counted=pl.lit(False))).disagreement
    assert disagreement is not None
    assert disagreement.endswith("this client 2000, where the server gave no count with its answers.")


def test_a_restart_is_seen() -> None:
    scrapes = [Scrape(START - 1, state(40, 800)), Scrape(START + 5, state(2, 40)), Scrape(END + 1, state(90, 1800))]
    figures = server_figures(scrapes, START, END, FRAME)
    assert figures is not None
    assert figures.disagreement == "The server started anew during the stage: its counters fell back."
    assert (figures.ttft_mean_s, figures.output_tokens) == (None, None)


def test_without_a_scrape_before_and_after_there_is_nothing_to_tell() -> None:
    assert server_figures([], START, END, FRAME) is None
    assert server_figures([Scrape(START - 1, state(40, 800))], START, END, FRAME) is None
    assert server_figures([Scrape(START + 1, state(1, 20)), Scrape(END, state(9, 180))], START, END, FRAME) is None


def test_a_server_without_histograms_tells_what_it_has() -> None:
    quiet = [
        Scrape(at, ServerState({"running": 2.0}, {"output_tokens": tokens}, {}))
        for at, tokens in ((START, 0), (END, 2000))
    ]
    figures = server_figures(quiet, START, END, FRAME)
    assert figures is not None
    assert (figures.requests, figures.ttft_mean_s, figures.output_tokens) == (0, None, 2000)
    assert figures.series["kv_cache"] == [None, None]
    assert figures.disagreement is None
