"""The words of a verdict: one `Finding` per judged metric, and the `Verdict` made of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

FindingStatus = Literal["ok", "worse", "no_baseline", "invalid"]
VerdictStatus = Literal["pass", "worse", "no_baseline", "invalid"]
FindingArea = Literal["quality", "performance"]

_WORST_FIRST: tuple[FindingStatus, ...] = ("worse", "invalid", "no_baseline", "ok")


@dataclass(frozen=True)
class Finding:
    """What became of one metric.

    metric             full path, such as "load/baseline/main/ttft_p99_s"
    current, baseline  raw values in `unit`; the baseline is the mean of the comparable earlier runs
    change             signed relative change of the raw value, (current - baseline) / |baseline|; None if unknown
    limit              the largest relative change in the bad direction that is still fine, such as 0.10
    unit               "s", "1/s", "" (a score or ratio between 0 and 1) or "count"
    reason             one sentence: why this status
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
        """The inverse of `as_json`."""
        return cls(**stored)


@dataclass(frozen=True)
class Verdict:
    """Whether a release is worse than the ones before it.

    baseline_runs  ids of the runs it was compared with, newest first
    summary        one sentence for a person
    """

    status: VerdictStatus
    findings: tuple[Finding, ...]
    baseline_runs: tuple[str, ...]
    summary: str

    @property
    def worst(self) -> tuple[Finding, ...]:
        """The findings, worst first: by status, then by how far beyond the limit, then by name.

        One that broke a fixed floor or ceiling has no relative limit to be beyond: it leads those that are worse.
        """

        def badness(finding: Finding) -> tuple[int, float, str]:
            beyond = finding.excess
            if beyond is None:
                beyond = float("inf") if finding.status == "worse" else float("-inf")
            return _WORST_FIRST.index(finding.status), -beyond, finding.metric

        return tuple(sorted(self.findings, key=badness))

    def as_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return {
            "status": self.status,
            "summary": self.summary,
            "baseline_runs": list(self.baseline_runs),
            "findings": [finding.as_json() for finding in self.findings],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Verdict":
        """The inverse of `as_json`."""
        return cls(
            status=stored["status"],
            findings=tuple(Finding.from_json(finding) for finding in stored["findings"]),
            baseline_runs=tuple(stored["baseline_runs"]),
            summary=stored["summary"],
        )
