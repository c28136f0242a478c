"""Jobs: one run evaluates one release, one freezes a day's traffic, whoever starts it (sensor, schedule, UI, backfill)."""

import datetime as dt

import dagster as dg

from vllm_quality.settings import PREFIX, Settings, load_settings

# Of what is partitioned by day: a job's assets share their partitions.
_TRAFFIC = dg.AssetSelection.groups("traffic")

evaluate_release = dg.define_asset_job(
    "evaluate_release",
    selection=dg.AssetSelection.all() - _TRAFFIC,
    description="Measure one release, decide whether it is worse than the ones before it, and report.",
)

snapshot_service_queries = dg.define_asset_job(
    "snapshot_service_queries",
    selection=_TRAFFIC,
    description="Freeze a sample of one day's service queries, anonymised and without duplicates.",
)


def build_queries_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """The schedule that freezes the day before, every night. It runs by itself once VLLM_QUALITY_QUERIES_URL is set."""

    @dg.schedule(
        name="daily_service_queries",
        job=snapshot_service_queries,
        cron_schedule="30 2 * * *",  # late rows and the shipping of logs get two and a half hours
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if settings.queries_url else dg.DefaultScheduleStatus.STOPPED,
        description="Freezes yesterday's service queries.",
    )
    def daily_service_queries(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if load_settings().queries_url is None:
            return dg.SkipReason(f"{PREFIX}QUERIES_URL is not set, so there are no service queries to freeze.")
        yesterday = context.scheduled_execution_time.astimezone(dt.UTC).date() - dt.timedelta(days=1)
        day = yesterday.isoformat()
        return dg.RunRequest(run_key=day, partition_key=day)

    return daily_service_queries
