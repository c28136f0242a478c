"""How much memory does a run take? A million requests of 200 tokens, through the records to their figures.

    python -m vllm_quality_tests.benchmarks.memory --requests 1000000 --tokens 200

Bodies and answers are not kept by a run: bodies are on the tape's files, answers are read as they end. What grows with the
requests is their records, and the frame and the figures made of them; all of that is done here, with answers made up.
"""

import argparse
import resource
import tempfile
import time
from array import array
from itertools import accumulate
from pathlib import Path

from vllm_quality.load.figures.metrics import figures_of
from vllm_quality.load.figures.records import Records, merge_records
from vllm_quality.load.tape import Entry
from vllm_quality.load.wire.answer import Answer
from vllm_quality.load.wire.exchange import Exchange

_ITL_S = 0.01


def peak_mb() -> float:
    """The most memory that this process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Fill, finish, merge, compute; print the peak after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=200)
    options = parser.parse_args()
    print(f"imports: {peak_mb():,.0f} MB")
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        records = Records("memory", "all", 0.0, Path(folder))
        for index in range(options.requests):
            _add(records, index, options.tokens)
        print(f"records of {len(records):,} requests: {peak_mb():,.0f} MB, {time.monotonic() - start:.0f} s")
        files = records.finish()
        del records
        print(f"written: {peak_mb():,.0f} MB, {time.monotonic() - start:.0f} s")
        frame, gaps = merge_records([files])
        print(f"merged: {peak_mb():,.0f} MB, {time.monotonic() - start:.0f} s")
        figures = figures_of(frame, gaps, open_loop=True)
        print(f"figures: {peak_mb():,.0f} MB, {time.monotonic() - start:.0f} s; {figures.itl.count:,} gaps")


def _add(records: Records, index: int, tokens: int) -> None:
    """A request whose tokens are not evenly spaced, and whose figures differ from the one before it."""
    due = index / 1000
    sent = due + 0.0001 * (index % 7)
    gaps = (_ITL_S * (0.5 + ((index + number) % 11) / 10) for number in range(tokens - 1))
    times = array("d", accumulate(gaps, initial=sent + 0.05 + 0.001 * (index % 31)))
    exchange = Exchange(index, due, due, b"", lambda _: None)
    exchange.sent, exchange.headers, exchange.end, exchange.status = sent, sent + 0.01, times[-1], 200
    answer = Answer("ok", "", times, [1] * tokens, 512, tokens, True, "length", [])
    records.add(Entry(due, f"{index:016x}", b"", 512, index, 0, tokens), exchange, answer)


if __name__ == "__main__":
    main()
