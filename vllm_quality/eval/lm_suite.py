"""One lm-eval suite on one endpoint: from a line of `evalchemy.json` to scores, samples and whether to trust them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vllm_quality.errors import UserError
from vllm_quality.eval.answers import SEED, Asking, Progress
from vllm_quality.eval.client import RetryPolicy
from vllm_quality.eval.dataset_source import Source
from vllm_quality.eval.environment import keep_templates, prepare_lm_eval
from vllm_quality.eval.lm_alone import TaskRun, ask_alone
from vllm_quality.eval.lm_endpoint import Log, make_lm
from vllm_quality.eval.lm_overlap import Overlap, no_overlap
from vllm_quality.eval.lm_result import Measured, suite_result
from vllm_quality.eval.lm_samples import Outcome, ScoringGuard, key_of, read_outcomes, requests_of
from vllm_quality.eval.lm_stderrs import with_stderrs
from vllm_quality.eval.result import SuiteResult, in_short
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
    overlap: Overlap = no_overlap,
    retry: RetryPolicy | None = None,
    on_progress: Progress | None = None,
) -> SuiteResult:
    """Ask the endpoint everything a suite wants to know, and score it with lm-eval.

    work_folder   where downloaded data sets are kept
    data          where data sets come from; None is the Hugging Face hub
    overlap       which of a task's items another data set holds as well
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
    limit_s = suite.time_limit_for(profile)
    asking = Asking(
        endpoint, api_key, concurrency, timeout_s, retry or RetryPolicy(), on_progress, time.monotonic() + limit_s
    )
    return suite_result(_measure(suite, loaded, asking, watch, profile, how), limit_s, overlap)


def _measure(
    suite: Suite, loaded: LoadedTasks, asking: Asking, watch: Stopwatch, profile: Profile, how: Mode
) -> Measured:
    """The suite's items asked and scored, and a few of them asked once more alone."""
    chosen = {name: choose(task, suite.limit_for(profile)) for name, task in loaded.tasks.items()}
    log = Log(watch)
    guards = {name: ScoringGuard(task, log) for name, task in loaded.tasks.items()}
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
    if asking.concurrency > 1 and how != "loglikelihood" and log.gave_up is None:
        with watch.part("asking alone"):
            alone, alone_error = _alone(runs, asking, suite.probe_for(profile), chat=how == "chat")
    return Measured(suite, profile, how, asking.concurrency, loaded, found, results, outcomes, alone, alone_error, log)


def _alone(runs: Sequence[TaskRun], asking: Asking, count: int, *, chat: bool) -> tuple[list[Outcome], str | None]:
    """What the suite has measured by now must not be lost to a server that goes away here."""
    try:
        return ask_alone(runs, asking, count, chat=chat), None
    except Exception as error:  # filters are the task's own code, too
        return [], str(error) if isinstance(error, UserError) else in_short(error)


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

    keep_templates()
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
