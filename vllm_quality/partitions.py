"""Partition keys: a release is a model tag, traffic is a day."""

import dagster as dg

# The key is the bare OCI tag; the digest travels with the run and every result row.
model_tags = dg.DynamicPartitionsDefinition(name="model_tag")
