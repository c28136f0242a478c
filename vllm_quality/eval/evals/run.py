"""One eval on one release: rows without an answer are asked, every answer is graded by every criterion."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from vllm_quality.eval.answers import Asking, Progress
from vllm_quality.eval.canary_run import canary_metrics, canary_sample, canary_text
from vllm_quality.eval.client import RetryPolicy, run_async
from vllm_quality.eval.evals.alone import alone_metrics, alone_samples, alone_text, probe_size
from vllm_quality.eval.evals.canary import CANARY
from vllm_quality.eval.evals.load import load_plan
from vllm_quality.eval.evals.outcome import (  # fmt: skip
    Outcome,
    collect_metrics,
    is_yes_no,
    problem_of,
    sample_rows,
    signal_samples,
    text_row,
)
from vllm_quality.eval.evals.plan import EvalError, Plan, Row
from vllm_quality.eval.evals.runner import Done, Grading, Runner
from vllm_quality.eval.graders.python_grader import PythonLimits
from vllm_quality.eval.judge import JudgeSettings
from vllm_quality.eval.labelled import LabelledAnswer
from vllm_quality.eval.result import SuiteResult, hash_of, not_judged, samples_frame, texts_frame
from vllm_quality.serving.endpoint import Endpoint, EndpointError
from vllm_quality.settings import Profile

ROWS: Mapping[Profile, int | None] = {"smoke": 20, "standard": 200, "full": None}
GRADERS_VERSION = 1  # raised when a grader of ours gives other scores than before
_MOST_SHOWN = 5


def run_eval(
    eval_file: Path | Plan,
    data: Path | None,
    endpoint: Endpoint | None,
    api_key: str | None,
    *,
    judge: JudgeSettings | None,
    embedding_model: str | None = None,
    profile: Profile,
    concurrency: int,
    timeout_s: float,
    retry: RetryPolicy | None = None,
    time_limit_s: float | None = None,
    frozen: Sequence[LabelledAnswer] = (),
    limits: PythonLimits | None = None,
    skip_unsupported: bool = False,
    on_progress: Progress | None = None,
) -> SuiteResult:
    """Ask what has no answer yet, grade everything.

    eval_file         OpenAI's eval JSON, a Promptfoo configuration, or a plan made of either
    data              JSON lines of rows; None takes those of the eval itself
    endpoint          the release; None where every row has an answer
    judge             None: criteria that need one have no scores
    embedding_model   served by the judge's endpoint, for `cosine`
    time_limit_s      seconds that asking may take, and again that grading may; None for the eval's or the profile's own
    frozen            answers that the judge grades again where it judges anything, to show whether it moved
    skip_unsupported  leave out what of a Promptfoo configuration cannot be done
    on_progress       called with what is done and what is to do, in rows: each is asked, then graded
    Raises `EvalError`, `EndpointError` before anything is measured; later failures become statuses.
    """
    plan = eval_file if isinstance(eval_file, Plan) else load_plan(eval_file, data, skip_unsupported=skip_unsupported)
    rows = choose(plan, ROWS[profile])
    _check_endpoint(plan, rows, endpoint)
    limit_s = time_limit_s or plan.bounds.time_limit_for(profile)
    retry, started = retry or RetryPolicy(), time.monotonic()
    asking = None
    if endpoint is not None:
        asking = Asking(endpoint, api_key, concurrency, timeout_s, retry, on_progress, started + limit_s)
    grading = Grading(judge, embedding_model, concurrency, timeout_s, retry, limits, limit_s)
    probe = probe_size(plan, profile, rows) if concurrency > 1 else 0
    runner = Runner(plan, asking, grading)
    done = run_async(lambda: runner.run(rows, on_progress, probe=probe, frozen=frozen))
    metrics = _metrics(plan, done)
    return SuiteResult(
        step=_step(plan),
        metrics=metrics,
        samples=_samples(plan, done),
        texts=_texts(plan, done),
        comparable=_comparable(plan, rows, judge, embedding_model, concurrency),
        problem=problem_of(plan.criteria, done.outcomes, done.gave_up, limit_s),
        details={
            **_told(plan, done),
            "profile": profile,
            "time_limit_s": limit_s,
            "judge": judge.model if judge and "judge" in plan.needs else None,
            "not judged": not_judged(metrics),
            "duration_s": round(time.monotonic() - started, 3),
        },
    )


def _check_endpoint(plan: Plan, rows: Sequence[tuple[str, Row]], endpoint: Endpoint | None) -> None:
    if endpoint is None and any(row.sample is None for _, row in rows):
        raise EvalError(f"Eval {plan.name!r} has rows without answers; name the release to ask with --base-url.")
    if endpoint is not None and "chat" not in endpoint.capabilities and plan.asks_release:
        raise EndpointError(f"{endpoint.base_url} offers no chat, which evals are asked through; serve a chat model.")


def _step(plan: Plan) -> str:
    return f"eval/{plan.name}"


def _metrics(plan: Plan, done: Done) -> dict[str, float]:
    step = _step(plan)
    return (
        collect_metrics(step, plan.criteria, done.outcomes)
        | canary_metrics(step, done.canary)
        | alone_metrics(step, done.outcomes, done.alone)
    )


def _samples(plan: Plan, done: Done) -> pl.DataFrame:
    rows = [row for outcome in done.outcomes for row in _rows(plan, outcome)]
    rows += [row for outcome in done.alone for row in alone_samples(plan.name, outcome)]
    return samples_frame([*rows, *(canary_sample(CANARY, entry) for entry in done.canary)])


def _rows(plan: Plan, outcome: Outcome) -> list[dict[str, object]]:
    return [*sample_rows(plan.name, outcome), *signal_samples(plan.name, outcome)]


def _texts(plan: Plan, done: Done) -> pl.DataFrame:
    rows = [text_row(plan.name, outcome) for outcome in done.outcomes]
    rows += [alone_text(plan.name, outcome) for outcome in done.alone]
    return texts_frame([*rows, *(canary_text(CANARY, entry) for entry in done.canary)])


def choose(plan: Plan, limit: int | None) -> list[tuple[str, Row]]:
    """The rows to run with their hashes: the `limit` smallest, so that every release gets the same ones; None is all."""
    seen: Counter[str] = Counter()
    keyed = []
    for row in plan.rows:
        content = hash_of([row.item, row.sample, row.messages])
        keyed.append((hash_of([content, seen[content]]) if seen[content] else content, row))
        seen[content] += 1
    if limit is None or limit >= len(keyed):
        return keyed
    kept = {key for key, _ in sorted(keyed, key=lambda pair: pair[0])[:limit]}
    return [pair for pair in keyed if pair[0] in kept]


def _told(plan: Plan, done: Done) -> dict[str, Any]:
    """What a person wants to know beside the figures."""
    outcomes = done.outcomes
    statuses = {
        name: dict(Counter(o.results[name].status for o in outcomes if name in o.results)) for name in plan.criteria
    }
    return {
        "criteria": plan.criteria,
        "yes or no": [name for name in plan.criteria if is_yes_no(name, outcomes)],
        "statuses": statuses,
        "without scores": {n: r.judge for o in outcomes for n, r in o.results.items() if r.lacks_model},
        "ranges": _ranges(outcomes),
        "min_pass": dict(plan.min_pass),
        "seconds": _seconds(outcomes),
        "bad_rows": len(plan.bad_rows),
        "bad_row_examples": [f"line {row.line} {row.reason}" for row in plan.bad_rows[:_MOST_SHOWN]],
        "notes": list(plan.notes),
        "not_reached": sum(not outcome.answer.reached for outcome in outcomes),
        "not_graded": sum(result.late for outcome in outcomes for result in outcome.results.values()),
        "asked_alone": len(done.alone) if plan.greedy else "nothing: the sampling is not greedy",
        "canary": f"{len(done.canary)} answers" if done.canary else None,
        "null_contents": sum(outcome.answer.error == "the answer's content is null" for outcome in outcomes),
    }


def _ranges(outcomes: Sequence[Outcome]) -> dict[str, list[float]]:
    """The range of each criterion that has another one than from 0 to 1."""
    checks = [(name, check) for outcome in outcomes for name, check in outcome.row.checks.items()]
    return {name: list(check.grader.span) for name, check in checks if check.grader.span != (0.0, 1.0)}


def _seconds(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Where the time went, by part; parts ran side by side."""
    spent = Counter({"asking the release": sum(o.asked_s for o in outcomes if o.row.sample is None)})
    for outcome in outcomes:
        spent.update({f"grading {name}": result.seconds for name, result in outcome.results.items()})
    return {name: round(seconds, 3) for name, seconds in spent.items()}


def _comparable(
    plan: Plan,
    rows: Sequence[tuple[str, Row]],
    judge: JudgeSettings | None,
    embedding_model: str | None,
    concurrency: int,
) -> str:
    """Everything but the release that shapes the scores. Concurrency is in it: batching moves greedy answers."""
    needs = plan.needs
    checks = {id(check): check for _, row in rows for check in row.checks.values()}
    told = {
        key: hash_of([check.grader.model_dump(mode="json"), check.inverted, check.weight])
        for key, check in checks.items()
    }
    return hash_of(
        {
            "name": plan.name,
            "rows": [[key, {name: told[id(c)] for name, c in row.checks.items()}, row.threshold] for key, row in rows],
            "sampling": [plan.sampling.max_tokens, plan.sampling.temperature, plan.sampling.seed, plan.sampling.extra],
            "judge": judge.model if judge and "judge" in needs else None,
            "embeddings": embedding_model if "embeddings" in needs else None,
            "concurrency": concurrency if plan.asks_release else None,
            "graders": [GRADERS_VERSION, *(version(name) for name in ("sacrebleu", "nltk", "rapidfuzz"))],
        }
    )
