"""Dagster's side of the alerts: when a run that evaluates a release ends, say so once.

Dagster moves on past a run whose sensor raised, so that a card that Teams did not take would be lost. Only a `DagsterError`
leaves a run status sensor's cursor where it was; that is why `AlertNotSentError` is one (tests: test_sensors.py).
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from vllm_quality.alerts.announce import announce
from vllm_quality.alerts.delivery import open_sender
from vllm_quality.alerts.failure import sentence
from vllm_quality.alerts.notice import Outcome, RunNotice
from vllm_quality.alerts.teams import TeamsError
from vllm_quality.errors import UserError
from vllm_quality.report.data import report_key
from vllm_quality.results.audit import write_audit_log
from vllm_quality.results.publish import VERDICT_FILE
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.results.rows import AlertRow
from vllm_quality.run_tags import IMAGE_DIGEST_TAG, PARTITION_TAG
from vllm_quality.serving.target import TARGET_FILE, Target
from vllm_quality.settings import load_settings
from vllm_quality.verdict.types import Verdict

_log = logging.getLogger(__name__)

_OUTCOMES: dict[dg.DagsterRunStatus, Outcome] = {
    dg.DagsterRunStatus.SUCCESS: "success",
    dg.DagsterRunStatus.FAILURE: "failure",
    dg.DagsterRunStatus.CANCELED: "canceled",
}
_WILL_RETRY_TAG = "dagster/will_retry"
_JOB = "evaluate_release"
_ASSET_JOB = "__ASSET_JOB"  # asset backfills and "materialize" in the UI
_VERDICT_ASSET = dg.AssetKey("results")

# How long after a run's end its card is tried again. A bug must not hold back the cards of later runs for a day.
_PATIENCE = timedelta(hours=24)
_PATIENCE_WITH_BUGS = timedelta(minutes=15)


class AlertNotSentError(dg.DagsterError):
    """A card was not delivered; the sensor tries again at its next tick."""


def announce_run(instance: dg.DagsterInstance, run: dg.DagsterRun, results: ResultsResource) -> RunNotice:
    """Send the card of an ended run, unless that was done before, and return what it is about.

    Raises `UserError` when the card was not delivered, or when the verdict of a successful run cannot be read.
    """
    settings = load_settings()
    notice = notice_of(instance, run, results, settings.dagster_url)
    _keep_audit_log(instance, notice, results)
    announce(notice, store=_Ledger(results), sender=open_sender(settings), mentions=settings.teams_mentions)
    return notice


def _keep_audit_log(instance: dg.DagsterInstance, notice: RunNotice, results: ResultsResource) -> None:
    """Store what happened in the run. An object store that is away must not keep the card back: it is what failed, then."""
    events = [
        {
            "time": datetime.fromtimestamp(entry.timestamp, UTC).isoformat(),
            "event": entry.dagster_event_type.value if entry.dagster_event_type else "LOG",
            "step": entry.step_key,
            "message": entry.message,
            "run_id": notice.run_id,
            "dagster_run_id": notice.dagster_run_id,
            "model_tag": notice.model_tag,
        }
        for entry in instance.all_logs(notice.dagster_run_id)
    ]
    try:
        write_audit_log(results.objects(), notice.dagster_run_id, notice.started_at or datetime.now(UTC), events)
    except UserError as error:
        _log.warning("The audit log of run %s was not stored: %s", notice.dagster_run_id, error)


@dataclass(frozen=True)
class _Ledger:
    """The alerts table, opened when it is used: that it cannot be opened must not keep a card back."""

    results: ResultsResource

    def alert_sent(self, run_id: str, kind: str) -> bool:
        return self.results.store().alert_sent(run_id, kind)

    def record_alert(self, row: AlertRow) -> None:
        self.results.store().record_alert(row)


def notice_of(
    instance: dg.DagsterInstance, run: dg.DagsterRun, results: ResultsResource, dagster_url: str
) -> RunNotice:
    """How an ended run ended. Raises `UserError` when the verdict of a successful run cannot be read."""
    record = instance.get_run_record_by_id(run.run_id)
    if record is not None:
        run = record.dagster_run
    outcome = _OUTCOMES[run.status]
    run_id, tag = evaluation_id(instance, run), run.tags[PARTITION_TAG]
    step, error = _failure(instance, run) if outcome == "failure" else (None, None)
    try:
        target, verdict, report_url = _stored(results, run_id, tag)
    except UserError:
        if outcome == "success":
            raise
        # The object store may be just what failed: the people are called all the same.
        target, verdict, report_url = None, None, None
    return RunNotice(
        run_id=run_id,
        dagster_run_id=run.run_id,
        model_tag=tag,
        outcome=outcome,
        target=target,
        image_digest=run.tags.get(IMAGE_DIGEST_TAG) or (target.image_digest if target is not None else ""),
        verdict=verdict,
        error=error,
        failed_step=step,
        run_url=f"{dagster_url}/runs/{run.run_id}",
        report_url=report_url,
        started_at=_moment(record.start_time) if record is not None else None,
        finished_at=_moment(record.end_time) if record is not None else None,
    )


def _stored(results: ResultsResource, run_id: str, tag: str) -> tuple[Target | None, Verdict | None, str | None]:
    folder = results.run_folder(run_id)
    target, verdict, key = folder.get_json(TARGET_FILE), folder.get_json(VERDICT_FILE), report_key(tag, run_id)
    return (
        Target.from_json(target) if target is not None else None,
        Verdict.from_json(verdict) if verdict is not None else None,
        folder.objects.url(key) if folder.objects.exists(key) else None,
    )


def _failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str | None, str | None]:
    """The first step that failed and why, or why the run failed outside of any step."""
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is not None and event.step_failure_data.error is not None:
            return event.step_key, sentence(event.step_failure_data.error)
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        event = entry.dagster_event
        if event is not None:
            # A run whose worker died has no data, only Dagster's own message.
            error = getattr(event.event_specific_data, "error", None)
            return None, sentence(error) if error is not None else event.message
    return None, None


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _evaluates_a_release(run: dg.DagsterRun) -> bool:
    if PARTITION_TAG not in run.tags:
        return False
    return run.job_name == _JOB or (run.job_name == _ASSET_JOB and _VERDICT_ASSET in (run.asset_selection or ()))


def is_tried_again(error: Exception, since_the_end: timedelta) -> bool:
    """Whether a card that could not be sent so long after its run's end is sent again."""
    if isinstance(error, TeamsError) and error.card_refused:
        return False
    return since_the_end <= (_PATIENCE if isinstance(error, UserError) else _PATIENCE_WITH_BUGS)


def _on_run_end(context: dg.RunStatusSensorContext, results: ResultsResource) -> dg.SkipReason | None:
    run = context.dagster_run
    if not _evaluates_a_release(run):
        return None
    if run.tags.get(_WILL_RETRY_TAG) == "true":
        return dg.SkipReason(f"Dagster retries run {run.run_id} by itself; the retry's end is announced.")
    try:
        announce_run(context.instance, run, results)
    except Exception as error:
        ended = _moment(context.instance.get_run_stats(run.run_id).end_time)
        if ended is None or not is_tried_again(error, datetime.now(UTC) - ended):
            raise  # Dagster shows a failed tick and goes on to the next run.
        reason = str(error) if isinstance(error, UserError) else type(error).__name__
        raise AlertNotSentError(f"The card of run {run.run_id} is tried again at the next tick: {reason}") from error
    return None


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="announce_finished_runs",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
)
def run_succeeded(context: dg.RunStatusSensorContext, results: ResultsResource) -> dg.SkipReason | None:
    """Send the card of a release that was evaluated."""
    return _on_run_end(context, results)


@dg.run_failure_sensor(
    name="announce_failed_runs", default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=15
)
def run_failed(context: dg.RunFailureSensorContext, results: ResultsResource) -> dg.SkipReason | None:
    """Send the card of a release that could not be evaluated."""
    return _on_run_end(context, results)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    name="announce_canceled_runs",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
)
def run_canceled(context: dg.RunStatusSensorContext, results: ResultsResource) -> dg.SkipReason | None:
    """Send the card of an evaluation that was canceled."""
    return _on_run_end(context, results)


run_finished_sensors = [run_succeeded, run_failed, run_canceled]
