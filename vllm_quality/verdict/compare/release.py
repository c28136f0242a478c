"""One side of a comparison: everything that was measured of a release, from the results store or from a file of scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from vllm_quality.errors import UserError
from vllm_quality.verdict.confirmation import step_of


class CompareError(UserError):
    """Two results cannot be compared as they were given."""


@dataclass(frozen=True)
class Release:
    """What one run measured.

    name        the run's id, or the file's path
    label       what a person reads
    metrics     metric path -> value; a file's is "score"
    samples     of `SAMPLE_SCHEMA` suite (a file's is ""), metric, item_hash, prompt_hash, score, judge, cluster, slices; scored ones
    requests    of `REQUEST_SCHEMA` what `load_evidence` reads, and item; None for a file
    conditions  step -> what must be equal for two releases to be compared in it; a step that could not be trusted has none
    facts       what a person knows the conditions by: hardware, profile
    """

    name: str
    label: str
    metrics: Mapping[str, float]
    samples: pl.DataFrame
    requests: pl.DataFrame | None
    conditions: Mapping[str, str]
    facts: Mapping[str, str] = field(default_factory=dict)

    def steps(self) -> dict[str, dict[str, float]]:
        """Step -> its metrics."""
        found: dict[str, dict[str, float]] = {}
        for metric, value in sorted(self.metrics.items()):
            found.setdefault(step_of(metric), {})[metric] = value
        return found

    def samples_of(self, step: str) -> pl.DataFrame:
        """The items of a suite."""
        return self.samples.filter(pl.col("suite") == step.partition("/")[2])

    def requests_of(self, step: str) -> pl.DataFrame | None:
        """The requests of a scenario; None where there can be none."""
        if self.requests is None or not step.startswith("load/"):
            return None
        return self.requests.filter(pl.col("scenario") == step.partition("/")[2])
