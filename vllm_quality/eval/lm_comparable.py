"""What must be equal for two runs of an lm-eval suite to be compared."""

import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from vllm_quality.eval.answers import SEED
from vllm_quality.eval.lm_samples import Outcome
from vllm_quality.eval.result import hash_of
from vllm_quality.eval.suites import Mode, Suite
from vllm_quality.eval.task_loader import LoadedTasks

_SCORING = ("metric_list", "filter_list", "process_results")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function that has no source: another one in every process


def conditions_hash(
    suite: Suite,
    loaded: LoadedTasks,
    found: Mapping[str, Any],
    outcomes: Sequence[Outcome],
    *,
    how: Mode,
    concurrency: int,
) -> str:
    """Everything but the release that shapes the scores. Concurrency is in it: batching moves greedy answers."""
    tasks = {}
    for name, task in sorted(loaded.tasks.items()):
        config = task.dump_config()
        requests = [[request.idx, *request.args] for request in task.instances]
        tasks[name] = {
            "version": str(found["versions"][name]),
            "scoring": _ADDRESS.sub("", json.dumps([config.get(key) for key in _SCORING], sort_keys=True, default=str)),
            "requests": hash_of(requests),
        }
    items = [[outcome.item_hash, outcome.prompt_hash, outcome.target_hash] for outcome in outcomes]
    return hash_of(
        {
            "task": suite.task,
            "mode": how,
            "concurrency": concurrency,
            "lm_eval": version("lm_eval"),
            "seed": SEED,
            "tasks": tasks,
            "items": hash_of(items),
        }
    )
