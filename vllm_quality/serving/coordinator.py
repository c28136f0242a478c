"""The run queue's door: every run is labelled with its endpoint, and the queue admits one per label (dagster.yaml)."""

import dagster as dg

from vllm_quality.run_tags import ENDPOINT_TAG, PARTITION_TAG
from vllm_quality.serving.endpoint import endpoint_name, resolve_base_url
from vllm_quality.settings import load_settings


class EndpointRunCoordinator(dg.QueuedRunCoordinator):
    """A queue that knows which endpoint a run will measure.

    Backfills choose their own tags and asset backfills run in Dagster's own job, so this is the one place that every
    run passes, from the sensor, the UI or a backfill.
    """

    def submit_run(self, context: dg.SubmitRunContext) -> dg.DagsterRun:
        """Label the run, then queue it."""
        run = context.dagster_run
        partition = run.tags.get(PARTITION_TAG)
        template = load_settings().base_url
        if partition is not None and template is not None and ENDPOINT_TAG not in run.tags:
            self._instance.add_run_tags(
                run.run_id, {ENDPOINT_TAG: endpoint_name(resolve_base_url(template, partition))}
            )
        return super().submit_run(context)
