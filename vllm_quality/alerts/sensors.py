"""Dagster's side of the alerts: when runs that evaluate a release end, say so once.

One sensor instead of Dagster's run status sensors: those are told of one run at a time, so they cannot gather a backfill in a
digest, and they move on past a run whose alert failed. What waits is in this sensor's cursor, so no restart loses it, and
each tick's message says what waits and why.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from vllm_quality.alerts.announce import announce, announce_once, known_alerts
from vllm_quality.alerts.delivery import open_sender
from vllm_quality.alerts.failure import died_outside_of_steps, explain_failure
from vllm_quality.alerts.ledger import RoundLedger
from vllm_quality.alerts.links import backfill_url, partition_url, run_url
from vllm_quality.alerts.memory import OVERLAP, Memory
from vllm_quality.alerts.notice import Failure, Outcome, RunNotice, alert_kind
from vllm_quality.alerts.plan import Waiting
from vllm_quality.alerts.reading import with_evidence
from vllm_quality.alerts.rounds import Round
from vllm_quality.alerts.small_cards import retag_card
from vllm_quality.alerts.stored import read_stored
from vllm_quality.errors import UserError
from vllm_quality.releases.plan import Retag
from vllm_quality.results.audit import write_audit_log
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.run_tags import IMAGE_DIGEST_TAG, PARTITION_TAG, STARTED_BY_TAG
from vllm_quality.settings import Settings, load_settings

_log = logging.getLogger(__name__)

_OUTCOMES: Mapping[dg.DagsterRunStatus, Outcome] = {
    dg.DagsterRunStatus.SUCCESS: "success",
    dg.DagsterRunStatus.FAILURE: "failure",
    dg.DagsterRunStatus.CANCELED: "canceled",
}
_UNFINISHED = [status for status in dg.DagsterRunStatus if status not in _OUTCOMES]
_WILL_RETRY_TAG = "dagster/will_retry"
_BACKFILL_TAG = "dagster/backfill"
_JOB = "evaluate_release"
_ASSET_JOB = "__ASSET_JOB"  # asset backfills and "materialize" in the UI
_VERDICT_ASSET = dg.AssetKey("results")
_OWN_PROCESS = timedelta(minutes=2)  # the command line tells of its runs itself; after that, its process has died


def announce_run(instance: dg.DagsterInstance, run: dg.DagsterRun, results: ResultsResource) -> RunNotice:
    """Send the card of an ended run, unless that was done before, and return what it is about.

    Raises `UserError` when the card was not delivered, or when the verdict of a successful run cannot be read.
    """
    settings = load_settings()
    ledger = RoundLedger(results.store)
    notice = notice_of(instance, run, results, settings.dagster_url)
    if (notice.run_id, notice.kind) not in known_alerts(ledger, [notice.run_id]):
        _keep_audit_log(instance, notice, results)
        notice = _with_evidence(notice, results)
        announce([notice], ledger=ledger, sender=open_sender(settings), mentions=settings.teams_mentions)
    return notice


def notice_of(
    instance: dg.DagsterInstance, run: dg.DagsterRun, results: ResultsResource, dagster_url: str
) -> RunNotice:
    """How an ended run ended. Raises `UserError` when the verdict of a successful run cannot be read."""
    record = instance.get_run_record_by_id(run.run_id)
    if record is not None:
        run = record.dagster_run
    outcome = _OUTCOMES[run.status]
    run_id, tag = evaluation_id(instance, run), run.tags[PARTITION_TAG]
    try:
        target, verdict, report_url = read_stored(results.run_folder(run_id), tag)
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
        failure=_failure(instance, run) if outcome == "failure" else None,
        run_url=run_url(dagster_url, run.run_id),
        report_url=report_url,
        partition_url=partition_url(dagster_url, tag),
        started_at=_moment(record.start_time) if record is not None else None,
        finished_at=_moment(record.end_time) if record is not None else None,
    )


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


def _with_evidence(notice: RunNotice, results: ResultsResource) -> RunNotice:
    try:
        return with_evidence(notice, results.run_folder(notice.run_id), results.store(), load_settings().pii_key)
    except UserError as error:
        _log.warning("The card of run %s shows no answers and no speed: %s", notice.run_id, error)
        return notice


def _failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Failure | None:
    """The first step that failed and why, or why the run failed outside of any step."""
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is not None and event.step_failure_data.error is not None:
            return explain_failure(event.step_key, event.step_failure_data.error)
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        event = entry.dagster_event
        if event is not None:
            # A run whose worker died has no data, only Dagster's own message.
            error = getattr(event.event_specific_data, "error", None)
            return explain_failure(None, error) if error is not None else died_outside_of_steps(event.message or "")
    return None


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def last_run_notice(settings: Settings, tag: str) -> RunNotice | None:
    """How the last ended run of a tag ended, by Dagster's storage on this machine; None when it knows of none."""
    from vllm_quality.evaluation import open_instance

    results = ResultsResource()
    with open_instance(settings) as instance:
        filters = dg.RunsFilter(statuses=list(_OUTCOMES), tags={PARTITION_TAG: tag})
        for run in instance.get_runs(filters, limit=20):
            if _evaluates_a_release(run):
                return _with_evidence(notice_of(instance, run, results, settings.dagster_url), results)
    return None


def _evaluates_a_release(run: dg.DagsterRun) -> bool:
    if PARTITION_TAG not in run.tags:
        return False
    return run.job_name == _JOB or (run.job_name == _ASSET_JOB and _VERDICT_ASSET in (run.asset_selection or ()))


def _ended(instance: dg.DagsterInstance, memory: Memory) -> list[Waiting]:
    """The runs to tell of that ended since the last look and were not seen then."""
    filters = dg.RunsFilter(statuses=list(_OUTCOMES), updated_after=memory.look_from)
    found = []
    for record in instance.get_run_records(filters, order_by="update_timestamp", ascending=True):
        run = record.dagster_run
        # Dagster retries some runs by itself; the retry's end is what counts.
        if run.run_id in memory.seen or not _evaluates_a_release(run) or run.tags.get(_WILL_RETRY_TAG) == "true":
            continue
        ended_at = _moment(record.end_time) or record.update_timestamp
        if ended_at < memory.look_from - OVERLAP:
            continue  # it ended long ago and was only touched now, such as by a new tag
        own_process = run.tags.get(STARTED_BY_TAG) == "cli"
        found.append(
            Waiting(
                run_id=run.run_id,
                evaluation=evaluation_id(instance, run),
                kind=alert_kind(_OUTCOMES[run.status], run.run_id),
                model_tag=run.tags[PARTITION_TAG],
                ended_at=ended_at,
                backfill=run.tags.get(_BACKFILL_TAG),
                next_try=ended_at + _OWN_PROCESS if own_process else None,
                reason="the command that started it sends it itself." if own_process else "",
            )
        )
    return found


def _open_backfills(instance: dg.DagsterInstance, memory: Memory) -> dict[str, datetime]:
    """The backfills of what waits that have runs still to come, and when each began."""
    found = {}
    for backfill_id in {alert.backfill for alert in memory.waiting if alert.backfill is not None}:
        backfill = instance.get_backfill(backfill_id)
        unfinished = dg.RunsFilter(statuses=_UNFINISHED, tags={_BACKFILL_TAG: backfill_id})
        launching = backfill is not None and backfill.status.value in ("REQUESTED", "CANCELING", "FAILING")
        if launching or instance.get_runs_count(unfinished):
            began = backfill.backfill_timestamp if backfill is not None else None
            found[backfill_id] = _moment(began) or memory.looked_until
    return found


def tell_of_ended_runs(instance: dg.DagsterInstance, memory: Memory, results: ResultsResource, now: datetime) -> str:
    """One tick: find runs that ended, tell of those that are due, and say what still waits. `memory` is changed."""
    settings, ledger = load_settings(), RoundLedger(results.store)
    memory.learn(_ended(instance, memory), now)
    memory.looked(now)

    def build(alert: Waiting, whole: bool) -> RunNotice | None:
        run = instance.get_run_by_id(alert.run_id)
        if run is None:
            return None
        notice = notice_of(instance, run, results, settings.dagster_url)
        _keep_audit_log(instance, notice, results)
        return _with_evidence(notice, results) if whole and not ledger.away else notice

    return Round(
        memory=memory,
        ledger=ledger,
        sender=open_sender(settings, patient=False),
        mentions=settings.teams_mentions,
        build=build,
        open_backfills=_open_backfills(instance, memory),
        url_of=lambda backfill: backfill_url(settings.dagster_url, backfill),
        now=now,
    ).run()


@dg.sensor(name="announce_ended_runs", default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=15)
def ended_runs(context: dg.SensorEvaluationContext, results: ResultsResource) -> dg.SensorResult:
    """Tell the Teams channel of every evaluation that ended: one card each, a digest of a backfill, until it is delivered."""
    now = datetime.now(UTC)
    memory = Memory.read(context.cursor, now)
    said = tell_of_ended_runs(context.instance, memory, results, now)
    context.log.info(said)
    return dg.SensorResult(skip_reason=said, cursor=memory.write())


def announce_retag(retag: Retag) -> None:
    """Tell the channel that a known tag was moved. Raises `UserError` when the card was not delivered."""
    settings = load_settings()
    announce_once(
        retag_card(retag.tag, retag.before, retag.digest, settings.image or "", settings.teams_mentions),
        subject=f"{retag.tag}@{retag.digest}",
        kind="retag",
        model_tag=retag.tag,
        ledger=RoundLedger(lambda: ResultsResource().store()),
        sender=open_sender(settings, patient=False),
    )


run_finished_sensors = [ended_runs]
