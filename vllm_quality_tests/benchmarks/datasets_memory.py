"""How much memory does a data set take that is larger than it? Peak RSS of freezing and of importing generated JSON lines.

    nice python -m vllm_quality_tests.benchmarks.datasets_memory --rows 100000 --row-bytes 20000 --short-rows 3000000

import  long rows, one in fifty nearly a copy of another, into the object store
sample  many short rows into the object store, of which 50,000 are drawn
freeze  the long rows into a snapshot: read, spooled, searched for duplicates, written
Each runs in a process of its own; "anonymous" is what it cannot give back, without the pages of files that it has mapped.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm_quality.datasets.progress import Progress

_WORDS = 20_000
_SAMPLE = 50_000


def main() -> None:
    """Generate, run both in processes of their own, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--row-bytes", type=int, default=20_000)
    parser.add_argument("--short-rows", type=int, default=3_000_000)
    parser.add_argument(
        "--runs", nargs="+", choices=["import", "sample", "freeze"], default=["import", "sample", "freeze"]
    )
    parser.add_argument("--pii", choices=["keep", "anonymise"], default="keep")
    parser.add_argument("--child", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.child[0], Path(options.child[1]), options.pii)
        return
    print("| run | rows | file MB | peak RSS MB | of it anonymous MB | peak / file | CPU s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for what in options.runs:
        rows, size = (options.short_rows, 80) if what == "sample" else (options.rows, options.row_bytes)
        with tempfile.TemporaryDirectory() as folder:
            _measure(what, rows, size, options.pii, Path(folder))


def _measure(what: str, rows: int, row_bytes: int, pii: str, folder: Path) -> None:
    path = folder / "rows.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(_rows(rows, row_bytes))
    command = [sys.executable, "-m", __spec__.name, f"--pii={pii}", "--child", what, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    size_mb = path.stat().st_size / 1e6
    print(
        f"| {what} | {rows:,} | {size_mb:,.0f} | {found['peak_mb']:,.0f} | {found['anonymous_mb']:,.0f} | "
        f"{found['peak_mb'] / size_mb:.2f} | {found['cpu_s']:,.0f} |",
        flush=True,
    )


def _rows(count: int, size: int) -> Iterator[str]:
    """JSON lines of about `size` bytes; one in fifty repeats an earlier one with a few words changed."""
    rng = random.Random(1)
    words = [
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz가나다라마바사", k=rng.randint(3, 8))) for _ in range(_WORDS)
    ]
    # Put together from ready-made passages, which is faster; two rows share few of them.
    passage = max(1, min(100, size // 32))
    passages = [" ".join(rng.choices(words, k=passage)) for _ in range(_WORDS)]
    earlier = list[list[str]]()
    for number in range(count):
        chosen = rng.choices(passages, k=max(3, size // (8 * passage)))
        if number % 50 == 49:
            chosen = rng.choice(earlier).copy()
            chosen[rng.randrange(len(chosen))] += f" {rng.choice(words)}"
        if number % 500 == 0:
            earlier.append(chosen)
        yield json.dumps({"input": " ".join(chosen), "reference": str(number)}, ensure_ascii=False) + "\n"


def _child(what: str, folder: Path, pii: str) -> None:
    highest, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            highest[0] = max(highest[0], _anonymous_kb())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    if what == "freeze":
        _freeze(folder, pii)
    else:
        _import(folder, pii, _SAMPLE if what == "sample" else None)
    stop.set()
    thread.join()
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "peak_mb": used.ru_maxrss / 1024,
        "anonymous_mb": highest[0] / 1024,
        "cpu_s": used.ru_utime + used.ru_stime,
    }
    print(json.dumps(found))


def _anonymous_kb() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0


def _freeze(folder: Path, pii: str) -> None:
    from vllm_quality.datasets.description import Description
    from vllm_quality.datasets.freeze import Freezing, build_snapshot
    from vllm_quality.datasets.registry import DatasetFolder
    from vllm_quality.results.objects import FileObjects

    about = Description(format="jsonl", language="mul", role="golden", licence="CC0-1.0", pii=pii)
    source = DatasetFolder("long", folder, about)
    build_snapshot([source], FileObjects(folder / "objects"), Freezing(work=folder / "work", progress=_tell()))


def _import(folder: Path, pii: str, drawn: int | None) -> None:
    from vllm_quality.datasets.catalogue.adding import SourceOptions
    from vllm_quality.datasets.catalogue.importing import import_set
    from vllm_quality.datasets.catalogue.sources import from_files
    from vllm_quality.datasets.description import Sample
    from vllm_quality.results.objects import FileObjects

    options = SourceOptions(format="jsonl", language="mul", role="traffic", licence="CC0-1.0", pii=pii)  # type: ignore[arg-type]  # argparse checks it
    sample = Sample(size=drawn) if drawn else None
    what = from_files("rows", [folder / "rows.jsonl"], options, sample)
    import_set(what, FileObjects(folder / "objects"), work=folder / "work", by="benchmark", progress=_tell())


def _tell() -> "Progress":
    start, last = time.monotonic(), [""]

    def tell(stage: str, done: int, of: int) -> None:
        if stage != last[0]:
            last[0] = stage
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{time.monotonic() - start:6.0f} s, peak {peak:,.0f} MB: {stage}", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    main()
