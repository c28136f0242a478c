"""Partition keys: a release is a model tag, traffic is a day."""

import dagster as dg

# The key is the bare OCI tag; the digest travels with the run and every result row.
model_tags = dg.DynamicPartitionsDefinition(name="model_tag")

# UTC, as the time stamps of logs are; the last one is yesterday, since today's traffic is not over.
days = dg.DailyPartitionsDefinition(start_date="2025-01-01", timezone="UTC")
