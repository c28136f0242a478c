"""The verdict as a paragraph for somebody who was not there: what moved, how sure that is, and against what."""

import re
from collections.abc import Sequence
from typing import get_args

from vllm_quality.report.comparison import in_order
from vllm_quality.report.units import (
    human_effect,
    human_interval,
    human_size,
    metric_label,
    scale_for,
)
from vllm_quality.verdict.repeats import repeat_remark
from vllm_quality.verdict.statistics.decide import once_in
from vllm_quality.verdict.types import UNTOLD, Finding, Status, Verdict

_TALLY: dict[Status, str] = {
    "worse": "worse",
    "invalid": "not trusted",
    "not_comparable": "not comparable",
    "no_baseline": "without a baseline",
    "underpowered": "too few to tell",
    "pass": "not worse",
    "better": "better",
}
_DRIFT = " That is a loss in small steps, against the oldest accepted releases."
_ITEMS = re.compile(r"it takes (.+)\.$")


def tally(verdict: Verdict) -> list[tuple[Status, str, int]]:
    """How many of the judged metrics ended how, worst first: (status, words, count)."""
    counts = {status: sum(finding.status == status for finding in verdict.findings) for status in get_args(Status)}
    return [(status, words, counts[status]) for status, words in _TALLY.items() if counts[status]]


def paragraph(verdict: Verdict, tags: Sequence[str]) -> str:
    """Two to four sentences. tags: of the releases that it was held against, newest first."""
    text = _paragraph(verdict, tags)
    remark = repeat_remark([*verdict.findings, *verdict.slices])
    return text if remark in text else f"{text} {remark}"


def _paragraph(verdict: Verdict, tags: Sequence[str]) -> str:
    told = [finding for finding in in_order(verdict.findings) if finding.status == verdict.status]
    if not told and verdict.status == "worse":
        told = [part for part in in_order(verdict.slices) if part.status == "worse"]
    if not told:
        return verdict.summary
    match verdict.status:
        case "worse":
            return f"{_worst(told)}{_more(len(told) - 1, 'worse')} {_against(tags)}"
        case "better":
            best = next((finding for finding in reversed(told) if finding.area == "quality"), told[-1])
            return f"{_moved(best)}{_more(len(told) - 1, 'better')} None of the others got worse. {_against(tags)}"
        case "pass" | "underpowered":
            return f"{_no_loss(verdict.findings)} {_against(tags)}"
        case "no_baseline":
            return (
                "No earlier release was measured under the same conditions (data, prompts, load, hardware), so nothing "
                "can be called better or worse. What was measured stands below, and later releases are held against it."
            )
        case _:
            reason = told[0].reason
            begun = reason if "/" in reason.partition(" ")[0] else f"{reason[:1].upper()}{reason[1:]}"
            return f"{begun}{_more(len(told) - 1, 'in the same position')}"


def _against(tags: Sequence[str]) -> str:
    if not tags:
        return ""
    if len(tags) == 1:
        return f"It was held against {tags[0]}."
    return f"It was held against {len(tags)} earlier releases, {tags[0]} the newest and {tags[-1]} the oldest of them."


def _more(count: int, state: str) -> str:
    if count <= 0:
        return ""
    return f" {count} more {'is' if count == 1 else 'are'} {state}."


def _worst(told: Sequence[Finding]) -> str:
    first = told[0]
    if first.effect is not None:
        return f"{_moved(first)}{_DRIFT if first.detector == 'drift' else ''}{_chance(first)}{_twice(first)}"
    if first.change is None:
        return f"{metric_label(first.metric)}: {first.reason}"
    return (
        f"{_moved(first)} That is beyond the plain rule's limit; there were no items or requests to test it by, so how "
        "sure it is cannot be told."
    )


def _twice(finding: Finding) -> str:
    return " It was measured twice." if finding.repeat == "confirmed" else ""


def _moved(finding: Finding) -> str:
    scale = scale_for(finding.metric, finding.unit, (finding.current, finding.baseline))
    interval = human_interval(finding)
    between = f", between {interval.replace(' to ', ' and ')} with 95 % confidence" if interval else ""
    return (
        f"{metric_label(finding.metric)} went from {scale.text(finding.baseline)} to {scale.text(finding.current)} "
        f"({human_effect(finding)}{between})."
    )


def _chance(finding: Finding) -> str:
    if finding.p_adjusted is None:
        return ""
    if finding.p_adjusted > 0.05:
        return ""
    return f" Chance alone does that to fewer than one in {once_in(finding.p_adjusted)} releases that are as good as before."


def _no_loss(findings: Sequence[Finding]) -> str:
    """What is known where no loss was seen, area by area."""
    said = [f"{_none_of(len(findings))} worse beyond chance and what is accepted."]
    for area, name in (("quality", "quality"), ("performance", "speed")):
        own = [finding for finding in findings if finding.area == area and finding.status not in UNTOLD]
        tested = [finding for finding in own if finding.mde is not None and finding.matters is not None]
        weak = [finding for finding in tested if finding.status == "underpowered"]
        if weak:
            said.append(_weak(name, weak, len(tested)))
        elif tested:
            sizes = " or ".join(dict.fromkeys(human_size(finding, finding.matters) for finding in tested))
            said.append(f"In {name}, a loss of {sizes} would have shown, 19 times out of 20.")
    untold = sum(finding.status in UNTOLD for finding in findings)
    if untold:
        said.append(f"{untold} could not be judged; the table says why.")
    if len(said) == 1:
        said.append(
            "Only fixed limits or the plain rule of a relative change were at hand, which do not see small losses."
        )
    return " ".join(said)


def _none_of(count: int) -> str:
    return "The one judged metric is not" if count == 1 else f"None of the {count} judged metrics is"


def _weak(area: str, weak: Sequence[Finding], tested: int) -> str:
    worst = max(weak, key=lambda finding: (finding.mde or 0.0) / (finding.matters or 1.0))
    takes = _ITEMS.search(worst.reason)
    more = f"; to see {human_size(worst, worst.matters)} there, it takes {takes[1]}" if takes else ""
    return (
        f"In {area}, {len(weak)} of {tested} could have lost more than matters and not shown it, {metric_label(worst.metric)} up "
        f"to {human_size(worst, worst.mde)}{more}."
    )
