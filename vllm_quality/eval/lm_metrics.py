"""From lm-eval's result keys ("metric,filter") to metric paths and plain numbers."""

import math
from collections.abc import Mapping
from typing import Any

from vllm_quality.eval.standard_errors import weighted_stderr
from vllm_quality.eval.suites import safe_name
from vllm_quality.eval.task_loader import LoadedTasks

STDERR = "_stderr"


def metric_name(metric: str, filter_name: str, filters: int) -> str:
    """The last part of a metric's path; the filter is in it only where the metric has several."""
    base, stderr = (metric.removesuffix(STDERR), STDERR) if metric.endswith(STDERR) else (metric, "")
    name = base if filters <= 1 else f"{base}_{filter_name}"
    return "@".join(map(safe_name, name.split("@"))) + stderr  # "pass@1" keeps its sign


def as_number(value: object) -> float | None:
    """A finite float, or None for whatever is no number ('N/A', pairs, NaN)."""
    if isinstance(value, str | bytes | tuple | list | dict) or value is None:
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # numpy's scalars
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of one task's or group's results, by name."""
    keys = [key.split(",", 1) for key in entry if "," in key]
    filters: dict[str, set[str]] = {}
    for metric, filter_name in keys:
        filters.setdefault(metric.removesuffix(STDERR), set()).add(filter_name)
    found = {}
    for metric, filter_name in keys:
        value = as_number(entry[f"{metric},{filter_name}"])
        if value is not None:
            found[metric_name(metric, filter_name, len(filters[metric.removesuffix(STDERR)]))] = value
    return found


def collect_metrics(step: str, loaded: LoadedTasks, results: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Every number of a suite by its path: `<step>/<metric>`, and `<step>/<task>/<metric>` for the members of a group.

    A group counts as it says itself; one that does not say (and a tag) counts each item once.
    """
    root = loaded.roots[0]
    name = root.name if root in loaded.groups.values() else root.task_name
    own = numbers(results[name]) if len(loaded.roots) == 1 else {}
    if not own and len(loaded.tasks) > 1:
        own = _pooled([results[task] for task in loaded.tasks])
    metrics = {f"{step}/{metric}": value for metric, value in own.items()}
    if len(loaded.tasks) > 1 or len(loaded.groups) > 0:
        members = [member for member in [*loaded.groups, *loaded.tasks] if member != name or len(loaded.roots) > 1]
        for member in members:
            place = f"{step}/{safe_name(member)}"
            metrics |= {f"{place}/{metric}": value for metric, value in numbers(results[member]).items()}
    return metrics


def _pooled(entries: list[Mapping[str, Any]]) -> dict[str, float]:
    scored = [entry for entry in entries if entry["sample_len"]]
    sizes = [float(entry["sample_len"]) for entry in scored]
    each = [numbers(entry) for entry in scored]
    shared = set.intersection(*(set(found) for found in each)) if each else set()
    pooled = {}
    for metric in sorted(shared):
        values = [found[metric] for found in each]
        if metric.endswith(STDERR):
            pooled[metric] = weighted_stderr(sizes, values)
        else:
            pooled[metric] = sum(value * size for value, size in zip(values, sizes, strict=True)) / sum(sizes)
    return pooled
