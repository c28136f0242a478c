"""The words of a verdict: one `Finding` per judged metric, and the `Verdict` made of them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

# pass            a loss that matters would have shown, and none did
# worse           beyond chance and beyond the budget, or beyond a fixed limit
# better          beyond chance
# underpowered    no loss showed, but one that matters might not have
# not_comparable  there are earlier results, but what they stand for has changed since (the judge moved)
# invalid         the measurement itself cannot be trusted
# no_baseline     no earlier result is comparable
Status = Literal["pass", "worse", "better", "underpowered", "not_comparable", "invalid", "no_baseline"]
FindingStatus = Status
VerdictStatus = Status
FindingArea = Literal["quality", "performance"]
Detector = Literal["items", "means", "requests", "runs", "drift", "rule", "limit", ""]
# what a second measurement, made because of a suspicion, said of it; "failed": it could not be trusted
Repeat = Literal["confirmed", "refuted", "failed", ""]

_WORST_FIRST: tuple[Status, ...] = (
    "worse",
    "invalid",
    "not_comparable",
    "no_baseline",
    "underpowered",
    "pass",
    "better",
)
UNTOLD: tuple[Status, ...] = ("invalid", "not_comparable", "no_baseline")  # nothing was compared


@dataclass(frozen=True)
class Finding:
    """What became of one metric.

    metric             full path, such as "load/baseline/main/ttft_p99_s"
    current, baseline  raw values in `unit`; the baseline is the mean of the comparable earlier runs
    change             signed relative change of the raw value, (current - baseline) / |baseline|; None if unknown
    limit              the largest relative change in the bad direction that is still fine, such as 0.10
    unit               "s", "1/s", "" (a score or ratio between 0 and 1), "count" or a word such as "nats/byte"
    reason             one sentence: why this status
    detector           what the status rests on: items or requests that both have, the means of both and their errors,
                       whole runs, either of them in the oldest accepted runs ("drift"), the PRD's rule of a relative change
                       alone, or a fixed limit
    rule_says_worse    whether the PRD's rule alone would call it worse; None where it has nothing to say
    effect             signed difference, with its 95 % interval (low, high): raw for scores, relative for load
    p_value            one-sided, for worse; p_adjusted allows for everything tested beside it
    mde                the smallest loss that would have been found 95 % of the time, in the effect's unit; `matters` is the
                       one that had to be, and up to `budget` a loss is accepted
    n                  items, requests or runs behind it
    method             the test, in words
    repeat             what a second measurement said, where there was a suspicion; then the figures are its figures, and
                       `first` is the reason that the first one gave
    """

    metric: str
    area: FindingArea
    status: FindingStatus
    current: float | None
    baseline: float | None
    change: float | None
    limit: float | None
    higher_is_better: bool
    unit: str
    reason: str
    detector: Detector = ""
    rule_says_worse: bool | None = None
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    mde: float | None = None
    matters: float | None = None
    n: int | None = None
    method: str = ""
    budget: float | None = None
    repeat: Repeat = ""
    first: str = ""

    @property
    def worsening(self) -> float | None:
        """The relative change in the bad direction: positive is worse, whichever direction is good."""
        if self.change is None:
            return None
        return -self.change if self.higher_is_better else self.change

    @property
    def excess(self) -> float | None:
        """How far the worsening is beyond the limit; negative within it."""
        if self.worsening is None or self.limit is None:
            return None
        return self.worsening - self.limit

    def as_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Finding":
        """The inverse of `as_json`; verdicts of before the statistics called "pass" "ok"."""
        return cls(**{**stored, "status": "pass" if stored["status"] == "ok" else stored["status"]})


@dataclass(frozen=True)
class FlippedItem:
    """An item whose score changed; `item` is its hash, `loss` how much worse it got in the metric's unit."""

    metric: str
    item: str
    baseline: float
    current: float
    loss: float


@dataclass(frozen=True)
class Moved:
    """What answers look like has changed beyond chance; nothing is worse for it.

    metric       full path of the signal; "path[flips]" for the share of a metric's items that changed sides
    low, high    95 % interval of the difference; None for flips
    p_adjusted   two-sided, allowing for all signals
    """

    metric: str
    title: str
    baseline: float
    current: float
    low: float | None
    high: float | None
    p_adjusted: float
    n: int


@dataclass(frozen=True)
class Verdict:
    """Whether a release is worse than the ones before it.

    baseline_runs  ids of the runs it was compared with, newest first
    summary        one sentence for a person
    slices         parts of suites (a subject, a language) that were tested beside the whole; the metric is "path[slice]"
    flipped        items whose score changed most for the worse against the newest of the baseline runs
    moved          signals that changed, the surest first
    alpha          chance of a false alarm that was allowed; None for verdicts of before it was kept
    """

    status: VerdictStatus
    findings: tuple[Finding, ...]
    baseline_runs: tuple[str, ...]
    summary: str
    slices: tuple[Finding, ...] = ()
    flipped: tuple[FlippedItem, ...] = ()
    moved: tuple[Moved, ...] = ()
    alpha: float | None = None

    @property
    def worst(self) -> tuple[Finding, ...]:
        """The findings, worst first: by status, then by how far beyond the limit, then by name.

        One that broke a fixed floor or ceiling has no relative limit to be beyond: it leads those that are worse.
        """
        return worst_first(self.findings)

    def as_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return {
            "status": self.status,
            "summary": self.summary,
            "baseline_runs": list(self.baseline_runs),
            "findings": [finding.as_json() for finding in self.findings],
            "slices": [finding.as_json() for finding in self.slices],
            "flipped": [asdict(item) for item in self.flipped],
            "moved": [asdict(signal) for signal in self.moved],
            "alpha": self.alpha,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Verdict":
        """The inverse of `as_json`."""
        return cls(
            status=stored["status"],
            findings=tuple(Finding.from_json(finding) for finding in stored["findings"]),
            baseline_runs=tuple(stored["baseline_runs"]),
            summary=stored["summary"],
            slices=tuple(Finding.from_json(finding) for finding in stored.get("slices", ())),
            flipped=tuple(FlippedItem(**item) for item in stored.get("flipped", ())),
            moved=tuple(Moved(**signal) for signal in stored.get("moved", ())),
            alpha=stored.get("alpha"),
        )


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings by status, then by how far beyond the limit, then by name."""

    def badness(finding: Finding) -> tuple[int, float, str]:
        beyond = finding.excess
        if beyond is None:
            beyond = float("inf") if finding.status == "worse" else float("-inf")
        return _WORST_FIRST.index(finding.status), -beyond, finding.metric

    return tuple(sorted(findings, key=badness))
