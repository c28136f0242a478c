"""A load scenario of an evaluation: run against the evaluation's endpoint, its rows and pages kept with the run."""

import json
import time
from collections.abc import Callable

from vllm_quality.load.errors import LoadError
from vllm_quality.load.output.live import line
from vllm_quality.load.output.page import render_page
from vllm_quality.load.output.summary import summary
from vllm_quality.load.result import Snapshot
from vllm_quality.load.run import run_scenario
from vllm_quality.load.scenario import Scenario, load_scenarios, with_conversations
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.target import Target
from vllm_quality.settings import Profile, Settings

_PAUSE_S = 5.0


def scenario_of(name: str, settings: Settings, profile: Profile) -> Scenario:
    """A scenario of scenarios.yaml, with the operator's own conversations in place of the sample. Raises `LoadError`."""
    path = settings.config_file("scenarios.yaml")
    found = next((each for each in load_scenarios(path, profile) if each.name == name), None)
    if found is None:
        raise LoadError(f"{path} has no scenario {name!r} any more; put it back, or reload the code location.")
    return with_conversations(found, settings.conversations)


def measure_scenario(
    name: str, settings: Settings, target: Target, folder: RunFolder, log: Callable[[str], None]
) -> Measurement:
    """Run a scenario against what is evaluated, and keep its frames and pages in the run's folder. Raises `LoadError`.

    log: called with a line of progress every few seconds; an event log is a database.
    """
    told = -_PAUSE_S

    def tell(snapshot: Snapshot) -> None:
        nonlocal told
        if time.monotonic() - told >= _PAUSE_S:
            told = time.monotonic()
            log(line(snapshot))

    result = run_scenario(
        scenario_of(name, settings, target.profile),
        target.endpoint,
        settings.endpoint_key,
        hardware=target.hardware,
        workers=settings.load_workers,
        on_progress=tell,
    )
    if result.interrupted:
        # A step that was ended by hand has not measured; a resumed run measures it again.
        raise KeyboardInterrupt
    told_json = json.dumps(summary(result), ensure_ascii=False, indent=1, allow_nan=False)
    files = {
        "requests": folder.put_frame(f"{result.step}/requests", result.requests),
        "summary": folder.put_text(f"{result.step}/summary", "json", told_json, "application/json"),
        "page": folder.put_text(f"{result.step}/report", "html", render_page(result), "text/html"),
    }
    return Measurement(result.step, result.metrics, result.comparable, result.problem, files, result.details)
