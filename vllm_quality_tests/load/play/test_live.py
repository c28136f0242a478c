from time import perf_counter
from typing import Any

import pytest

from vllm_quality.load.play.live import Live
from vllm_quality.load.result import Snapshot


def message(sent: int, ended: dict[str, int], recent: list[tuple[float, float, float, int]]) -> dict[str, Any]:
    return {"sent": sent, "in_flight": sent - sum(ended.values()), "ended": ended, "recent": recent, "lags": [0.001]}


def test_the_workers_are_told_of_as_one() -> None:
    told: list[Snapshot] = []
    live = Live(told.append, "rate-5", 2, 3, 40)
    now = perf_counter()
    live.hear(0, message(6, {"ok": 4, "timeout": 1}, [(now, 0.1, 0.01, 20)]))
    live.hear(1, message(5, {"ok": 3}, [(now, 0.3, 0.02, 40)]))
    live.poll()
    (snapshot,) = told
    assert (snapshot.part, snapshot.part_number, snapshot.parts, snapshot.planned) == ("rate-5", 2, 3, 40)
    assert (snapshot.sent, snapshot.in_flight, snapshot.done) == (11, 3, 8)
    assert snapshot.by_outcome == {"ok": 7, "timeout": 1}
    assert (snapshot.ttft_p50_s, snapshot.ttft_p99_s, snapshot.tpot_p99_s) == (0.3, 0.3, 0.02)
    assert snapshot.output_tokens_per_s == pytest.approx(snapshot.requests_per_s * 30)
    assert snapshot.lag_p99_s == 0.001


def test_what_is_older_than_some_seconds_is_forgotten() -> None:
    told: list[Snapshot] = []
    live = Live(told.append, "rate-5", 1, 1, None)
    live.hear(0, message(1, {"ok": 1}, [(perf_counter() - 60, 9.0, 0.9, 20)]))
    live.poll()
    assert told[-1].ttft_p50_s is None
    assert told[-1].output_tokens_per_s == 0
