"""What a measuring step shows in Dagster's UI: its figures (plotted by release), its files, what went wrong."""

import logging
import time
from collections.abc import Callable
from typing import Any

from vllm_quality.results.measurement import Measurement
from vllm_quality.results.objects import ObjectStore

_PAUSE_S = 2.0
_LONGEST_TEXT = 2000


def measurement_metadata(measurement: Measurement, objects: ObjectStore) -> dict[str, Any]:
    """Plain values for a materialization's metadata: metrics by their last parts, then files and details."""
    prefix = f"{measurement.step}/"
    metrics = {name.removeprefix(prefix): value for name, value in sorted(measurement.metrics.items())}
    files = {f"{name}_file": objects.url(key) for name, key in measurement.files.items()}
    details = {name: _shown(value) for name, value in measurement.details.items() if value is not None}
    problem = {} if measurement.problem is None else {"problem": measurement.problem}
    return problem | metrics | files | {name: value for name, value in details.items() if name not in metrics}


def _shown(value: object) -> object:
    if isinstance(value, bool | int | float | dict | list):
        return value
    return str(value)[:_LONGEST_TEXT]


def progress_log(log: logging.Logger) -> Callable[[int, int], None]:
    """A callback that logs "done of total", at most every two seconds: the event log is a database."""
    last = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PAUSE_S or done == total:
            last = now
            log.info(f"{done} of {total}")

    return report
