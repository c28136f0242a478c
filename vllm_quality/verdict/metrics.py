"""The registry of metrics: what each one means, its unit, and which direction is worse.

A metric's name is a path: `eval/<suite>/<metric>`, `load/<scenario>/<stage>/<metric>`, `pipeline/<metric>`. What a whole
ladder or search gave stands where the stage does: `load/<scenario>/plateau/…`, `load/<scenario>/capacity/…`. The last part
decides what it is; nothing is guessed from a name that is not listed here.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

Area = Literal["quality", "performance", "pipeline"]
WITHOUT_OVERLAP = "_without_overlap"  # a score over the items that no other data set holds, beside the plain one


@dataclass(frozen=True)
class MetricDefinition:
    """One kind of metric.

    pattern            regular expression that a whole metric path must match
    higher_is_better   the good direction; None for counts and spreads, which are recorded and never judged
    unit               "s", "1/s", "" (a ratio or score between 0 and 1), "count", or in words what it is ("nats/byte", "tokens")
    title              what a person calls it
    compared           whether it is held against earlier releases; else only against limits that need no history
    signal             whether it is what answers look like, rather than how good they are
    """

    pattern: str
    area: Area
    higher_is_better: bool | None
    unit: str
    title: str
    compared: bool = True
    signal: bool = False


def _load(name: str, higher_is_better: bool | None, unit: str, title: str) -> MetricDefinition:
    return MetricDefinition(rf"load/[^/]+/[^/]+/{name}", "performance", higher_is_better, unit, title)


def _eval(name: str, higher_is_better: bool | None, unit: str, title: str) -> MetricDefinition:
    return MetricDefinition(rf"eval/[^/]+/{name}", "quality", higher_is_better, unit, title)


def _signal(name: str, higher_is_better: bool | None, unit: str, title: str) -> MetricDefinition:
    return replace(_eval(name, higher_is_better, unit, title), signal=True)


_STATISTIC = r"(mean|p50|p90|p95|p99)"

# Order matters: the first pattern that matches wins.
METRICS: tuple[MetricDefinition, ...] = (
    _load(rf"ttft_{_STATISTIC}_s", False, "s", "time to first token"),
    _load(rf"tpot_{_STATISTIC}_s", False, "s", "time per output token"),
    _load(rf"itl_{_STATISTIC}_s", False, "s", "inter-token latency"),
    _load(rf"chunk_gap_{_STATISTIC}_s", False, "s", "gap between events"),
    _load(rf"e2e_{_STATISTIC}_s", False, "s", "request latency"),
    _load(rf"ntpot_{_STATISTIC}_s", False, "s", "request latency per output token"),
    _load("output_tokens_per_s", True, "1/s", "output throughput"),
    _load("requests_per_s", True, "1/s", "completed requests"),
    _load(rf"steady_ttft_{_STATISTIC}_s", False, "s", "time to first token, steady window"),
    _load(rf"steady_tpot_{_STATISTIC}_s", False, "s", "time per output token, steady window"),
    _load("steady_output_tokens_per_s", True, "1/s", "output throughput, steady window"),
    _load("steady_requests_per_s", True, "1/s", "completed requests, steady window"),
    _load("rate_per_s", True, "1/s", "highest rate within the SLO"),
    _load("success_ratio", True, "", "requests that succeeded"),
    _load("goodput_ratio", True, "", "requests within the SLO"),
    _load(r"send_lag_\w+_s", None, "s", "how late the client itself was"),
    _load(r"\w+_count", None, "count", "count"),
    _eval("answer_chars_stderr", None, "characters", "standard error"),
    _eval("answer_tokens_stderr", None, "tokens", "standard error"),
    _eval("gold_logprob_stderr", None, "nats/byte", "standard error"),
    _eval(r"\w+_stderr", None, "", "standard error"),
    _eval(r"\w+_count", None, "count", "count"),
    # What neither direction of is better for itself: when it moved it is told, and nothing is worse for it.
    _signal("answer_chars", None, "characters", "length of the answers"),
    _signal("answer_tokens", None, "tokens", "length of the answers"),
    _signal("truncated_ratio", None, "", "answers cut off by the token limit"),
    _signal("hangul_ratio", None, "", "Hangul among the answers' letters"),
    _signal("refusal_ratio", None, "", "answers that begin as a refusal"),
    # Every item has it, right or wrong: it shows a damaged model long before its answers flip.
    _signal("gold_logprob", True, "nats/byte", "logprob of the right answers"),
    _eval("load_delta_score", None, "", "score under load less the score without"),
    _eval("load_same_ratio", None, "", "answers that load did not change"),
    _eval(
        r"(acc|acc_norm|acc_norm_bytes|acc_mutual_info|exact_match|exact_match_\w+|em|f1|mcc|pass_at_1|pass@1|bleu|chrf|rouge1|rouge2|rougeL)",
        True,
        "",
        "benchmark score",
    ),
    _eval(r"(perplexity|word_perplexity|byte_perplexity|bits_per_byte|ter|brier_score)", False, "", "benchmark loss"),
    _eval(r"canary_\w+", None, "", "frozen answers, which show whether the judge moved"),
    _eval(r"\w+_score", True, "", "mean score of the judged answers"),
    _eval(r"\w+_pass_ratio", True, "", "share of answers that passed"),
    MetricDefinition(r"pipeline/\w+_s", "pipeline", None, "s", "time spent"),
    MetricDefinition(r"pipeline/\w+_count", "pipeline", None, "count", "count"),
)
_COMPILED = tuple((re.compile(definition.pattern), definition) for definition in METRICS)


def definition_of(metric: str) -> MetricDefinition | None:
    """The definition of a metric path, or None when the registry does not know it (then it is never judged)."""
    if metric.endswith(WITHOUT_OVERLAP):
        plain = definition_of(metric.removesuffix(WITHOUT_OVERLAP))
        return plain and replace(plain, title=f"{plain.title}, items that no other set holds", compared=False)
    return next((definition for pattern, definition in _COMPILED if pattern.fullmatch(metric)), None)


def is_signal(metric: str) -> bool:
    """Whether a metric path is of what answers look like, rather than of how good they are."""
    definition = definition_of(metric)
    return definition is not None and definition.signal
