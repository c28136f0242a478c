"""What a run looks like while it goes on: the workers' messages of the last seconds, put together."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from vllm_quality.load.result import Snapshot

_WINDOW_S = 5.0

OnProgress = Callable[[Snapshot], None]


class Live:
    """Takes the workers' progress messages of one part of a run (a stage, mostly) and tells `Snapshot`s."""

    def __init__(self, tell: OnProgress | None, part: str, number: int, parts: int | None, planned: int | None) -> None:
        self._tell, self._part, self._number, self._parts, self._planned = tell, part, number, parts, planned
        self._began = perf_counter()
        self._lanes: dict[int, dict[str, Any]] = {}
        # (end, ttft, tpot, output tokens) of requests, and (when heard, lag), both of the last seconds.
        self._recent: list[Sequence[Any]] = []
        self._lags: deque[tuple[float, float]] = deque()
        # (when, requests ended so far)
        self._ended: deque[tuple[float, int]] = deque([(self._began, 0)])

    def hear(self, lane: int, message: dict[str, Any]) -> None:
        """Take a worker's progress message."""
        now = perf_counter()
        self._lanes[lane] = message
        self._recent.extend(message["recent"])
        self._lags.extend((now, lag) for lag in message["lags"])

    def poll(self) -> None:
        """Tell how it stands."""
        if self._tell is None:
            return
        now = perf_counter()
        self._forget(now - _WINDOW_S)
        ended: Counter[str] = Counter()
        for message in self._lanes.values():
            ended.update(message["ended"])
        self._ended.append((now, ended.total()))
        since, before = self._ended[0]
        per_s = (ended.total() - before) / max(now - since, 1e-9)
        tokens = [sample[3] for sample in self._recent]
        ttft = [sample[1] for sample in self._recent if sample[1] is not None]
        tpot = [sample[2] for sample in self._recent if sample[2] is not None]
        self._tell(
            Snapshot(
                part=self._part,
                part_number=self._number,
                parts=self._parts,
                elapsed_s=now - self._began,
                planned=self._planned,
                sent=sum(message["sent"] for message in self._lanes.values()),
                in_flight=sum(message["in_flight"] for message in self._lanes.values()),
                by_outcome=dict(ended),
                requests_per_s=per_s,
                # Not every answer is read at once: those that were stand for the others.
                output_tokens_per_s=per_s * sum(tokens) / len(tokens) if tokens else 0.0,
                ttft_p50_s=_share(ttft, 0.5),
                ttft_p99_s=_share(ttft, 0.99),
                tpot_p50_s=_share(tpot, 0.5),
                tpot_p99_s=_share(tpot, 0.99),
                lag_p99_s=_share([lag for _, lag in self._lags], 0.99),
            )
        )

    def _forget(self, before: float) -> None:
        self._recent = [sample for sample in self._recent if sample[0] >= before]
        while self._lags and self._lags[0][0] < before:
            self._lags.popleft()
        while len(self._ended) > 1 and self._ended[1][0] < before:
            self._ended.popleft()


def _share(values: Sequence[float], share: float) -> float | None:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
