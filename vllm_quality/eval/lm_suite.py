"""One lm-eval suite on one endpoint: from a line of `evalchemy.json` to scores, samples and whether to trust them."""

import json
import re
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vllm_quality.errors import UserError
from vllm_quality.eval.answers import SEED, Asking, Progress
from vllm_quality.eval.client import RetryPolicy
from vllm_quality.eval.environment import prepare_lm_eval
from vllm_quality.eval.lm_endpoint import Log, make_lm
from vllm_quality.eval.lm_metrics import collect_metrics
from vllm_quality.eval.lm_samples import Outcome, ScoringGuard, key_of, read_outcomes
from vllm_quality.eval.result import (
    SuiteResult,
    count_metrics,
    find_problem,
    hash_of,
    in_short,
    not_judged,
    samples_frame,
    texts_frame,
)
from vllm_quality.eval.suites import Mode, Suite
from vllm_quality.eval.task_loader import LoadedTasks, load_tasks
from vllm_quality.serving.endpoint import Endpoint, EndpointError
from vllm_quality.settings import Profile

_BOOTSTRAPS = 200  # for metrics that are no mean: their standard error is then right to about 5 %

_SCORING = ("metric_list", "filter_list", "process_results")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function that has no source: another one in every process


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
    retry: RetryPolicy | None = None,
    on_progress: Progress | None = None,
) -> SuiteResult:
    """Ask the endpoint everything a suite wants to know, and score it with lm-eval.

    work_folder   where downloaded data sets are kept
    on_progress   called with the requests done and the requests in all
    Raises `TaskError`, `SuiteError` and `EndpointError` before anything is measured; later failures become statuses.
    """
    prepare_lm_eval(work_folder)
    loaded = load_tasks(suite)
    how = _how(suite, loaded, endpoint)
    chosen = {name: choose(task, suite.limit_for(profile)) for name, task in loaded.tasks.items()}
    log = Log()
    guards = {name: ScoringGuard(task, log) for name, task in loaded.tasks.items()}
    asking = Asking(endpoint, api_key, concurrency, timeout_s, retry or RetryPolicy(), on_progress)
    started = time.monotonic()
    found = _evaluate(suite, loaded, asking, log, chosen, chat=how == "chat")
    outcomes = [
        outcome
        for name, task in loaded.tasks.items()
        for outcome in read_outcomes(task, found["samples"][name], chosen[name], log, guards[name])
    ]
    statuses = [outcome.status for outcome in outcomes]
    example = next((o.error for o in outcomes if o.status in ("infra_error", "judge_error") and o.error), None)
    metrics = collect_metrics(suite.step, loaded, found["results"]) | count_metrics(suite.step, statuses)
    return SuiteResult(
        step=suite.step,
        metrics=metrics,
        samples=samples_frame([row for outcome in outcomes for row in outcome.sample_rows(suite.name)]),
        texts=texts_frame([outcome.text_row(suite.name) for outcome in outcomes]),
        comparable=_comparable(suite, loaded, found, outcomes, how=how, concurrency=concurrency),
        problem=find_problem(statuses, log.gave_up, example),
        details={
            "task": suite.task,
            "mode": how,
            "profile": profile,
            "versions": {name: str(number) for name, number in found["versions"].items()},
            "num_fewshot": dict(found["n-shot"]),
            "lm_eval": version("lm_eval"),
            "null_contents": sum(outcome.error == "the answer's content is null" for outcome in outcomes),
            "shortened_prompts": log.shortened,
            "not judged": not_judged(metrics),
            "duration_s": round(time.monotonic() - started, 3),
        },
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
            bootstrap_iters=_BOOTSTRAPS,
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


def _comparable(
    suite: Suite,
    loaded: LoadedTasks,
    found: dict[str, Any],
    outcomes: Sequence[Outcome],
    *,
    how: Mode,
    concurrency: int,
) -> str:
    """Everything but the release that shapes the scores. Concurrency is in it: batching moves greedy answers."""
    tasks = {}
    for name, task in sorted(loaded.tasks.items()):
        config = task.dump_config()
        requests = [[request.idx, *request.args] for request in task.instances]
        tasks[name] = {
            "version": str(found["versions"][name]),
            "scoring": _ADDRESS.sub("", json.dumps([config.get(key) for key in _SCORING], sort_keys=True, default=str)),
            "requests": hash_of(requests),
        }
    items = [[outcome.item_hash, outcome.prompt_hash, outcome.target_hash] for outcome in outcomes]
    return hash_of(
        {
            "task": suite.task,
            "mode": how,
            "concurrency": concurrency,
            "lm_eval": version("lm_eval"),
            "seed": SEED,
            "tasks": tasks,
            "items": hash_of(items),
        }
    )
