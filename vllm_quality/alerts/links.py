"""Addresses in Dagster's UI."""

from urllib.parse import quote


def run_url(dagster_url: str, run_id: str) -> str:
    """One run."""
    return f"{dagster_url}/runs/{run_id}"


def backfill_url(dagster_url: str, backfill_id: str) -> str:
    """The runs of a backfill."""
    return f"{dagster_url}/runs/b/{quote(backfill_id, safe='')}"


def partition_url(dagster_url: str, tag: str) -> str:
    """A release among the others, at the asset that decides about it."""
    return f"{dagster_url}/assets/results?view=partitions&partition={quote(tag, safe='')}"
