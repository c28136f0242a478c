"""The server's own figures of a stage, from scrapes of its /metrics, and whether the client's agree with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from vllm_quality.load.figures.prometheus import Histogram, ServerState, parse_metrics
from vllm_quality.load.result import ServerFigures

__all__ = ["Scrape", "parse_metrics", "server_figures"]

_SAME_REQUESTS = 0.02
_SAME_TOKENS = 0.02
_SAME_TTFT, _SAME_TTFT_S = 0.10, 0.005


@dataclass(frozen=True)
class Scrape:
    """What the server said, and when, in `perf_counter` seconds."""

    at: float
    state: ServerState


def server_figures(
    scrapes: Sequence[Scrape], started: float, ended: float, frame: pl.DataFrame
) -> ServerFigures | None:
    """What the server counted from the last scrape before a stage to the first one after it; None without both ends.

    scrapes          of the run, in order of time; where none is after the stage's end, the last one is taken
    started, ended   `perf_counter` seconds of the stage
    frame            its requests as the client saw them, `records.RECORD_SCHEMA`

    `requests` is how many got a first token, where the server tells; 0 where it does not count requests.
    """
    inside = _around(scrapes, started, ended)
    if len(inside) < 2:
        return None
    first, last = inside[0].state, inside[-1].state
    restarted = any(_fell(before.state, after.state) for before, after in pairwise(inside))
    since = {} if restarted else dict(_since(first, last))
    during = [scrape for scrape in inside if started <= scrape.at <= ended]
    counted = next((since[name].count for name in ("ttft", "e2e") if name in since), 0.0)
    output = None if restarted else _counted(first, last, "output_tokens")
    ttft = since.get("ttft", Histogram())
    series: dict[str, list[float | None]] = {"at_s": [scrape.at - started for scrape in during]}
    for name in ("running", "waiting", "kv_cache"):
        series[name] = [scrape.state.gauges.get(name) for scrape in during]
    told = ServerFigures(
        requests=round(counted),
        ttft_mean_s=ttft.mean,
        queue_mean_s=since.get("queue", Histogram()).mean,
        e2e_mean_s=since.get("e2e", Histogram()).mean,
        itl_mean_s=since.get("itl", Histogram()).mean,
        output_tokens=output,
        running_max=_most(series["running"]),
        waiting_max=_most(series["waiting"]),
        kv_cache_max=_most(series["kv_cache"]),
        series=series,
        ttft_buckets=tuple(sorted(ttft.buckets.items())),
        disagreement=None,
    )
    sentence = (
        "The server started anew during the stage: its counters fell back." if restarted else _disagreement(told, frame)
    )
    return ServerFigures(**{**vars(told), "disagreement": sentence})


def _around(scrapes: Sequence[Scrape], started: float, ended: float) -> Sequence[Scrape]:
    first = max((place for place, scrape in enumerate(scrapes) if scrape.at <= started), default=None)
    if first is None:
        return []
    behind = next((place for place, scrape in enumerate(scrapes) if scrape.at >= ended), len(scrapes) - 1)
    return scrapes[first : behind + 1]


def _fell(before: ServerState, after: ServerState) -> bool:
    """Whether anything that only rises fell. A server that has just started tells no histogram that is empty."""
    counters = any(after.counters.get(name, 0.0) < value for name, value in before.counters.items())
    empty = Histogram()
    return counters or any(
        after.histograms.get(name, empty).count < histogram.count for name, histogram in before.histograms.items()
    )


def _since(first: ServerState, last: ServerState) -> Iterator[tuple[str, Histogram]]:
    for name, histogram in last.histograms.items():
        yield name, histogram.since(first.histograms.get(name, Histogram()))


def _counted(first: ServerState, last: ServerState, name: str) -> int | None:
    if name not in last.counters:
        return None
    return round(last.counters[name] - first.counters.get(name, 0.0))


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _disagreement(server: ServerFigures, frame: pl.DataFrame) -> str | None:
    """One sentence where both cannot be right, the cause that explains most first."""
    ok = frame.filter(pl.col("outcome") == "ok")
    sent, here, there = frame.height, ok.height, server.requests
    slack = max(1.0, _SAME_REQUESTS * sent)
    if there > sent + slack:
        return f"The server counted {there} requests where {sent} were sent: others used it at the same time."
    if there and there < here - slack:
        return (
            f"The server counted {there} requests where {here} were answered: its /metrics shows a part of what is behind "
            "the address, such as one of several replicas."
        )
    tokens = int(ok["output_tokens"].sum())
    # What was generated for requests that failed or were given up is in the server's count alone.
    comparable = server.output_tokens is not None and here == sent and tokens
    if comparable and abs((server.output_tokens or 0) - tokens) > _SAME_TOKENS * tokens + 1:
        how = "" if ok["counted"].all() else ", where the server gave no count with its answers"
        return f"The server counted {server.output_tokens} output tokens and this client {tokens}{how}."
    return _ttft_disagreement(server, ok) if abs(there - here) <= slack else None


def _ttft_disagreement(server: ServerFigures, ok: pl.DataFrame) -> str | None:
    here, there = (ok["first_token_s"] - ok["sent_s"]).mean(), server.ttft_mean_s
    if not isinstance(here, float) or there is None:
        return None
    if abs(here - there) <= max(_SAME_TTFT * there, _SAME_TTFT_S):
        return None
    why = (
        "what is between them, such as a proxy, or the client itself holds answers up"
        if here > there
        else "the server's clock starts before a request is sent"
    )
    return f"The mean TTFT is {here * 1000:.1f} ms here and {there * 1000:.1f} ms by the server's own count: {why}."
