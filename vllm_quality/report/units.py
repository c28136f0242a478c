"""How numbers and metric names are put for a person: ms, tok/s, %, and never more digits than they carry."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from vllm_quality.verdict.metrics import definition_of
from vllm_quality.verdict.types import Finding, Verdict

NONE = "–"
_MINUS = "−"
_STATISTIC = re.compile(r"_(mean|p50|p90|p95|p99|max)_s$")
_DIGITS = {"nats/byte": 4, "characters": 3, "tokens": 3}  # units that are written as they are; a logprob moves by 1 %


@dataclass(frozen=True)
class Scale:
    """How the values of one metric are written, so that those in one row share a unit and line up."""

    factor: float
    suffix: str
    decimals: int

    def text(self, value: float | None) -> str:
        """The value in this scale, with its unit; a dash when there is none."""
        if value is None or not math.isfinite(value):
            return NONE
        return f"{value * self.factor:,.{self.decimals}f}{self.suffix}".replace("-", _MINUS)

    def pair(self, before: float | None, now: float | None) -> str:
        """From where to where: "52.2 % → 49.8 %"; a unit that is a word stands once, "−1.096 → −1.122 nats/byte"."""
        first = self.text(before)
        return f"{first.removesuffix(self.suffix) if self.suffix.strip() in _DIGITS else first} → {self.text(now)}"


def scale_for(metric: str, unit: str, values: Iterable[float | None]) -> Scale:
    """The scale that suits these values of a metric, whose raw unit is as `MetricDefinition` has it."""
    largest = max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
    if unit == "s":
        factor, suffix = (1.0, " s") if largest >= 1 else (1000.0, " ms")
        return Scale(factor, suffix, _decimals(largest * factor))
    if unit == "1/s":
        return Scale(1.0, " tok/s" if "token" in metric else " req/s", _decimals(largest))
    if unit == "count":
        return Scale(1.0, "", 0)
    if unit in _DIGITS:
        return Scale(1.0, f" {unit}", _decimals(largest, _DIGITS[unit]))
    definition = definition_of(metric)
    is_loss = definition is not None and definition.higher_is_better is False
    if largest > 1 or is_loss:
        return Scale(1.0, "", max(1, _decimals(largest)))
    return Scale(100.0, " %", 1)


def human(metric: str, unit: str, value: float | None) -> str:
    """One value on its own, in the unit that suits it."""
    return scale_for(metric, unit, (value,)).text(value)


def human_change(change: float | None) -> str:
    """A relative change with its sign: 0.123 gives "+12.3 %"."""
    if change is None or not math.isfinite(change):
        return NONE
    percent = round(change * 100, 1)
    return "0.0 %" if percent == 0 else f"{percent:+,.1f} %".replace("-", _MINUS)


def human_limit(limit: float | None, higher_is_better: bool) -> str:
    """The change that is still fine: "≤ +10 %" where lower is better, "≥ −10 %" where higher is."""
    if limit is None:
        return NONE
    return f"≥ {_MINUS}{limit * 100:g} %" if higher_is_better else f"≤ +{limit * 100:g} %"


def human_effect(finding: Finding) -> str:
    """How far it moved: "−2.4 points" of a share, "+36.0 %" of all else; the relative change where nothing was tested."""
    if finding.effect is None:
        return human_change(finding.change)
    return f"{_signed(finding, finding.effect)} {effect_unit(finding)}"


def human_interval(finding: Finding) -> str:
    """The 95 % interval of `human_effect`, in its unit: "−3.1 to −1.7"; "" where there is none."""
    if finding.low is None or finding.high is None:
        return ""
    return f"{_signed(finding, finding.low)} to {_signed(finding, finding.high)}"


def human_size(finding: Finding, size: float | None) -> str:
    """A size in the effect's unit without a sign, such as what matters or the smallest loss that shows: "2 points"."""
    if size is None or not math.isfinite(size):
        return NONE
    hundredths = 100 * as_share(finding, size)
    return (
        f"{hundredths:.2g} {effect_unit(finding)}" if hundredths < 100 else f"{hundredths:,.0f} {effect_unit(finding)}"
    )


def is_relative(finding: Finding) -> bool:
    """Whether a difference reads in per cent of what was before, as the tests have it (`verdict/tested.py`).

    Points of a hundred are for shares; they mean nothing to a latency, a logprob, a perplexity or a BLEU of 27.
    """
    definition = definition_of(split_slice(finding.metric)[0])
    is_loss = definition is not None and definition.higher_is_better is False
    is_share = all(0 <= value <= 1 for value in (finding.current or 0.0, finding.baseline or 0.0))
    return finding.area == "performance" or bool(finding.unit) or is_loss or not is_share


def as_share(finding: Finding, difference: float) -> float:
    """A difference in the finding's own unit as a share: of a hundred points, or of what was before where it is relative."""
    raw = finding.area == "quality" and is_relative(finding)
    return difference / (abs(finding.baseline or 0.0) or 1.0) if raw else difference


def effect_unit(finding: Finding) -> str:
    """What a hundredth of `as_share` is called."""
    return "%" if is_relative(finding) else "points"


def _signed(finding: Finding, difference: float) -> str:
    if not math.isfinite(difference):
        return "∞" if difference > 0 else f"{_MINUS}∞"
    hundredths = round(100 * as_share(finding, difference), 1)
    decimals = 0 if abs(hundredths) >= 100 else 1
    return "0.0" if hundredths == 0 else f"{hundredths:+,.{decimals}f}".replace("-", _MINUS)


def human_duration(seconds: float | None) -> str:
    """A span of time a person reads at a glance: "840 ms", "12.4 s", "12 min 3 s", "2 h 5 min"."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if seconds < 60:
        return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def human_time(moment: datetime | None) -> str:
    """A time of day in UTC, to the minute."""
    return NONE if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def short_hash(value: str) -> str:
    """The first twelve hexadecimal digits of a hash or digest; its algorithm stays where it is named."""
    algorithm, colon, digits = value.rpartition(":")
    return f"{algorithm}{colon}{digits[:12]}"


def shortened(text: str, most: int) -> str:
    """At most so many characters, the last of them "…" where it was longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def split_slice(metric: str) -> tuple[str, str]:
    """A metric's path and its slice: "eval/mmlu/acc[law]" is "eval/mmlu/acc" and "law", which is "" for a whole suite."""
    path, _, part = metric.partition("[")
    return path, part.removesuffix("]")


def metric_title(metric: str) -> str:
    """What is measured, without where: "time to first token p99", "exact match"."""
    last = metric.rpartition("/")[2]
    definition = definition_of(metric)
    if definition is None or definition.area == "quality":
        return last.replace("_", " ")
    statistic = _STATISTIC.search(last)
    return f"{definition.title} {statistic[1]}" if statistic else definition.title


def metric_place(metric: str) -> str:
    """Where it is measured: the suite, or "load/<scenario>/<stage>"; "" for what is not a metric's path."""
    parts = metric.split("/")
    return "/".join(parts[:-1] if parts[0] == "load" and len(parts) > 2 else parts[1:-1])


def metric_label(metric: str) -> str:
    """Where and what in one line: "load/baseline/main: time to first token p99", "mmlu, language=ko: acc".

    A whole step, "load/baseline", stays as it is.
    """
    path, part = split_slice(metric)
    place = metric_place(path)
    if not place:
        return metric
    return f"{place}, {part}: {metric_title(path)}" if part else f"{place}: {metric_title(path)}"


def verdict_words(verdict: Verdict) -> str:
    """The verdict as words that follow the tag: "is not worse than its baseline"."""
    if verdict.status == "pass":
        return "is not worse than its baseline"
    if verdict.status == "better":
        return "is better than its baseline"
    if verdict.status == "underpowered":
        return "shows no loss, but one that matters could have stayed unseen"
    if verdict.status == "not_comparable":
        return "was measured, but what it would be compared with has changed since"
    if verdict.status == "worse":
        worse = [finding for finding in verdict.findings if finding.status == "worse"]
        against_limits = bool(worse) and all(finding.change is None for finding in worse)
        return "is beyond a fixed limit" if against_limits else "is worse than its baseline"
    if verdict.status == "no_baseline":
        return "was measured, but there is no comparable earlier release to hold it against"
    if not verdict.findings:
        return "was not measured in anything that is judged"
    return "was measured, but the measurement cannot be trusted"


def _decimals(largest: float, digits: int = 3) -> int:
    """Decimals that leave so many significant digits of the largest value."""
    return 0 if largest == 0 else min(6, max(0, digits - 1 - math.floor(math.log10(largest))))
