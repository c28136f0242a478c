"""Loads, limits and outcomes in a few words, for tables, charts and the page."""

from collections.abc import Sequence
from typing import Any

from vllm_quality.load.result import LoadResult, StageResult
from vllm_quality.load.schedule import Load, Ramp
from vllm_quality.report.units import NONE

_LIMITS = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2e": "request latency"}


def planned(stages: Sequence[StageResult]) -> list[StageResult]:
    """The scenario's own stages; the probes of a capacity search where there is nothing else."""
    return [stage for stage in stages if not stage.probe] or list(stages)


def stage_title(stage: StageResult) -> str:
    """A stage's name; a probe's with its rate, since its number says nothing."""
    return f"{stage.name} ({load_words(stage.load)})" if stage.probe else stage.name


def load_value(load: Load) -> float | None:
    """The load as one number: streams or users of a closed loop, requests/s of an open one; None where it changes."""
    for name in ("streams", "users", "rate"):
        value = getattr(load, name, None)
        if value is not None:
            return float(value)
    return None


def load_words(load: Load) -> str:
    """The load in short: "32 streams", "10/s", "5 to 20/s"."""
    value = load_value(load)
    if value is not None:
        thing = "user" if load.type == "users" else "stream"
        return f"{short(value)}/s" if load.open_loop else f"{short(value)} {thing}{'s' * (value != 1)}"
    return f"{short(load.from_rate)} to {short(load.to_rate)}/s" if isinstance(load, Ramp) else load.label


def short(value: float) -> str:
    """A load in four digits; whole numbers in full."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def said_slo(slo: Any) -> str:
    """An SLO as a person says it: "TTFT ≤ 500 ms and TPOT ≤ 50 ms"; empty without one."""
    if slo is None:
        return ""
    limits = ((words, getattr(slo, name, None)) for name, words in _LIMITS.items())
    return " and ".join(f"{words} ≤ {seconds * 1000:g} ms" for words, seconds in limits if seconds is not None)


def requests_words(result: LoadResult) -> str:
    """How many requests there were and how they ended, one sentence."""
    sent = result.requests.height
    ok = int((result.requests["outcome"] == "ok").sum())
    if not sent:
        return "No request was sent."
    if ok == sent:
        return f"All of {sent:,} requests ended ok."
    return f"{ok:,} of {sent:,} requests ended ok, {sent - ok:,} failed ({percent(1 - ok / sent)})."


def percent(share: float | None) -> str:
    """A share of 1 in percent; small ones are not rounded to nothing."""
    if share is None:
        return NONE
    return f"{share * 100:.1f} %" if share >= 0.001 or share == 0 else "< 0.1 %"
