"""How much of what is near does the search find, how fast, and how does that compare with datasketch's own way? Side by side.

    python -m vllm_quality_tests.benchmarks.dedup --size 20000 --against --bank 100000 --growth 20000,50000,100000,200000

Texts are made up (see `corpus`). The truth is brute force: up to 20,000 texts by rapidfuzz, everything with everything of
similar length; above, by the exact filter of `vllm_quality.datasets.dedup.near.every`, which the truth at 20,000 is compared with.
Each contender runs in a process of its own, which is what its peak memory and CPU time are of; `RSS` is without the texts'
making. Of --repeats runs, the one with the least wall time is shown: others on the machine only ever add.

Contenders: this project's search; datasketch's `MinHash.bulk` on character 4-grams and its `MinHashLSH` of 128 bands of 3
(384 permutations, what it needs for this recall), its candidates verified by the same function; datasketch as its
documentation has it (5-grams, threshold 0.8), likewise verified.
"""

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vllm_quality_tests.benchmarks.corpus import KINDS, Corpus, make_corpus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TIMEOUT_S = 3600
_FORCE = 20_000
Pairs = set[tuple[int, int]]


@dataclass(frozen=True)
class Run:
    """What one contender took and found."""

    name: str
    texts: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    found: str  # file of pairs, 2 x n


def _ours(texts: Sequence[str]) -> "NDArray[np.int64]":
    import numpy as np

    from vllm_quality.datasets.dedup.near.search import find_near_pairs

    found = find_near_pairs(texts, kind="lsh")
    return np.stack([found.first, found.second])


def _datasketch(grams: int, bands: int, rows: int) -> "Callable[[Sequence[str]], NDArray[np.int64]]":
    def search(texts: Sequence[str]) -> "NDArray[np.int64]":
        import numpy as np
        from datasketch import MinHash, MinHashLSH

        from vllm_quality.datasets.dedup.near.texts import rank_texts
        from vllm_quality.datasets.dedup.near.verify import cores, near_ones
        from vllm_quality.datasets.dedup.threshold import USUAL

        shingles = ([text[at : at + grams].encode() for at in range(len(text) - grams + 1)] for text in texts)
        index = MinHashLSH(num_perm=bands * rows, params=(bands, rows))
        pairs: list[tuple[int, int]] = []
        ranked = rank_texts(texts)
        rank = {position: at for at, position in enumerate(ranked.order.tolist())}
        ends = ranked.ends(USUAL).tolist()
        for position, signature in enumerate(MinHash.bulk(shingles, num_perm=bands * rows)):
            for other in index.query(signature):
                low, high = sorted((rank[position], rank[other]))
                if high < ends[low]:
                    pairs.append((low, high))
            index.insert(position, signature, check_duplication=False)
        left, right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        found = near_ones(ranked, ranked, left, right, USUAL, cores())
        return np.sort(ranked.order[found[:2]], axis=0)

    return search


CONTENDERS: "dict[str, Callable[[Sequence[str]], NDArray[np.int64]]]" = {
    "vllm_quality": _ours,
    "datasketch bulk + MinHashLSH, 4-grams, 128 x 3": _datasketch(4, 128, 3),
    "datasketch as documented, 5-grams, 9 x 13": _datasketch(5, 9, 13),
}


def play(name: str, size: int, seed: int, folder: Path, repeats: int) -> Run:
    """One contender on one corpus, in processes of its own."""
    runs = []
    for _ in range(repeats):
        command = [sys.executable, "-m", __spec__.name, "--child", name, "--size", str(size), "--seed", str(seed)]
        done = subprocess.run(
            [*command, "--out", str(folder)], stdout=subprocess.PIPE, text=True, timeout=_TIMEOUT_S, check=False
        )
        if done.returncode:
            sys.exit(f"{name} ended with {done.returncode}")
        runs.append(Run(**json.loads(done.stdout)))
        print(f"{name}, {size:,} texts: {runs[-1].wall_s:.2f} s, {runs[-1].cpu_s:.2f} s of CPU", file=sys.stderr)
    return min(runs, key=lambda run: run.wall_s)


def _child(name: str, size: int, seed: int, folder: Path) -> None:
    import numpy as np

    texts = make_corpus(size, seed).texts
    if name != "bank":
        search = CONTENDERS[name]
        search(texts[:200])  # imports
        wall, cpu = time.perf_counter(), _cpu()
        found = search(texts)
        wall, cpu = time.perf_counter() - wall, _cpu() - cpu
    else:
        wall, cpu, found = _ask_bank(texts, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    path = folder / f"{list(CONTENDERS).index(name) if name in CONTENDERS else name}-{size}.npy"
    np.save(path, found)
    print(json.dumps(asdict(Run(name, size, wall, cpu, peak, str(path)))))


def _ask_bank(texts: Sequence[str], folder: Path) -> "tuple[float, float, NDArray[np.int64]]":
    """A thousand texts against a saved bank of the others: opening it, and asking."""
    import numpy as np

    from vllm_quality.datasets.dedup.near.bank import build_bank, load_bank

    asked, known = texts[:1000], texts[1000:]
    path = folder / "bank"
    if not path.exists():
        build_bank([str(at) for at in range(len(known))], known).save(path)
    load_bank(path).query(asked[:10])  # imports
    wall, cpu = time.perf_counter(), _cpu()
    found = load_bank(path).query(asked)
    return time.perf_counter() - wall, _cpu() - cpu, np.stack([found.query, found.banked + 1000])


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def truth_of(texts: Sequence[str], force: int = _FORCE) -> Pairs:
    """All near pairs: by rapidfuzz up to `force` texts, by the exact filter above."""
    from vllm_quality.datasets.dedup.near.collected import BOUNDS
    from vllm_quality.datasets.dedup.near.search import find_near_pairs
    from vllm_quality.datasets.dedup.near.texts import rank_texts, reach
    from vllm_quality.datasets.dedup.near.verify import cores, near_block
    from vllm_quality.datasets.dedup.threshold import USUAL

    if len(texts) > force:
        # Without the bound on crowds: the truth keeps the pairs of texts that resemble thousands of others.
        found = find_near_pairs(texts, kind="exact", bounds=replace(BOUNDS, crowd=len(texts)))
        return set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    import numpy as np

    ranked = rank_texts(texts)
    last = reach(ranked.lengths, ranked.lengths, USUAL)[1]
    pairs: Pairs = set()
    for part in near_block(ranked, ranked, np.arange(len(ranked)) + 1, last, USUAL, cores()):
        one, other = ranked.order[part[0]], ranked.order[part[1]]
        pairs |= set(zip(np.minimum(one, other).tolist(), np.maximum(one, other).tolist(), strict=True))
    return pairs


def pairs_of(run: Run) -> Pairs:
    """What a contender found."""
    import numpy as np

    first, second = np.load(run.found)
    return set(zip(first.tolist(), second.tolist(), strict=True))


def recall_cells(found: Pairs, truth: Pairs, corpus: Corpus) -> list[str]:
    """Recall: of all, of each kind of planted edit; then precision."""
    kinds = {(min(one.copy, one.base), max(one.copy, one.base)): one.kind for one in corpus.planted}
    cells = [_share(len(found & truth), len(truth))]
    for kind in KINDS:
        of_kind = {pair for pair in truth if kinds.get(pair) == kind}
        cells.append(_share(len(found & of_kind), len(of_kind)))
    return [*cells, _share(len(found & truth), len(found))]


def _share(some: int, all_of_it: int) -> str:
    return f"{some / all_of_it:.4f}" if all_of_it else "–"


def table(runs: Sequence[Run], truth: Pairs, corpus: Corpus) -> str:
    """Contenders in rows; ratios are to the first."""
    head = ["contender", "wall s", "CPU s", "ratio (wall)", "ratio (CPU)", "peak MB", "recall", *KINDS, "precision"]
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    for run in runs:
        ratios = [f"{run.wall_s / runs[0].wall_s:.1f}", f"{run.cpu_s / runs[0].cpu_s:.1f}"]
        cells = [run.name, f"{run.wall_s:.2f}", f"{run.cpu_s:.2f}", *ratios, f"{run.peak_mb:.0f}"]
        lines.append(f"| {' | '.join([*cells, *recall_cells(pairs_of(run), truth, corpus)])} |")
    return "\n".join(lines)


def growth_table(runs: Sequence[Run]) -> str:
    """Time by size; the exponent is that of the step from the row before."""
    lines = ["| texts | wall s | CPU s | exponent (CPU) | peak MB |", "|---:|---:|---:|---:|---:|"]
    for before, run in zip([None, *runs], runs, strict=False):
        grown = math.log(run.cpu_s / before.cpu_s) / math.log(run.texts / before.texts) if before else math.nan
        exponent = "–" if math.isnan(grown) else f"{grown:.2f}"
        lines.append(f"| {run.texts:,} | {run.wall_s:.2f} | {run.cpu_s:.2f} | {exponent} | {run.peak_mb:.0f} |")
    if len(runs) > 1:
        whole = math.log(runs[-1].cpu_s / runs[0].cpu_s) / math.log(runs[-1].texts / runs[0].texts)
        lines.append(
            f"\nFrom {runs[0].texts:,} to {runs[-1].texts:,} texts, CPU time grows with the power {whole:.2f}."
        )
    return "\n".join(lines)


def _side_by_side(options: argparse.Namespace, folder: Path) -> None:
    corpus = make_corpus(options.size, options.seed)
    names = list(CONTENDERS) if options.against else ["vllm_quality"]
    runs = [play(name, options.size, options.seed, folder, options.repeats) for name in names]
    truth = truth_of(corpus.texts, options.force)
    how = "rapidfuzz, all with all" if options.size <= options.force else "the exact filter"
    print(f"## {options.size:,} texts; {len(truth):,} near pairs by {how}\n\n{table(runs, truth, corpus)}\n")


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=20_000, help="texts of the comparison")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--against", action="store_true", help="datasketch's own ways as well")
    parser.add_argument(
        "--force", type=int, default=_FORCE, help="up to so many texts, the truth is by rapidfuzz alone"
    )
    parser.add_argument("--bank", type=int, default=0, help="texts of the bank that 1,000 are compared with")
    parser.add_argument("--growth", default="", help="sizes, separated by commas")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    parser.add_argument("--out", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.child, options.size, options.seed, Path(options.out))
        return
    machine = f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}"
    print(f"Levenshtein distance below 0.2 of the longer text; {machine}, least of {options.repeats}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _side_by_side(options, folder)
        if options.bank:
            run = play("bank", options.bank + 1000, options.seed, folder, max(2, options.repeats))
            print(
                f"## 1,000 texts against a bank of {options.bank:,}\n\nOpened and asked in {run.wall_s:.2f} s "
                f"({run.cpu_s:.2f} s of CPU); {len(pairs_of(run)):,} near pairs.\n"
            )
        if options.growth:
            sizes = [int(size) for size in options.growth.split(",")]
            runs = [play("vllm_quality", size, options.seed, folder, options.repeats) for size in sizes]
            print(f"## Growth\n\n{growth_table(runs)}")


if __name__ == "__main__":
    main()
