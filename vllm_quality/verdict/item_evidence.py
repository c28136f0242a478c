"""A suite's items in this release and in earlier runs: the scores that all of them have, side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from vllm_quality.verdict.metrics import definition_of
from vllm_quality.verdict.statistics.dispersion import Dispersion
from vllm_quality.verdict.statistics.effect import Effect
from vllm_quality.verdict.statistics.flips import Flips, count_flips
from vllm_quality.verdict.statistics.quality import compare_items
from vllm_quality.verdict.types import FlippedItem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_COMMON = 0.95  # of this release's items must an earlier run have for the two to be compared
_SMALLEST_SLICE = 10  # items; fewer are in the whole only
_LONGEST = "length=the longest prompts"  # a context that is cut off shows there


@dataclass(frozen=True)
class Items:
    """Scores by item: one row per earlier run, the newest last.

    names     the items' hashes
    clusters  what each shares with others
    parts     slice -> positions of its items
    """

    names: Sequence[str]
    window: "NDArray[np.float64]"
    current: Sequence[float]
    clusters: Sequence[str]
    parts: Mapping[str, Sequence[int]]

    def effect(self, dispersion: Dispersion | None) -> Effect | None:
        """The effect on all items."""
        return compare_items(self.window, self.current, self.clusters, dispersion)

    def slices(self) -> dict[str, Effect]:
        """The effect on each part that has enough items and is not all of them."""
        found = {}
        for name, rows in sorted(self.parts.items()):
            if _SMALLEST_SLICE <= len(rows) < len(self.names):
                own = [self.current[at] for at in rows], [self.clusters[at] for at in rows]
                if (effect := compare_items(self.window[:, rows], *own)) is not None:
                    found[name] = effect
        return found

    def flips(self) -> Flips | None:
        """How many items changed sides; None where their scores are not right or wrong, or no two earlier runs tell."""
        return count_flips(self.window, self.current)

    def flipped(self, metric: str) -> list[FlippedItem]:
        """The items that lost against the newest earlier run, the largest loss first."""
        definition = definition_of(metric)
        sign = -1 if definition is not None and definition.higher_is_better is False else 1
        pairs = zip(self.names, self.window[-1].tolist(), self.current, strict=True)
        lost = [FlippedItem(metric, item, was, now, sign * (was - now)) for item, was, now in pairs]
        return sorted((each for each in lost if each.loss > 0), key=lambda each: (-each.loss, each.item))


def items_of(
    metric: str, value: float, samples: pl.DataFrame | None, earlier: Sequence[pl.DataFrame | None]
) -> Items | None:
    """The items that all have a score of; None where the metric is no mean over items, or too few are common.

    value    the metric of this release
    earlier  samples of the runs before, the newest first
    """
    import numpy as np

    name = metric.rpartition("/")[2]
    now = _scores(samples, name)
    if len(now) < 2 or not math.isclose(sum(now.values()) / len(now), value, abs_tol=1e-9):
        return None
    then = [
        scores for run in earlier if len((scores := _scores(run, name)).keys() & now.keys()) >= LEAST_COMMON * len(now)
    ]
    if not then:
        return None
    common = sorted(now.keys() & set.intersection(*(set(scores) for scores in then)))
    if len(common) < LEAST_COMMON * len(now):  # each run lacks others: the newest alone
        then, common = then[:1], sorted(now.keys() & then[0].keys())
    window = np.array([[scores[item] for item in common] for scores in reversed(then)])
    clusters, parts = _belongings(samples, name, common)
    # As the newest earlier run counted: a release that cuts its prompts off counts what is left of them.
    if long := _longest(earlier[0], name, common):
        parts[_LONGEST] = long
    return Items(common, window, [now[item] for item in common], clusters, parts)


def _belongings(
    samples: pl.DataFrame | None, metric: str, items: Sequence[str]
) -> tuple[list[str], dict[str, list[int]]]:
    """What each item shares with others, and the parts of the suite; runs of before had neither."""
    if samples is None or not {"cluster", "slices"} <= set(samples.columns):
        return [f"item {item}" for item in items], {}
    own = samples.filter(pl.col("metric") == metric)
    known = {
        item: (cluster, slices) for item, cluster, slices in own.select("item_hash", "cluster", "slices").iter_rows()
    }
    parts: dict[str, list[int]] = {}
    for at, item in enumerate(items):
        for name in known[item][1] or ():
            parts.setdefault(name, []).append(at)
    return [known[item][0] or f"item {item}" for item in items], parts


def _longest(samples: pl.DataFrame | None, metric: str, items: Sequence[str]) -> list[int]:
    """The positions of the quarter with the longest prompts; none where their lengths are not known, or hardly differ."""
    if samples is None or "prompt_tokens" not in samples.columns:
        return []
    lengths = dict(samples.filter(pl.col("metric") == metric).select("item_hash", "prompt_tokens").iter_rows())
    known = [length for item in items if (length := lengths.get(item)) is not None]
    if not known or len(known) < len(items):
        return []
    least = sorted(known)[3 * len(known) // 4]
    found = [at for at, length in enumerate(known) if length >= least]
    return found if 2 * len(found) <= len(known) else []


def _scores(samples: pl.DataFrame | None, metric: str) -> dict[str, float]:
    if samples is None:
        return {}
    own = samples.filter((pl.col("metric") == metric) & pl.col("score").is_not_null())
    return dict(own.select("item_hash", "score").iter_rows())
