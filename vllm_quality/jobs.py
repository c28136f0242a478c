"""Jobs: one run evaluates one release, whoever starts it (sensor, UI, command line, backfill)."""

import dagster as dg

evaluate_release = dg.define_asset_job(
    "evaluate_release",
    selection=dg.AssetSelection.all(),
    description="Measure one release, decide whether it is worse than the ones before it, and report.",
)
