"""Measuring again what a release is suspected of, and judging it with what that gave."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from vllm_quality.errors import UserError
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.settings import Settings
from vllm_quality.verdict.confirmation import step_of
from vllm_quality.verdict.types import Finding

# Asks the endpoint and stores frames and pages; the measurement itself is stored by whoever asked for it.
Measure = Callable[[Settings, RunFolder, logging.Logger], Measurement]


def measure_again(
    suspected: Sequence[Finding],
    measures: Mapping[str, Measure],
    settings: Settings,
    folder: RunFolder,
    time_s: float,
    log: logging.Logger,
) -> list[str]:
    """Measure the steps of the suspected metrics once more, the surest suspicion first; the steps that now have both.

    time_s  no further step is begun after so many seconds
    A step that cannot be measured now has a second measurement that says why; the suspicion then stands.
    """
    begun, done = time.monotonic(), []
    for step in dict.fromkeys(step_of(finding.metric) for finding in suspected):
        if folder.get_measurement(step, again=True) is None:
            if time.monotonic() - begun >= time_s:
                log.warning(f"{step} is suspected and not measured again: the time for that is over.")
                continue
            log.info(f"{step} is suspected of a loss and measured again.")
            folder.put_measurement(_measured(step, measures[step], settings, folder, log), again=True)
        done.append(step)
    return done


def _measured(step: str, measure: Measure, settings: Settings, folder: RunFolder, log: logging.Logger) -> Measurement:
    try:
        return measure(settings, folder, log)
    except UserError as error:
        first = folder.get_measurement(step)
        log.warning(f"{step} could not be measured again: {error}")
        return Measurement(step, {}, "" if first is None else first.comparable, problem=str(error))
