"""Why two releases cannot be compared in a step, or in one metric of it, in words. Pure."""

from collections.abc import Mapping

import polars as pl

from vllm_quality.eval.canary import describe_move
from vllm_quality.eval.labelled import SUITE as CANARY
from vllm_quality.eval.result import EVERY
from vllm_quality.verdict.compare.release import Release
from vllm_quality.verdict.item_evidence import LEAST_COMMON

_LATER_S = 0.001  # by which a request may be due later and still be the same one


def untrusted(release: Release, step: str) -> str | None:
    """Why a release's figures of a step are nothing to compare with; None where they are, or it has none."""
    if step in release.conditions:
        return None
    return (
        f"run {release.name} had a problem in it, or a second measurement did not bear it out; its report says which."
    )


def differing(before: Release, after: Release, step: str) -> str | None:
    """What it was measured under that differs between two releases that can be trusted in it; None where nothing does."""
    if before.conditions.get(step) == after.conditions.get(step):
        return None
    load = step.startswith("load/")
    for name in ("hardware", "profile") if load else ("profile",):
        own, other = before.facts.get(name), after.facts.get(name)
        if own != other:
            return f"the {name} differs ({own or 'none'} before, {other or 'none'} now)."
    if not load:
        return _differing_items(before.samples_of(step), after.samples_of(step))
    if _other_tape(before.requests_of(step), after.requests_of(step)):
        return "the tape differs: the same request has another prompt, or is due at another time."
    return "the tape or the scenario's settings differ."


def few_common(before: Release, after: Release, step: str) -> dict[str, str]:
    """Metric -> why too few of its items have a score in both."""
    found, then, now = {}, before.samples_of(step), after.samples_of(step)
    for name in sorted(set(then["metric"]) & set(now["metric"])):
        own, other = (set(frame.filter(pl.col("metric") == name)["item_hash"]) for frame in (then, now))
        if len(own & other) < LEAST_COMMON * max(len(own), len(other)):
            path = f"{step}/{name}" if "/" in step else name
            found[path] = f"only {len(own & other):,} items have a score in both, of {len(own):,} and {len(other):,}"
    return found


def judge_moved(before: Release, after: Release) -> dict[str, str]:
    """Metric -> how the judge that judged it moved between the two, by its frozen answers (see `results/judge_history.py`)."""
    moves = {}
    then, now = _canaries(before.samples), _canaries(after.samples)
    for canary in sorted(then.keys() & now.keys()):
        if (move := describe_move(now[canary], then[canary])) is not None:
            moves[canary[1]] = move
    judged = after.samples.filter(pl.col("judge").is_in(list(moves)) & ~pl.col("suite").str.starts_with(CANARY))
    found = {}
    for suite, metric, judge in judged.select("suite", "metric", "judge").unique().sort(pl.all()).iter_rows():
        for name in (metric, f"{metric.removesuffix('_score')}_pass_ratio", f"{EVERY}_pass_ratio"):
            if (path := f"eval/{suite}/{name}") in after.metrics:
                found[path] = moves[judge]
    return found


def _differing_items(before: pl.DataFrame, after: pl.DataFrame) -> str:
    then, now = (dict(frame.select("item_hash", "prompt_hash").iter_rows()) for frame in (before, after))
    if then.keys() != now.keys():
        return f"its items differ ({len(then):,} before, {len(now):,} now, {len(then.keys() & now.keys()):,} in both)."
    return "its prompts differ." if then != now else "its settings, scoring or versions differ."


def _other_tape(before: pl.DataFrame | None, after: pl.DataFrame | None) -> bool:
    if before is None or after is None:
        return False
    both = before.join(after, on=["stage", "request_index"], suffix="_now")
    other = (pl.col("item") != pl.col("item_now")) | ((pl.col("due_s") - pl.col("due_s_now")).abs() > _LATER_S)
    return not both.filter(other).is_empty()


def _canaries(samples: pl.DataFrame) -> Mapping[tuple[str, str], Mapping[str, float]]:
    """The suite of a canary and its judge -> answer, with what was asked of the judge -> score."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    own = samples.filter(pl.col("suite").str.starts_with(CANARY))
    for suite, judge, item, prompt, score in own.select(
        "suite", "judge", "item_hash", "prompt_hash", "score"
    ).iter_rows():
        found.setdefault((suite, judge), {})[f"{item} {prompt}"] = score
    return found
