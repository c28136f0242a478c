"""A suite's figures once more without the items that another data set holds as well: is the score one of memory?

Benchmarks stay whole (their scores must be comparable with everybody's), so what deduplication found is told beside them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from vllm_quality.eval.lm_metrics import collect_metrics
from vllm_quality.eval.lm_samples import item_hash
from vllm_quality.eval.lm_stderrs import with_stderrs
from vllm_quality.eval.result import overlap_name
from vllm_quality.eval.task_loader import LoadedTasks

Overlap = Callable[[str], Collection[str]]  # a task's name -> `item_hash` of its items that another data set holds
Sample = Mapping[str, Any]


def no_overlap(_task: str) -> Collection[str]:
    """Nothing is known to be held twice."""
    return ()


def overlap_metrics(
    step: str, loaded: LoadedTasks, samples: Mapping[str, Sequence[Sample]], cluster: str | None, overlap: Overlap
) -> dict[str, float]:
    """`<metric>_without_overlap` for each of the suite's own figures, and `overlap_count`; nothing where nothing overlaps.

    samples  lm-eval's logged samples, by task
    cluster  the field that says which items belong together, for the standard errors
    """
    shared = {name: frozenset(overlap(name)) for name in loaded.tasks}
    found = {(n, s["doc_id"]) for n, own in samples.items() for s in own if _hash(n, s) in shared[n]}
    if not found:
        return {}
    kept = {name: [sample for sample in own if (name, sample["doc_id"]) not in found] for name, own in samples.items()}
    results = {name: _aggregated(task, kept[name]) for name, task in loaded.tasks.items()}
    results |= {name: group.aggregate(results) for name, group in loaded.groups.items()}
    metrics = collect_metrics(step, loaded, with_stderrs(loaded, results, kept, cluster))
    of_suite = {path: value for path, value in metrics.items() if "/" not in path.removeprefix(f"{step}/")}
    return {
        **{overlap_name(path): value for path, value in of_suite.items()},
        f"{step}/overlap_count": float(len(found)),
    }


def _hash(task: str, sample: Sample) -> str:
    return item_hash(task, str(sample["doc_hash"]))


def _aggregated(task: Any, samples: Sequence[Sample]) -> dict[str, Any]:
    """A task's results over some of its samples, in lm-eval's form."""
    from lm_eval.api.metrics import mean

    values: dict[tuple[str, str], list[Any]] = {}
    for sample in samples:
        for metric in sample["metrics"]:
            values.setdefault((metric, sample["filter"]), []).append(sample[metric])
    entry: dict[str, Any] = {"name": task.task_name, "sample_len": max(map(len, values.values()), default=0)}
    for (metric, filter_name), own in values.items():
        try:
            entry[f"{metric},{filter_name}"] = task.aggregation().get(metric, mean)(own)
        except (ArithmeticError, ValueError, TypeError, LookupError):  # too few of them for what it computes
            continue
    return entry
