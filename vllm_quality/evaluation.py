"""One evaluation in this process: what the command line does where operators have Dagster's queue and daemon."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from vllm_quality.alerts.sensors import announce_run, notice_of
from vllm_quality.errors import UserError
from vllm_quality.partitions import model_tags
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.run_tags import ENDPOINT_TAG, EVALUATION_TAG, PARTITION_TAG, STARTED_BY_TAG
from vllm_quality.serving.endpoint import EndpointError, endpoint_name, resolve_base_url
from vllm_quality.settings import Settings, SettingsError, load_settings
from vllm_quality.verdict.types import Verdict

_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True)
class Evaluation:
    """How an evaluation ended.

    run_id      the evaluation's id, under which rows and objects are stored
    error       one sentence when the run failed, with the step that did; None otherwise
    card_error  why the card was not delivered; None when it was
    report      address of the HTML report; None when the run did not get there
    suites      what the evaluation suites measured, as far as the run got
    """

    run_id: str
    model_tag: str
    verdict: Verdict | None
    failed_step: str | None
    error: str | None
    card_error: str | None
    report: str | None
    suites: Sequence[Measurement] = ()

    @property
    def exit_code(self) -> int:
        """0 not worse, 1 worse, 2 could not tell or failed."""
        if self.verdict is None or self.error is not None:
            return 2
        code = {"pass": 0, "better": 0, "worse": 1}.get(self.verdict.status, 2)
        return 2 if code == 0 and self.card_error is not None else code


def dagster_home(settings: Settings) -> Path:
    """The folder of Dagster's own storage, made with our `dagster.yaml` in it when it is new."""
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(_instance_file(), home / "dagster.yaml")
    except OSError as error:
        raise SettingsError(
            f"{home} cannot be written ({error.strerror}); set VLLM_QUALITY_HOME to a folder that can."
        ) from None
    return home


def _instance_file() -> Path:
    package = Path(str(files("vllm_quality")))
    installed = package / "configs" / "dagster.yaml"
    return installed if installed.exists() else package.parent / "dagster.yaml"


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance in `dagster_home`, telemetry off."""
    os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
    with dg.DagsterInstance.get() as instance:
        yield instance


def _lock(settings: Settings, what: str) -> FileLock:
    """A lock that the operating system takes from a process that dies."""
    folder = settings.home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{sha256(what.encode()).hexdigest()[:16]}.lock", timeout=0)


@contextmanager
def _endpoint_to_itself(settings: Settings, name: str) -> Iterator[None]:
    """Hold the endpoint: two evaluations at once would measure each other."""
    lock = _lock(settings, f"endpoint {name}")
    try:
        lock.acquire()
    except Timeout:
        raise EndpointError(f"Another evaluation is measuring {name}; wait for it to end, then try again.") from None
    try:
        yield
    finally:
        lock.release()


def _bury_dead_runs(instance: dg.DagsterInstance, settings: Settings) -> None:
    """End the runs of this command whose process is gone. Nobody else does, and they would hold their pools for ever."""
    unfinished = [status for status in dg.DagsterRunStatus if status not in _FINISHED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished, tags={STARTED_BY_TAG: "cli"})):
        lock = _lock(settings, f"run {run.run_id}")
        try:
            lock.acquire()
        except Timeout:
            continue  # it lives
        lock.release()
        instance.report_run_failed(run, "The process of this run is gone; `vllm-quality evaluate --resume` goes on.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


@contextmanager
def _noise_to(path: Path) -> Iterator[None]:
    """What libraries and their child processes print to the terminal goes to a file instead."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with path.open("ab") as log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def evaluate(
    instance: dg.DagsterInstance,
    tag: str,
    *,
    overrides: Mapping[str, str],
    dagster_run_id: str,
    resume: bool = False,
) -> Evaluation:
    """Materialize `evaluate_release` for a tag here and now, and announce the outcome.

    overrides  of base_url, model and profile, over the settings
    resume     go on with the tag's newest evaluation: what it stored is not measured again
    """
    from vllm_quality.definitions import defs

    settings = load_settings(**overrides)
    if settings.base_url is None:
        raise EndpointError("No endpoint is given; use --base-url or set VLLM_QUALITY_BASE_URL.")
    name = endpoint_name(resolve_base_url(settings.base_url, tag))
    with _endpoint_to_itself(settings, name):
        _bury_dead_runs(instance, settings)
        tags = {ENDPOINT_TAG: name, STARTED_BY_TAG: "cli"}
        if resume:
            last = _last_run(instance, tag)
            if last.status is dg.DagsterRunStatus.SUCCESS:
                return _announced(instance, last, settings)  # its process may have died before the card was sent
            tags[EVALUATION_TAG] = evaluation_id(instance, last)
        instance.add_dynamic_partitions(str(model_tags.name), [tag])
        with _lock(settings, f"run {dagster_run_id}"), _noise_to(settings.home / "logs" / f"{dagster_run_id}.log"):
            result = defs.resolve_job_def("evaluate_release").execute_in_process(
                partition_key=tag,
                instance=instance,
                run_id=dagster_run_id,
                tags=tags,
                raise_on_error=False,
                run_config={
                    "ops": {"serving_endpoint": {"config": dict(overrides)}},
                    "loggers": {"console": {"config": {"log_level": "ERROR"}}},
                },
            )
        return _announced(instance, result.dagster_run, settings)


def _announced(instance: dg.DagsterInstance, run: dg.DagsterRun, settings: Settings) -> Evaluation:
    """The outcome of an ended run, its card sent. That the card was not delivered takes nothing from the verdict."""
    results = ResultsResource()
    notice = notice_of(instance, run, results, settings.dagster_url)
    card_error = None
    try:
        announce_run(instance, run, results)
    except UserError as error:
        card_error = str(error)
    return Evaluation(
        run_id=notice.run_id,
        model_tag=notice.model_tag,
        verdict=notice.verdict,
        failed_step=notice.failed_step,
        error=notice.error,
        card_error=card_error,
        report=notice.report_url,
        suites=_suites(results.run_folder(notice.run_id)),
    )


def _suites(folder: RunFolder) -> list[Measurement]:
    ending = "/measurement.json"
    steps = [
        key.removesuffix(ending) for key in folder.objects.list(f"runs/{folder.run_id}/eval/") if key.endswith(ending)
    ]
    found = [folder.get_measurement(step.removeprefix(f"runs/{folder.run_id}/")) for step in steps]
    return [measurement for measurement in found if measurement is not None]


def _last_run(instance: dg.DagsterInstance, tag: str) -> dg.DagsterRun:
    runs = instance.get_runs(dg.RunsFilter(job_name="evaluate_release", tags={PARTITION_TAG: tag}), limit=1)
    if not runs:
        raise UserError(f"{tag} was never evaluated here, so there is nothing to resume; leave --resume out.")
    if not runs[0].is_finished:
        raise UserError(f"The evaluation of {tag} is still under way (run {runs[0].run_id}); wait for it to end.")
    return runs[0]
