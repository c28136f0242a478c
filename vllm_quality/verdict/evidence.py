"""What there is to compare, figure by figure: items asked of this release and of earlier ones, requests of the same tape.

Pure: frames of samples and requests go in, effects come out. A figure without items or requests of its own is held against
the scatter of whole runs, or against its standard errors.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from vllm_quality.verdict.metrics import definition_of
from vllm_quality.verdict.statistics.dispersion import observed, shared
from vllm_quality.verdict.statistics.effect import CONFIDENCE, Effect, Noise
from vllm_quality.verdict.statistics.latency import Runs, compare_runs, dispersions, of_figures, of_requests
from vllm_quality.verdict.statistics.quality import compare_items
from vllm_quality.verdict.statistics.window import FEWEST_RUNS
from vllm_quality.verdict.types import Detector, FlippedItem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_COMMON = 0.95  # of this release's items must an earlier run have for the two to be compared
_MOST_FLIPPED = 20  # of a metric
_SMALLEST_SLICE = 10  # items; fewer are in the whole only
_CLOCK = re.compile(r"(?P<clock>ttft|tpot|e2e|ntpot)_(?P<statistic>mean|p\d\d)_s")


@dataclass(frozen=True)
class EarlierRun:
    """One comparable run of another release: its metrics, and the rows it left (`SAMPLE_SCHEMA`, `REQUEST_SCHEMA`)."""

    run_id: str
    metrics: Mapping[str, float]
    samples: pl.DataFrame | None = None
    requests: pl.DataFrame | None = None


@dataclass(frozen=True)
class Step:
    """What one step measured of this release, and the comparable runs before it, the newest first."""

    metrics: Mapping[str, float]
    samples: pl.DataFrame | None
    requests: pl.DataFrame | None
    earlier: Sequence[EarlierRun]


@dataclass(frozen=True)
class Evidence:
    """Metric path -> its effect and what that rests on; a metric that is not here has the PRD's rule alone.

    slices   metric path -> part of its suite ("language=ko") -> effect on the items of that part
    flipped  the items that lost most against the newest earlier run
    """

    effects: Mapping[str, tuple[Effect, Detector]] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Effect]] = field(default_factory=dict)
    flipped: tuple[FlippedItem, ...] = ()


def gather(steps: Iterable[Step], judged: Iterable[str]) -> Evidence:
    """The evidence on the judged metrics of all steps."""
    wanted = set(judged)
    items: dict[str, _Items] = {}
    runs: dict[str, tuple[Runs, Detector]] = {}
    means: dict[str, Effect] = {}
    for step in steps:
        for metric in sorted(wanted & step.metrics.keys()):
            earlier = [run for run in step.earlier if metric in run.metrics]
            if not earlier:
                continue
            if metric.startswith("load/"):
                if (found := _load(metric, step, earlier)) is not None:
                    runs[metric] = found
            elif (own := _items(metric, step, earlier)) is not None:
                items[metric] = own
            elif (mean := _means(metric, step.metrics, earlier)) is not None:
                means[metric] = mean
    effects: dict[str, tuple[Effect, Detector]] = {metric: (effect, "means") for metric, effect in means.items()}
    effects |= _compare_items(items)
    slices = {metric: parts for metric, own in items.items() if (parts := own.slices())}
    phi = dispersions({metric: each for metric, (each, _) in runs.items()})
    effects |= {metric: (compare_runs(each, phi[metric]), detector) for metric, (each, detector) in runs.items()}
    flipped = [flip for metric, own in items.items() for flip in own.flipped(metric)[:_MOST_FLIPPED]]
    return Evidence(effects, slices, tuple(sorted(flipped, key=lambda each: (-each.loss, each.metric, each.item))))


@dataclass(frozen=True)
class _Items:
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

    def slices(self) -> dict[str, Effect]:
        """The effect on each part that has enough items and is not all of them."""
        found = {}
        for name, rows in sorted(self.parts.items()):
            if _SMALLEST_SLICE <= len(rows) < len(self.names):
                own = [self.current[at] for at in rows], [self.clusters[at] for at in rows]
                if (effect := compare_items(self.window[:, rows], *own)) is not None:
                    found[name] = effect
        return found

    def flipped(self, metric: str) -> list[FlippedItem]:
        definition = definition_of(metric)
        sign = -1 if definition is not None and definition.higher_is_better is False else 1
        pairs = zip(self.names, self.window[-1].tolist(), self.current, strict=True)
        lost = [FlippedItem(metric, item, was, now, sign * (was - now)) for item, was, now in pairs]
        return sorted((each for each in lost if each.loss > 0), key=lambda each: (-each.loss, each.item))


def _compare_items(items: Mapping[str, _Items]) -> dict[str, tuple[Effect, Detector]]:
    phi = shared({metric: observed(own.window) for metric, own in items.items() if len(own.window) >= FEWEST_RUNS})
    found: dict[str, tuple[Effect, Detector]] = {}
    for metric, own in items.items():
        effect = compare_items(own.window, own.current, own.clusters, phi.get(metric))
        if effect is not None:
            found[metric] = (effect, "items")
    return found


def _items(metric: str, step: Step, earlier: Sequence[EarlierRun]) -> _Items | None:
    """The items that all have a score of; None where the metric is no mean over items, or too few are common."""
    import numpy as np

    name = metric.rpartition("/")[2]
    now = _scores(step.samples, name)
    if len(now) < 2 or not math.isclose(sum(now.values()) / len(now), step.metrics[metric], abs_tol=1e-9):
        return None
    then = [
        scores
        for run in earlier
        if len((scores := _scores(run.samples, name)).keys() & now.keys()) >= LEAST_COMMON * len(now)
    ]
    if not then:
        return None
    common = sorted(now.keys() & set.intersection(*(set(scores) for scores in then)))
    if len(common) < LEAST_COMMON * len(now):  # each run lacks others: the newest alone
        then, common = then[:1], sorted(now.keys() & then[0].keys())
    window = np.array([[scores[item] for item in common] for scores in reversed(then)])
    return _Items(common, window, [now[item] for item in common], *_belongings(step.samples, name, common))


def _belongings(
    samples: pl.DataFrame | None, metric: str, items: Sequence[str]
) -> tuple[list[str], dict[str, list[int]]]:
    """What each item shares with others, and the parts of the suite; runs of before had neither."""
    if samples is None or not {"cluster", "slices"} <= set(samples.columns):
        return [f"item {item}" for item in items], {}
    own = samples.filter(pl.col("metric") == metric).select("item_hash", "cluster", "slices")
    known = {item: (cluster, slices) for item, cluster, slices in own.iter_rows()}
    parts: dict[str, list[int]] = {}
    for at, item in enumerate(items):
        for name in known[item][1] or ():
            parts.setdefault(name, []).append(at)
    return [known[item][0] or f"item {item}" for item in items], parts


def _scores(samples: pl.DataFrame | None, metric: str) -> dict[str, float]:
    if samples is None:
        return {}
    own = samples.filter((pl.col("metric") == metric) & pl.col("score").is_not_null())
    return dict(own.select("item_hash", "score").iter_rows())


def _means(metric: str, now: Mapping[str, float], earlier: Sequence[EarlierRun]) -> Effect | None:
    """Against the newest run, by the standard errors of both: wide, since nothing is paired."""
    from scipy.stats import norm

    key, before = f"{metric}_stderr", earlier[0].metrics
    if key not in now or key not in before:
        return None
    stderr = math.hypot(now[key], before[key])
    difference = now[metric] - before[metric]
    if stderr == 0:
        return None
    half = float(norm.ppf(0.5 + CONFIDENCE / 2)) * stderr
    n = int(now.get(f"{metric.rpartition('/')[0]}/items_count", 0))
    return Effect(
        n=n,
        baseline=before[metric],
        current=now[metric],
        difference=difference,
        stderr=stderr,
        low=difference - half,
        high=difference + half,
        p_lower=float(norm.cdf(difference / stderr)),
        p_higher=float(norm.sf(difference / stderr)),
        noise=Noise(stderr, max(n, 1)),
        method="standard errors of both, unpaired",
    )


def _load(metric: str, step: Step, earlier: Sequence[EarlierRun]) -> tuple[Runs, Detector] | None:
    _, scenario, stage, name = (*metric.split("/", 3), "", "")[:4]
    clock = _CLOCK.fullmatch(name)
    if clock is not None:
        share = None if clock["statistic"] == "mean" else int(clock["statistic"][1:]) / 100
        now = _clock(step.requests, scenario, stage, clock["clock"])
        then = [_clock(run.requests, scenario, stage, clock["clock"]) for run in reversed(earlier)]
        found = _aligned([values for values in then if values], now, share)
        if found is not None:
            return found, "requests"
    figures = of_figures([run.metrics[metric] for run in reversed(earlier)], step.metrics[metric])
    return None if figures is None else (figures, "runs")


def _aligned(then: Sequence[Mapping[int, float]], now: Mapping[int, float], share: float | None) -> Runs | None:
    """Request i of one run beside request i of the others, as far as all of them played the tape."""
    import numpy as np

    if not then or not now:
        return None
    length = min(max(values) for values in (*then, now)) + 1
    rows = [np.array([values.get(index, math.nan) for index in range(length)]) for values in (*then, now)]
    return of_requests(rows[:-1], rows[-1], share)


def _clock(requests: pl.DataFrame | None, scenario: str, stage: str, name: str) -> dict[int, float]:
    """Request number -> one clock's value, of those that succeeded."""
    if requests is None:
        return {}
    values = clocks(requests.filter((pl.col("scenario") == scenario) & (pl.col("stage") == stage)))
    return dict(values.select("request_index", name).drop_nulls().iter_rows())


def clocks(requests: pl.DataFrame) -> pl.DataFrame:
    """request_index, origin and ttft, tpot, e2e, ntpot in seconds of the requests that succeeded (`load/figures/metrics.py` defines them).

    A request counts from when it was due; where nothing was due (closed loop), from its sending.
    """
    origin, first, last = pl.coalesce("due_s", "sent_s"), pl.col("first_token_s"), pl.col("last_token_s")
    tokens = pl.col("output_tokens").cast(pl.Float64)
    e2e: Any = pl.coalesce(last, "end_s") - origin
    return requests.filter(pl.col("outcome") == "ok").select(
        "request_index",
        origin=origin,
        ttft=first - origin,
        tpot=pl.when((tokens > 1) & (last > first)).then((last - first) / (tokens - 1)),
        e2e=e2e,
        ntpot=pl.when(tokens > 0).then(e2e / tokens),
    )
