"""What there is to compare, figure by figure: items asked of this release and of earlier ones, requests of the same tape.

Pure: frames of samples and requests go in, effects come out. A figure without items or requests of its own is held against
the scatter of whole runs, or against its standard errors.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from vllm_quality.verdict.item_evidence import Items, items_of
from vllm_quality.verdict.load_evidence import runs_of
from vllm_quality.verdict.metrics import is_signal
from vllm_quality.verdict.statistics.dispersion import observed, shared
from vllm_quality.verdict.statistics.effect import CONFIDENCE, Effect, Noise
from vllm_quality.verdict.statistics.flips import Flips
from vllm_quality.verdict.statistics.latency import Runs, compare_runs, dispersions
from vllm_quality.verdict.statistics.window import FEWEST_RUNS
from vllm_quality.verdict.types import Detector, FlippedItem

_MOST_FLIPPED = 20  # of a metric


@dataclass(frozen=True)
class EarlierRun:
    """One comparable run of another release: its metrics, and the rows it left (`SAMPLE_SCHEMA`, `REQUEST_SCHEMA`)."""

    run_id: str
    metrics: Mapping[str, float]
    samples: pl.DataFrame | None = None
    requests: pl.DataFrame | None = None


@dataclass(frozen=True)
class Step:
    """What one step measured of this release, and the comparable runs before it, the newest first.

    earlier  the window
    oldest   those of long before, which show a loss that is none to its neighbours; empty while the window reaches back as far
    """

    metrics: Mapping[str, float]
    samples: pl.DataFrame | None
    requests: pl.DataFrame | None
    earlier: Sequence[EarlierRun]
    oldest: Sequence[EarlierRun] = ()


@dataclass(frozen=True)
class Evidence:
    """Metric path -> its effect and what that rests on; a metric that is not here has the PRD's rule alone.

    drift    metric path -> effect against the oldest accepted runs
    slices   metric path -> part of its suite ("language=ko") -> effect on the items of that part
    flipped  the items that lost most against the newest earlier run
    signals  metric path -> effect on what answers look like, of the metrics that are not judged
    flips    metric path -> how many of its items changed sides
    """

    effects: Mapping[str, tuple[Effect, Detector]] = field(default_factory=dict)
    drift: Mapping[str, Effect] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Effect]] = field(default_factory=dict)
    flipped: tuple[FlippedItem, ...] = ()
    signals: Mapping[str, Effect] = field(default_factory=dict)
    flips: Mapping[str, Flips] = field(default_factory=dict)

    def only(self, slices: Collection[str]) -> "Evidence":
        """The evidence on metrics, and of the slices on these ("path[language=ko]") alone."""
        kept = {
            metric: {part: effect for part, effect in parts.items() if f"{metric}[{part}]" in slices}
            for metric, parts in self.slices.items()
        }
        return replace(self, slices={metric: parts for metric, parts in kept.items() if parts})


def gather(steps: Sequence[Step], judged: Iterable[str]) -> Evidence:
    """The evidence on the judged metrics of all steps, and on their signals."""
    wanted = set(judged)
    # Any change of arithmetic moves a logprob: how signals scatter from run to run says nothing of scores.
    scores, old_scores, signals, old_signals = _Family(), _Family(), _Family(), _Family()
    for step in steps:
        told = {metric for metric in step.metrics if is_signal(metric)}
        scores.add(step, wanted - told, step.earlier)
        signals.add(step, told, step.earlier)
        old_scores.add(step, wanted - told, step.oldest)
        old_signals.add(step, told & wanted, step.oldest)
    looks, old = signals.effects(), old_scores.effects() | old_signals.effects()
    items = scores.items | {metric: own for metric, own in signals.items.items() if metric in wanted}
    flipped = [flip for metric, own in scores.items.items() for flip in own.flipped(metric)[:_MOST_FLIPPED]]
    return Evidence(
        effects=scores.effects() | {metric: found for metric, found in looks.items() if metric in wanted},
        drift={metric: effect for metric, (effect, detector) in old.items() if detector != "means"},
        slices={metric: parts for metric, own in items.items() if (parts := own.slices())},
        flipped=tuple(sorted(flipped, key=lambda each: (-each.loss, each.metric, each.item))),
        signals={m: effect for m, (effect, detector) in looks.items() if m not in wanted and detector == "items"},
        flips={metric: flips for metric, own in scores.items.items() if (flips := own.flips()) is not None},
    )


class _Family:
    """What is compared with one set of earlier runs; how much runs scatter is learnt from all of it."""

    def __init__(self) -> None:
        self.items: dict[str, Items] = {}
        self._runs: dict[str, tuple[Runs, Detector]] = {}
        self._means: dict[str, Effect] = {}

    def add(self, step: Step, wanted: Collection[str], runs: Sequence[EarlierRun]) -> None:
        """Take in the wanted metrics of a step."""
        for metric in sorted(step.metrics.keys() & wanted):
            earlier = [run for run in runs if metric in run.metrics]
            if not earlier:
                continue
            value = step.metrics[metric]
            if metric.startswith("load/"):
                found = runs_of(metric, value, step.requests, [(run.metrics[metric], run.requests) for run in earlier])
                if found is not None:
                    self._runs[metric] = found
            elif (own := items_of(metric, value, step.samples, [run.samples for run in earlier])) is not None:
                self.items[metric] = own
            elif (mean := _means(metric, step.metrics, earlier[0].metrics)) is not None:
                self._means[metric] = mean

    def effects(self) -> dict[str, tuple[Effect, Detector]]:
        """Each metric's effect, and what it rests on."""
        found: dict[str, tuple[Effect, Detector]] = {
            metric: (effect, "means") for metric, effect in self._means.items()
        }
        seen = {metric: observed(own.window) for metric, own in self.items.items() if len(own.window) >= FEWEST_RUNS}
        scatter = shared(seen)
        for metric, own in self.items.items():
            if (effect := own.effect(scatter.get(metric))) is not None:
                found[metric] = (effect, "items")
        phi = dispersions({metric: each for metric, (each, _) in self._runs.items()})
        return found | {m: (compare_runs(each, phi[m]), detector) for m, (each, detector) in self._runs.items()}


def _means(metric: str, now: Mapping[str, float], before: Mapping[str, float]) -> Effect | None:
    """Against the newest run, by the standard errors of both: wide, since nothing is paired."""
    from scipy.stats import norm

    key = f"{metric}_stderr"
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
