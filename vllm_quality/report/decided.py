"""What a verdict allowed and what took part in it: false alarms, accepted losses, second measurements, drift, signals."""

from collections.abc import Iterable, Sequence

from vllm_quality.report.units import human_size, metric_title
from vllm_quality.verdict.repeats import count_repeats
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import Finding, Verdict

_DRIFT = (
    "A loss in small steps is none to its neighbours. Each metric is tested against the oldest accepted runs as well, in the "
    "same family of tests; where that finds a loss and the window does not, it is called worse by drift."
)
_SIGNALS = (
    "Lengths, languages, refusals and items that changed sides are tested two-sided, as families of their own with the same "
    "chance of a false alarm in all, and are told where they moved."
)
_CONFIRMATION = (
    "A suspicion is measured a second time before it is an alarm. The second measurement decides alone, by the same tests, "
    "about what was suspected and nothing else; its figures are shown."
)


def decided(verdict: Verdict, thresholds: Thresholds | None) -> list[tuple[str, str]]:
    """(term, what it was in this verdict); what took no part is left out."""
    findings = [*verdict.findings, *verdict.slices]
    terms = [
        ("False alarms", _alpha(verdict, thresholds)),
        ("Accepted losses", _budgets(verdict.findings)),
        ("Measured again", _repeats(findings)),
        ("Drift", _DRIFT if any(finding.detector == "drift" for finding in findings) else ""),
        ("What else moved", _SIGNALS if verdict.moved else ""),
    ]
    return [(term, said) for term, said in terms if said]


def _alpha(verdict: Verdict, thresholds: Thresholds | None) -> str:
    alpha = thresholds.alpha if verdict.alpha is None and thresholds is not None else verdict.alpha
    if alpha is None:
        return ""
    return f"The chance that a release which is no worse gets any alarm is {alpha * 100:g} %, however many are tested."


def _budgets(findings: Sequence[Finding]) -> str:
    """Up to which loss each kind of metric is let through; those with a budget of their own by name."""
    accepted: dict[str, dict[str, None]] = {}
    for finding in sorted(findings, key=lambda finding: finding.area, reverse=True):
        if finding.budget is not None:
            kind = (
                "speed"
                if finding.area == "performance"
                else metric_title(finding.metric)
                if finding.unit
                else "a score"
            )
            accepted.setdefault(human_size(finding, finding.budget), {})[kind] = None
    if not accepted:
        return ""
    parts = [f"{size} of {' or '.join(kinds)}" for size, kinds in accepted.items()]
    return f"However certain it is, a loss of up to {', '.join(parts)} is accepted."


def _repeats(findings: Iterable[Finding]) -> str:
    counts = count_repeats(findings)
    total = sum(counts.values())
    if not total:
        return ""
    ended = [
        f"{counts['confirmed']} confirmed" if counts["confirmed"] else "",
        f"{counts['refuted']} not borne out" if counts["refuted"] else "",
        f"{counts['failed']} left as suspected, as the second measurement failed" if counts["failed"] else "",
    ]
    many = f"{total} suspicion{'s were' if total > 1 else ' was'}"
    return f"{_CONFIRMATION} {many} measured again: {', '.join(filter(None, ended))}."
