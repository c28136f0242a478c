"""A release's scores of every suite, item by item, as recorded or drawn anew; and as the pipeline would have stored them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np  # noqa: TID253
import polars as pl

from vllm_quality.results.rows import SAMPLE_SCHEMA
from vllm_quality_tests.detection.recordings import Items, Release

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

_LEFT_OUT = ("acc_norm", "answer_chars")  # which say what another metric says


@dataclass(frozen=True)
class Run:
    """Suite -> metric -> each item's score, in the items' order; NaN where an item has none.

    An item without a primary score counts as wrong, as a missing answer does.
    """

    items: Mapping[str, Items]
    scores: Mapping[str, Mapping[str, "Scores"]]

    def primary(self, suite: str) -> "Scores":
        """Right or wrong, by item."""
        return self.scores[suite][self.items[suite].metric]

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Metric path -> the mean over its items, as the run would have them."""
        return {
            f"eval/{suite}/{metric}": float(np.mean(values[~np.isnan(values)].tolist()))
            for suite, own in self.scores.items()
            for metric, values in own.items()
            if not np.isnan(values).all()
        }

    @cached_property
    def samples(self) -> dict[str, pl.DataFrame]:
        """Suite -> its rows of the `samples` table."""
        return {suite: self._frame(suite) for suite in self.scores}

    def _frame(self, suite: str) -> pl.DataFrame:
        own = self.items[suite]
        base = pl.DataFrame(
            {
                "item_hash": list(own.names),
                "cluster": list(own.clusters),
                "slices": [[f"part={name}"] for name in own.slices],
            }
        )
        frames = [
            base.with_columns(metric=pl.lit(metric), score=pl.Series(values).fill_nan(None))
            for metric, values in self.scores[suite].items()
        ]
        known = pl.concat(frames).with_columns(suite=pl.lit(suite), status=pl.lit("ok"))
        return known.select(
            (pl.col(name) if name in known.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in SAMPLE_SCHEMA.items()
        )


def run_of(release: Release, items: Mapping[str, Items], base: Run | None = None) -> Run:
    """A recorded release. `base`: the good release, for the suites that the damage cannot reach."""
    found: dict[str, Mapping[str, Scores]] = dict(base.scores) if base else {}
    for suite, run in release.suites.items():
        found[suite] = {
            metric: _array(values, 0.0 if metric == items[suite].metric else np.nan)
            for metric, values in run.scores.items()
            if metric not in _LEFT_OUT
        }
    return Run(items, found)


def _array(values: Sequence[float | None], missing: float) -> "Scores":
    return np.array([missing if value is None else value for value in values], dtype=float)
