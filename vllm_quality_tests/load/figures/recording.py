"""Requests by hand, recorded as a worker records them."""

from array import array
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from vllm_quality.load.figures.metrics import figures_of, stage_metrics
from vllm_quality.load.figures.records import Records, RecordsFiles, merge_records
from vllm_quality.load.result import Figures, Gaps
from vllm_quality.load.scenario import Slo
from vllm_quality.load.tape import Entry
from vllm_quality.load.wire.answer import Answer
from vllm_quality.load.wire.exchange import Exchange, Outcome

START = 1000.0


class Recorder:
    """A stage's records, its clock starting at `START`, and what is made of them."""

    def __init__(self, folder: Path, stage: str = "rate-1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.records = Records("s", stage, START, folder)

    def add(
        self,
        due: float,
        times: Sequence[float] = (),
        *,
        index: int | None = None,
        sent: float | None = None,
        end: float | None = None,
        counts: Sequence[int] = (),
        output: int | None = None,
        outcome: Outcome = "ok",
        error: str = "",
        text: str = "",
        entry: Entry | None = None,
        lap: int = 0,
    ) -> None:
        """One request; times count from the stage's start, and it ends with its last token unless said otherwise."""
        index = len(self.records) if index is None else index
        exchange = Exchange(index, START + due, START + due + 0.001, b"", lambda _: None, lap)
        exchange.sent = START + (due + 0.002 if sent is None else sent)
        exchange.end = START + (end if end is not None else times[-1] if times else due + 0.5)
        exchange.status = 200
        answer = Answer(
            outcome=outcome,
            error=error,
            token_times=array("d", [START + time for time in times]),
            chunk_tokens=list(counts),
            prompt_tokens=None,
            output_tokens=len(times) or None if output is None else output,
            usage=output is not None or bool(counts),
            finish_reason=None,
            pieces=[text.encode()],
        )
        self.records.add(entry or Entry(due, f"item{index}", b"{}", 7, index, 0, 3), exchange, answer)

    def finish(self) -> RecordsFiles:
        """The files."""
        return self.records.finish()

    def merged(self) -> tuple[pl.DataFrame, Gaps]:
        """(frame, gaps) of this worker alone."""
        return merge_records([self.finish()])

    def figures(
        self, *, open_loop: bool = True, slo: Slo | None = None, window: tuple[float, float] | None = None
    ) -> Figures:
        """The stage's figures."""
        frame, gaps = self.merged()
        return figures_of(frame, gaps, open_loop=open_loop, slo=slo, window=window)

    def metrics(self, *, open_loop: bool = True) -> dict[str, float]:
        """The stage's rows."""
        return stage_metrics(self.figures(open_loop=open_loop))


def three(folder: Path) -> Recorder:
    """Two that succeeded and one that did not."""
    recorder = Recorder(folder)
    recorder.add(0.0, [0.1, 0.2, 0.4])
    recorder.add(1.0, [1.3, 1.4, 1.5, 1.6, 2.0], sent=1.2)
    recorder.add(2.0, [2.5], outcome="truncated", error="cut")
    return recorder
