"""Releases in a results store, as the pipeline leaves them: 1,500 items of a suite and 400 requests of a scenario."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import polars as pl

from vllm_quality.results.database import ResultStore
from vllm_quality.results.rows import REQUEST_SCHEMA
from vllm_quality.verdict.load_evidence import clocks
from vllm_quality_tests.results.samples import result_rows, run_row, samples_frame

ITEMS, REQUESTS = 1500, 400
RIGHT = tuple(float(at % 10 < 7) for at in range(ITEMS))
HASHES = {"load/baseline": "tape", "eval/piqa": "items"}


@dataclass(frozen=True)
class Told:
    """What a release did.

    scores   of the suite's items
    slower   all its times, by this factor
    seed     of what one run's times differ by from another's
    tape     which requests were sent
    also     further metrics
    chars    length of the answers
    belong   cluster and slices of an item, by its number
    row      of `runs`
    """

    scores: Sequence[float] = RIGHT
    slower: float = 1.0
    seed: int = 1
    tape: str = "a"
    also: Mapping[str, float] = field(default_factory=dict)
    chars: float = 100.0
    belong: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    row: Mapping[str, Any] = field(default_factory=dict)


def keep(store: ResultStore, run_id: str, told: Told | None = None) -> str:
    """Store a release whose tag is "tag-<run>"; the tag."""
    told, tag = told or Told(), f"tag-{run_id}"
    items, requests = items_of(told), requests_of(told)
    store.write_samples(run_id, tag, items)
    store.write_requests(run_id, tag, requests)
    store.write_results(result_rows(run_id, {**figures(told, requests), **told.also}, tag))
    store.write_run(run_row(run_id, **{"model_tag": tag, "step_hashes": HASHES, **told.row}))
    return tag


def items_of(told: Told) -> pl.DataFrame:
    """A row per item for its score, and one for the length of its answer."""
    alone = {"cluster": "", "slices": []}
    return samples_frame(
        [
            {"item_hash": f"item {at}", "metric": metric, "score": score, **alone, **told.belong.get(at, {})}
            for at, right in enumerate(told.scores)
            for metric, score in (("acc", right), ("answer_chars", told.chars + at % 7))
        ]
    )


def requests_of(told: Told) -> pl.DataFrame:
    """One second apart; a long tail, and noise of a tenth."""
    tape, noise = random.Random(told.tape), random.Random(told.seed)
    rows = []
    for at in range(REQUESTS):
        ttft = told.slower * (0.1 + tape.expovariate(10)) * noise.uniform(0.9, 1.1)
        tpot = told.slower * 0.02 * noise.uniform(0.9, 1.1)
        rows.append(
            {
                "scenario": "baseline",
                "stage": "0",
                "request_index": at,
                "due_s": float(at),
                "sent_s": float(at),
                "first_token_s": at + ttft,
                "last_token_s": at + ttft + 50 * tpot,
                "end_s": at + ttft + 50 * tpot,
                "output_tokens": 51,
                "outcome": "ok",
                "item": f"{told.tape} {at}",
            }
        )
    return pl.DataFrame(rows, schema=REQUEST_SCHEMA)


def figures(told: Told, requests: pl.DataFrame) -> dict[str, float]:
    """The metrics of both steps."""
    found = clocks(requests)
    shares = {"p50": 0.5, "p99": 0.99}
    stage = "load/baseline/0"
    times = {
        f"{stage}/{clock}_{name}_s": float(found[clock].quantile(share, "linear") or 0.0)
        for clock in ("ttft", "tpot")
        for name, share in shares.items()
    }
    return {
        **times,
        f"{stage}/output_tokens_per_s": 51 / told.slower,
        f"{stage}/success_ratio": 1.0,
        f"{stage}/goodput_ratio": 0.9 / told.slower,
        "load/baseline/capacity/rate_per_s": 8 / told.slower,
        "eval/piqa/acc": fmean(told.scores),
        "eval/piqa/items_count": float(ITEMS),
        "eval/piqa/answer_chars": fmean(told.chars + at % 7 for at in range(len(told.scores))),
        "pipeline/run_s": 60.0,
    }
