"""Do we choose as transformers does? The same weights, both in float32, item by item.

    python -m vllm_quality_tests.benchmarks.reference --items 300

A real vLLM serves SmolLM2 on the CPU; our suites of PIQA, OpenBookQA and two Korean sets run against it; transformers, in
vLLM's environment, scores the same texts. Wanted: at least 99.5 % of the choices agree. Of those that differ, the margin is
shown: a tie that float32 settles either way is no error. The live tier's folder is set up where it is missing.
"""

import argparse
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_quality.eval.lm_suite import run_suite
from vllm_quality.eval.result import SuiteResult
from vllm_quality.eval.suites import Suite
from vllm_quality.serving.endpoint import Endpoint, identify
from vllm_quality_tests.live.benchmark_rows import BENCHMARKS, Benchmark, ensure_benchmarks
from vllm_quality_tests.live.cache import child_environment
from vllm_quality_tests.live.models import ensure_models
from vllm_quality_tests.live.servers import vllm_server
from vllm_quality_tests.live.vllm_venv import ensure_vllm

_SCRIPT = Path(__file__).parent / "transformers_choices.py"


@dataclass(frozen=True)
class Agreement:
    """How one suite's choices compare: items, agreeing choices, both accuracies, the margins where they differ."""

    name: str
    items: int
    same: int
    ours: float
    theirs: float
    margins: Sequence[float]


def compare(benchmark: Benchmark, tasks: Path, endpoint: Endpoint, model: Path, items: int) -> Agreement:
    """Run the suite and the reference over the same items."""
    suite = Suite(name=benchmark.name, include_path=tasks, limit=items)
    result = run_suite(suite, endpoint, None, profile="full", concurrency=8, timeout_s=300)
    if result.problem is not None:
        raise SystemExit(f"{benchmark.name}: {result.problem}")
    asked = _items(benchmark, tasks, result)
    likelihoods = _reference(model, [item for item, _ in asked])
    same, right, margins = 0, 0, []
    for (item, answer), found in zip(asked, likelihoods, strict=True):
        best = max(range(len(found)), key=found.__getitem__)
        right += best == item["gold"]
        mine = item["choices"].index(answer)
        same += mine == best
        if mine != best:
            margins.append(found[best] - found[mine])
    accuracy = result.metrics[f"eval/{benchmark.name}/acc"]
    return Agreement(benchmark.name, len(asked), same, accuracy, right / len(asked), margins)


def _items(benchmark: Benchmark, tasks: Path, result: SuiteResult) -> list[tuple[dict[str, Any], str]]:
    """The rows that were asked, as the reference wants them, and our choice for each."""
    rows = map(json.loads, (tasks / f"{benchmark.name}.jsonl").read_text(encoding="utf-8").splitlines())
    known = {}
    for row in rows:
        context = benchmark.prompt.replace("{{question}}", row["question"])
        continuations = [f" {choice}" for choice in row["choices"]]
        known[context, row["choices"][row["gold"]]] = {**row, "context": context, "continuations": continuations}
    return [
        (known[text["prompt"], text["expected"]], text["answer"])
        for text in result.texts.iter_rows(named=True)
        if (text["prompt"], text["expected"]) in known
    ]


def _reference(model: Path, items: Sequence[dict[str, Any]]) -> list[list[float]]:
    done = subprocess.run(
        [str(ensure_vllm() / "python"), "-P", str(_SCRIPT), str(model)],
        input="".join(json.dumps(item) + "\n" for item in items),
        env=child_environment({"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}),
        stdout=subprocess.PIPE,
        text=True,
        timeout=3600,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> int:
    """Compare all suites; 1 when too few choices agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=300, help="of each suite, drawn by hash")
    given = parser.parse_args()
    tasks, models = ensure_benchmarks(), ensure_models()
    with vllm_server(models.good, dtype="float32") as base_url:
        endpoint = identify(base_url, None, None, 120)
        found = []
        print("| suite | items | same choice | acc, ours | acc, transformers | margins where they differ |")
        print("|---|---:|---:|---:|---:|---|", flush=True)
        for benchmark in BENCHMARKS:
            row = compare(benchmark, tasks, endpoint, models.good, given.items)
            found.append(row)
            margins = ", ".join(f"{margin:.2g}" for margin in row.margins) or "–"
            share = f"{row.same / row.items:.2%}"
            cells = [row.name, str(row.items), share, f"{row.ours:.4f}", f"{row.theirs:.4f}", margins]
            print(f"| {' | '.join(cells)} |", flush=True)
    total = sum(row.same for row in found) / sum(row.items for row in found)
    print(f"\n{total:.2%} of all choices agree")
    return 0 if total >= 0.995 else 1


if __name__ == "__main__":
    raise SystemExit(main())
