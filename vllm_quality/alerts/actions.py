"""What to do about a run that failed, by the kind of its error."""

from collections.abc import Iterable, Mapping

_AGAIN = (
    're-execute the run "from failure" in Dagster (or `vllm-quality evaluate TAG --resume`): what was measured is kept'
)

_ENDPOINT = f"Bring the release's endpoint up: is its pod ready, its URL and model name right? Then {_AGAIN}."
_STORE = f"Bring the store back that the cause names (reachable, its credentials valid, room left). Then {_AGAIN}."
_SETTING = f"Correct what the cause names, and reload the code location in Dagster. Then {_AGAIN}."
_DATA = (
    "Repair the data set that the cause names (`vllm-quality datasets list` shows all). Then launch the release again."
)
_JUDGE = f"Bring the judge of VLLM_QUALITY_JUDGE_URL back, with the model it was calibrated with. Then {_AGAIN}."
_STEP = f"Materialize the step that the cause names for this release. Then {_AGAIN}."
_DISK = f"Free room below VLLM_QUALITY_HOME and DAGSTER_HOME. Then {_AGAIN}."
_WORKER = f"Look why the run's process ended (memory, an evicted pod, a node that went): its pod's events tell. Then {_AGAIN}."
_BUG = f"Open the run's log for the traceback and report it. If it may have been a hiccup, {_AGAIN}."
_USER = f"Do what the cause says. Then {_AGAIN}."

# Names of error classes; the most derived one that is listed counts.
_BY_ERROR: Mapping[str, str] = {
    "EndpointError": _ENDPOINT,
    "NothingToAskError": _SETTING,
    "ObjectsError": _STORE,
    "ResultsError": _STORE,
    "SettingsError": _SETTING,
    "ThresholdsError": _SETTING,
    "ScenarioError": _SETTING,
    "SuiteConfigError": _SETTING,
    "PresetError": _SETTING,
    "EvalError": _SETTING,
    "MetricRegistryError": _SETTING,
    "EvalchemyError": _SETTING,
    "WorkFolderError": _SETTING,
    "DatasetError": _DATA,
    "MirrorError": _DATA,
    "TaskError": _DATA,
    "LabelsError": _DATA,
    "JudgeSettingsError": _JUDGE,
    "JudgeError": _JUDGE,
    "CalibrationError": _JUDGE,
    "MissingStepError": _STEP,
}


def action_for(error: type[BaseException]) -> str:
    """What to do about an error of ours."""
    return _first(parent.__name__ for parent in error.__mro__)


def _first(names: Iterable[str]) -> str:
    return next((_BY_ERROR[name] for name in names if name in _BY_ERROR), _USER)


def action_for_full_disk() -> str:
    """What to do when there is no space left."""
    return _DISK


def action_for_dead_worker() -> str:
    """What to do about a run that ended outside of its steps."""
    return _WORKER


def action_for_bug() -> str:
    """What to do about any other error."""
    return _BUG
