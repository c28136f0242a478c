"""One lm-eval suite on one endpoint: from a line of `evalchemy.json` to scores, samples and whether to trust them."""

import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vllm_quality.errors import UserError
from vllm_quality.eval.answers import SEED, Asking, Progress
from vllm_quality.eval.client import RetryPolicy
from vllm_quality.eval.dataset_source import Source
from vllm_quality.eval.environment import prepare_lm_eval
from vllm_quality.eval.lm_alone import TaskRun, alone_rows, alone_suite, ask_alone, load_metrics
from vllm_quality.eval.lm_comparable import conditions_hash
from vllm_quality.eval.lm_endpoint import Log, make_lm
from vllm_quality.eval.lm_metrics import collect_metrics
from vllm_quality.eval.lm_samples import Outcome, ScoringGuard, key_of, read_outcomes, requests_of
from vllm_quality.eval.lm_stderrs import with_stderrs
from vllm_quality.eval.result import (
    SuiteResult,
    count_metrics,
    find_problem,
    in_short,
    not_judged,
    samples_frame,
    texts_frame,
)
from vllm_quality.eval.signals import signal_metrics
from vllm_quality.eval.stopwatch import Stopwatch
from vllm_quality.eval.suites import Mode, Suite
from vllm_quality.eval.task_loader import LoadedTasks, load_tasks
from vllm_quality.serving.endpoint import Endpoint, EndpointError
from vllm_quality.settings import Profile


class SuiteError(UserError):
    """A suite cannot be run as it is configured."""


def run_suite(
    suite: Suite,
    endpoint: Endpoint,
    api_key: str | None,
    *,
    profile: Profile,
    concurrency: int,
    timeout_s: float,
    work_folder: Path | None = None,
    data: Source | None = None,
    retry: RetryPolicy | None = None,
    on_progress: Progress | None = None,
) -> SuiteResult:
    """Ask the endpoint everything a suite wants to know, and score it with lm-eval.

    work_folder   where downloaded data sets are kept
    data          where data sets come from; None is the Hugging Face hub
    on_progress   called with the requests done and the requests in all
    Raises `TaskError`, `SuiteError` and `EndpointError` before anything is measured; later failures become statuses, and
    so does what the suite's time limit leaves unasked.
    """
    prepare_lm_eval(work_folder)
    watch = Stopwatch()
    with watch.part("loading"):
        loaded = load_tasks(suite, data, work_folder=work_folder)
    how = _how(suite, loaded, endpoint)
    _check_cluster(suite, loaded)
    chosen = {name: choose(task, suite.limit_for(profile)) for name, task in loaded.tasks.items()}
    log, limit_s = Log(watch), suite.time_limit_for(profile)
    guards = {name: ScoringGuard(task, log) for name, task in loaded.tasks.items()}
    asking = Asking(
        endpoint, api_key, concurrency, timeout_s, retry or RetryPolicy(), on_progress, time.monotonic() + limit_s
    )
    with watch.part("scoring"):
        found = _evaluate(suite, loaded, asking, log, chosen, chat=how == "chat")
        results = with_stderrs(loaded, found["results"], found["samples"], suite.cluster)
    runs = [
        TaskRun(task, guards[name], found["samples"][name], requests_of(task, chosen[name]))
        for name, task in loaded.tasks.items()
    ]
    outcomes = [o for run in runs for o in read_outcomes(run.task, run.samples, run.requests, log, run.guard.errors)]
    alone: list[Outcome] = []
    alone_error: str | None = None
    if concurrency > 1 and how != "loglikelihood" and log.gave_up is None:
        with watch.part("asking alone"):
            alone, alone_error = _alone(runs, asking, suite.probe_for(profile), chat=how == "chat")
    metrics = (
        collect_metrics(suite.step, loaded, results)
        | count_metrics(suite.step, [outcome.status for outcome in outcomes])
        | {f"{suite.step}/not_reached_count": float(sum(not outcome.reached for outcome in outcomes))}
        | signal_metrics(suite.step, [outcome.signal for outcome in outcomes])
        | (load_metrics(suite.step, outcomes, alone) if alone else {})
    )
    rows = [row for outcome in outcomes for row in outcome.sample_rows(suite.name)]
    return SuiteResult(
        step=suite.step,
        metrics=metrics,
        samples=samples_frame([*rows, *alone_rows(suite.name, alone)]),
        texts=texts_frame(
            [outcome.text_row(suite.name) for outcome in outcomes]
            + [outcome.text_row(alone_suite(suite.name)) for outcome in alone]
        ),
        comparable=conditions_hash(suite, loaded, found, outcomes, how=how, concurrency=concurrency),
        problem=_problem(outcomes, log.gave_up, limit_s),
        details={
            "task": suite.task,
            "mode": how,
            "profile": profile,
            "versions": {name: str(number) for name, number in found["versions"].items()},
            "num_fewshot": dict(found["n-shot"]),
            "lm_eval": version("lm_eval"),
            "data": dict(loaded.data),
            "null_contents": sum(outcome.error == "the answer's content is null" for outcome in outcomes),
            "shortened_prompts": log.shortened,
            "not_reached": sum(not outcome.reached for outcome in outcomes),
            "time_limit_s": limit_s,
            "asked_alone": alone_error or len(alone),
            "not judged": not_judged(metrics),
            "seconds": watch.seconds(),
            "slowest": watch.slowest(),
            "duration_s": round(watch.total(), 3),
        },
    )


def _alone(runs: Sequence[TaskRun], asking: Asking, count: int, *, chat: bool) -> tuple[list[Outcome], str | None]:
    """What the suite has measured by now must not be lost to a server that goes away here."""
    try:
        return ask_alone(runs, asking, count, chat=chat), None
    except Exception as error:  # filters are the task's own code, too
        return [], str(error) if isinstance(error, UserError) else in_short(error)


def _problem(outcomes: Sequence[Outcome], gave_up: str | None, limit_s: float) -> str | None:
    """Why the scores must not be compared, in one sentence; None when they can be."""
    statuses = [outcome.status for outcome in outcomes]
    late = sum(not outcome.reached for outcome in outcomes)
    without = [o for o in outcomes if o.reached and o.status in ("infra_error", "judge_error")]
    example = next((outcome.error for outcome in without if outcome.error), None)
    if late > len(without) and find_problem(statuses, None, None):
        return (
            f"{late} of {len(outcomes)} items were not reached within the {limit_s:g} s that this suite may take; raise "
            "its time_limit_s, or its limit of items must be lower."
        )
    return find_problem(statuses, gave_up, example)


def _check_cluster(suite: Suite, loaded: LoadedTasks) -> None:
    for name, task in loaded.tasks.items():
        docs = task.eval_docs
        if suite.cluster is not None and len(docs) and suite.cluster not in docs[0]:
            fields = ", ".join(map(str, docs[0]))
            raise SuiteError(
                f"Suite {suite.task!r}: the items of {name!r} have no field {suite.cluster!r} for cluster; there are {fields}."
            )


def choose(task: Any, limit: int | None) -> list[int] | None:
    """Positions of the items to ask: the `limit` with the smallest hashes, so that every release gets the same ones.

    The first ones would do only if no data set were sorted. None means all.
    """
    docs = task.eval_docs
    if limit is None or limit >= len(docs):
        return None
    hashes = sorted((key_of(doc), index) for index, doc in enumerate(docs))
    return sorted(index for _, index in hashes[:limit])


def _how(suite: Suite, loaded: LoadedTasks, endpoint: Endpoint) -> Mode:
    """How the suite is asked. Raises before the first request when the endpoint, or the task, cannot be asked so."""
    can, by_likelihood = set(endpoint.capabilities), loaded.needs_loglikelihood
    where = f"{endpoint.base_url} ({endpoint.engine} {endpoint.engine_version})"
    if by_likelihood and suite.mode in ("chat", "completions"):
        raise SuiteError(
            f"Suite {suite.task!r}: mode {suite.mode!r} cannot score {by_likelihood[0]!r}, which compares the likelihood "
            "of its choices; leave the mode out."
        )
    if suite.mode == "loglikelihood" and len(by_likelihood) < len(loaded.tasks):
        raise SuiteError(
            f"Suite {suite.task!r}: it generates text, so mode 'loglikelihood' has no meaning; leave it out."
        )
    if by_likelihood and not {"echo_logprobs", "tokenize"} <= can:
        raise EndpointError(
            f"Suite {suite.task!r} compares the likelihood of its choices, which {where} cannot tell: it needs /tokenize "
            "and echoed logprobs, as vLLM has them; serve the model with vLLM, or choose a suite that generates text."
        )
    if len(by_likelihood) == len(loaded.tasks):
        return "loglikelihood"
    how: Mode = suite.mode if suite.mode != "auto" else "chat" if "chat" in can and not by_likelihood else "completions"
    if how not in can:
        raise EndpointError(
            f"Suite {suite.task!r} is asked through {how}, which {where} does not offer; change its mode."
        )
    return how


def _evaluate(
    suite: Suite, loaded: LoadedTasks, asking: Asking, log: Log, chosen: dict[str, list[int] | None], *, chat: bool
) -> dict[str, Any]:
    # Not `simple_evaluate`: it starts git to describe the folder that it happens to run in.
    from lm_eval import evaluate

    for task in loaded.tasks.values():
        _set_examples(task, suite.num_fewshot)
    try:
        found: dict[str, Any] = evaluate(
            make_lm(asking, log, chat=chat),
            {"tasks": loaded.tasks, "groups": loaded.groups},
            samples={name: positions for name, positions in chosen.items() if positions is not None} or None,
            apply_chat_template=chat,
            fewshot_as_multiturn=True,
            bootstrap_iters=0,  # the standard errors are ours
            cache_requests=False,
            log_samples=True,
        )
    except UserError:
        raise
    except Exception as error:  # prompts, filters and aggregations are the task's own code
        raise SuiteError(
            f"Suite {suite.task!r} broke off in lm-eval ({in_short(error)}); check the task's file."
        ) from error
    return found


def _set_examples(task: Any, wanted: int | None) -> None:
    """lm-eval's own rule: the wanted number, but a task that says 0 itself keeps to that. The examples are seeded."""
    given = task.get_config("num_fewshot")
    if given is None or (wanted is not None and given != 0):
        task.set_config("num_fewshot", wanted or 0)
    task.set_fewshot_seed(seed=SEED)
