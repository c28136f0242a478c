"""Record the set of releases: a real small model on a real vLLM, damaged in many ways and left whole.

    nice python -m vllm_quality_tests.detection.record [--only NAME …] [--part 1/2] [--until HH:MM] [--again]

About four minutes a release on one core; `--part 1/2` and `--part 2/2` side by side use two. What is recorded already is
left alone without `--again`.
"""

import argparse
import os
import platform
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx

from vllm_quality.eval.lm_suite import run_suite
from vllm_quality.eval.result import SuiteResult
from vllm_quality.eval.suites import Suite
from vllm_quality.serving.endpoint import Endpoint, identify
from vllm_quality_tests.detection.manifest import save_manifest
from vllm_quality_tests.detection.recordings import (
    RECORDED,
    Items,
    Release,
    SuiteRun,
    load_items,
    save_items,
    save_release,
)
from vllm_quality_tests.detection.serving import MODEL, Server, server_of, shuffled
from vllm_quality_tests.detection.suites import SUITES, BenchSuite, ensure_suites, rows_of
from vllm_quality_tests.detection.variants import VARIANTS, Variant
from vllm_quality_tests.live.cache import say

CONCURRENCY = 16


def items_of(tasks: Path) -> dict[str, Items]:
    """The items of all suites, as the task files have them."""
    import hashlib

    found = {}
    for suite in SUITES:
        rows = dict(sorted(rows_of(tasks, suite).items()))
        clusters = [hashlib.sha256(str(row["cluster"]).encode()).hexdigest()[:10] for row in rows.values()]
        slices = [str(row["slice"]) for row in rows.values()]
        found[suite.name] = Items(suite.language, suite.metric, [name[:16] for name in rows], slices, clusters)
    return found


def record(variant: Variant, server: Server, tasks: Path, items: dict[str, Items]) -> Release:
    """Run every suite against the variant."""
    runs = {}
    with tempfile.TemporaryDirectory(prefix="vllm-quality-tasks-") as scratch, server.showing(variant) as base_url:
        own = shuffled(tasks, Path(scratch) / "tasks", variant.name)
        endpoint = identify(base_url, None, None, 120)
        version = httpx.get(f"{base_url}/version", timeout=30).json()["version"]
        for suite in (each for each in SUITES if not variant.suites or each.name in variant.suites):
            runs[suite.name] = run_one(suite, endpoint, own, items[suite.name])
            say(
                f"{variant.name}: {suite.name} {_accuracy(runs[suite.name], suite):.3f} in {runs[suite.name].seconds} s"
            )
    about = {
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": MODEL,
        "vllm": version,
        "dtype": "bfloat16",
        "concurrency": CONCURRENCY,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    return Release(variant.name, variant.expected, variant.kind, variant.parameters, about, runs)


def run_one(suite: BenchSuite, endpoint: Endpoint, tasks: Path, items: Items) -> SuiteRun:
    """One suite through the project's own runner."""
    started = time.monotonic()
    wanted = Suite(name=suite.name, include_path=tasks, mode=suite.mode, concurrency_probe={"full": 0})
    result = run_suite(wanted, endpoint, None, profile="full", concurrency=CONCURRENCY, timeout_s=300)
    return _compact(result, items, round(time.monotonic() - started, 1))


def _compact(result: SuiteResult, items: Items, seconds: float) -> SuiteRun:
    scores: dict[str, list[float | None]] = {}
    for metric in sorted(set(result.samples["metric"])):
        rows = [row for row in result.samples.iter_rows(named=True) if row["metric"] == metric]
        by_name = {row["item_hash"][:16]: row["score"] for row in rows}
        unknown = by_name.keys() - set(items.names)
        if unknown:
            raise SystemExit(
                f"{result.step}: {len(unknown)} items are none of the recorded ones; record everything --again"
            )
        scores[metric] = [_short(by_name.get(name)) for name in items.names]
    metrics = {name: round(value, 6) for name, value in result.metrics.items() if "seconds" not in name}
    return SuiteRun(scores, metrics, result.problem, seconds)


def _short(score: float | None) -> float | None:
    """Right and wrong as 1 and 0, what is neither to five digits."""
    return score if score is None else int(score) if score == int(score) else float(f"{score:.5g}")


def _accuracy(run: SuiteRun, suite: BenchSuite) -> float:
    known = [score for score in run.scores.get(suite.metric, []) if score is not None]
    return sum(known) / max(1, len(known))


def chosen(only: Sequence[str], part: str, *, again: bool) -> list[Variant]:
    """The variants to record, in the order asked for."""
    number, of = map(int, part.split("/"))
    by_name = {variant.name: variant for variant in VARIANTS}
    wanted = [by_name[name] for name in only or by_name][number - 1 :: of]
    return [each for each in wanted if again or only or not (RECORDED / f"{each.name}.json.gz").is_file()]


def main() -> None:
    """Record what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], choices=[variant.name for variant in VARIANTS], metavar="NAME")
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--until", help="HH:MM, UTC: no further release is begun")
    parser.add_argument("--at", help="a vLLM that runs already, started as `serving.py` does it")
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    tasks = ensure_suites()
    items = items_of(tasks)
    if not (RECORDED / "items.json.gz").is_file() or given.again:
        save_items(items)
    elif load_items() != items:
        raise SystemExit("The items are no longer the recorded ones; record everything --again.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # which stops the servers, too
    wanted = chosen(given.only, given.part, again=given.again)
    shared = [variant for variant in wanted if not variant.own_server]
    groups = [shared] * bool(shared) + [[variant] for variant in wanted if variant.own_server]
    for group in groups:
        if late(given.until):
            break
        with tempfile.TemporaryDirectory(prefix="vllm-quality-models-") as scratch, ExitStack() as opened:
            server = Server(given.at, Path(scratch)) if given.at else opened.enter_context(server_of(group[0]))
            for variant in group:
                if not late(given.until):
                    save_release(record(variant, server, tasks, items))
                    save_manifest()


def late(until: str | None) -> bool:
    """Whether the time is over."""
    return until is not None and f"{datetime.now(UTC):%H:%M}" >= until


if __name__ == "__main__":
    main()
