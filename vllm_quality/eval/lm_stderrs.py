"""Standard errors for lm-eval's results, in place of its own: it has none for a task's own aggregation ('N/A')."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from vllm_quality.eval.lm_metrics import STDERR, as_number
from vllm_quality.eval.result import hash_of
from vllm_quality.eval.standard_errors import bootstrap_stderr, mean_stderr, weighted_stderr
from vllm_quality.eval.task_loader import LoadedTasks

# Fields that hold what several questions of a set are asked about, where the task's metadata name none (`cluster: FIELD`).
PASSAGES = ("passage", "paragraph", "context", "article", "flores_passage", "story", "document")

Sample = Mapping[str, Any]
Results = Mapping[str, Mapping[str, Any]]


def cluster_field(task: Any, wanted: str | None, docs: Sequence[Mapping[str, Any]]) -> str | None:
    """The field of a task's items whose value they share with the other questions on the same passage; None without one.

    wanted  the suite's own choice, which goes before the task's metadata
    """
    named = wanted or (task.get_config("metadata") or {}).get("cluster")
    fields = docs[0].keys() if docs and isinstance(docs[0], Mapping) else ()
    return str(named) if named else next((field for field in PASSAGES if field in fields), None)


def clusters_of(samples: Sequence[Sample], field: str | None) -> list[Hashable]:
    """For each sample, which others it belongs to; one without a passage stands alone."""
    passages = [sample["doc"].get(field) if field else None for sample in samples]
    return [
        hash_of(passage) if passage else number for number, passage in enumerate(passages)
    ]  # an empty passage is none


def with_stderrs(
    loaded: LoadedTasks, results: Results, samples: Mapping[str, Sequence[Sample]], cluster: str | None
) -> dict[str, dict[str, Any]]:
    """lm-eval's results with a standard error for every number of a task or group that can have one.

    samples  its logged samples, by task
    cluster  the field that says which items belong together, where the suite chose one
    """
    found = {name: {key: value for key, value in entry.items() if STDERR not in key} for name, entry in results.items()}
    for name, task in loaded.tasks.items():
        field = cluster_field(task, cluster, [sample["doc"] for sample in samples[name][:1]])
        for metric, filter_name in _keys(found[name]):
            own = [s for s in samples[name] if s["filter"] == filter_name and metric in s["metrics"]]
            stderr = _of_task(task, metric, [sample[metric] for sample in own], clusters_of(own, field))
            if stderr is not None:
                found[name][f"{metric}{STDERR},{filter_name}"] = stderr
    for name, group in loaded.groups.items():
        by_size = {entry.metric: entry.weight_by_size for entry in group.aggregate_metric_list or ()}
        leaves = [found[task.task_name] for task in group.get_all_tasks()]
        for metric, filter_name in _keys(found[name]):
            stderr = pooled_stderr(leaves, f"{metric},{filter_name}", by_size=by_size.get(metric, True))
            if stderr is not None:
                found[name][f"{metric}{STDERR},{filter_name}"] = stderr
    return found


def pooled_stderr(entries: Sequence[Mapping[str, Any]], key: str, *, by_size: bool = True) -> float | None:
    """The standard error of the mean over tasks; None where one of them has none."""
    having = [entry for entry in entries if key in entry]
    metric, _, filter_name = key.partition(",")
    stderrs = [entry.get(f"{metric}{STDERR},{filter_name}") for entry in having]
    known = [float(stderr) for stderr in stderrs if stderr is not None]
    if not known or len(known) < len(stderrs):
        return None
    return weighted_stderr([float(entry["sample_len"]) if by_size else 1.0 for entry in having], known)


def _of_task(task: Any, metric: str, values: Sequence[Any], clusters: Sequence[Hashable]) -> float | None:
    from lm_eval.api.metrics import mean

    aggregate = task.aggregation().get(metric, mean)
    numbers = [number for number in map(as_number, values) if number is not None]
    if aggregate is mean and len(numbers) == len(values):
        return mean_stderr(numbers, clusters)
    return bootstrap_stderr(aggregate, values, clusters)


def _keys(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (metric, filter_name)
        for metric, comma, filter_name in (key.partition(",") for key in entry)
        if comma and as_number(entry[f"{metric},{filter_name}"]) is not None
    ]
