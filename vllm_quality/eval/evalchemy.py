"""One of Evalchemy's own benchmarks on one endpoint: its command in its own Python, its failures said, its results taken in.

Evalchemy logs an error of lm-eval and goes on without the task, and ends with code 0: only what its results hold was measured.
"""

import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vllm_quality.eval.evalchemy_checkout import Checkout, EvalchemyError
from vllm_quality.eval.evalchemy_results import examples, read_results, scores
from vllm_quality.eval.judge import JudgeSettings
from vllm_quality.eval.result import SuiteResult, count_metrics, hash_of, not_judged, samples_frame, texts_frame
from vllm_quality.eval.suites import Suite
from vllm_quality.serving.endpoint import Endpoint, EndpointError
from vllm_quality.settings import Profile

_NOWHERE = "http://127.0.0.1:9/v1"  # the port named discard: nobody is asked by mistake
_OURS = ("VLLM_QUALITY_", "AWS_", "DAGSTER_", "OPENAI_", "PYTHON", "VIRTUAL_ENV")  # our secrets, our interpreter
_GRACE_S = 5.0
_TAIL_LINES, _TAIL_BYTES = 40, 1 << 16
_SAID = re.compile(
    r"Error in pretrain evaluation: .*|Error (?:loading|registering) benchmark .*|^\w*(?:Error|Exception)\b.*"
)


def run_evalchemy(
    suite: Suite,
    endpoint: Endpoint,
    api_key: str | None,
    *,
    checkout: Checkout,
    profile: Profile,
    concurrency: int,
    timeout_s: float,
    work_folder: Path,
    judge: JudgeSettings | None = None,
) -> SuiteResult:
    """Run one benchmark of a checkout and take its results in. Profile smoke is Evalchemy's --debug: two or three items.

    timeout_s    of one request; the whole run may take the suite's own time limit
    work_folder  where it writes; the log stays there when it fails
    judge        who judges, where the benchmark needs a judge
    Raises `EvalchemyError` and `EndpointError`, one sentence: what it said, and where its log is.
    """
    judge = _check(suite, endpoint, api_key, judge, needs_judge=checkout.needs_judge(suite.task))
    folder = work_folder / "evalchemy" / f"{suite.name}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True, mode=0o700)
    started, log, limit_s = time.monotonic(), folder / "log.txt", suite.time_limit_for(profile)
    arguments = _arguments(suite, endpoint, judge, profile=profile, concurrency=concurrency, timeout_s=timeout_s)
    command = [str(checkout.python), "-m", "eval.eval", *arguments, "--output_path", str(folder / "results")]
    code = _run(command, checkout.folder, _environment(api_key, judge), log, limit_s)
    tail = _tail(log, api_key, judge)
    found = (read_results(folder / "results") or {}).get(suite.task)
    failure = _failure(code, found, tail, limit_s)
    if failure:
        raise EvalchemyError(f"Suite {suite.task!r}: Evalchemy {failure}; its log is {log}.")
    items = list(examples(suite.task, found or {}))
    metrics = {f"{suite.step}/{name}": value for name, value in scores(found or {}).items()}
    metrics |= count_metrics(suite.step, [item.status for item in items]) if items else {}
    version = checkout.version()
    shutil.rmtree(folder, ignore_errors=True)
    return SuiteResult(
        step=suite.step,
        metrics=metrics,
        samples=samples_frame([item.sample_row(suite.name) for item in items if item.score is not None]),
        texts=texts_frame([item.text_row(suite.name) for item in items]),
        comparable=hash_of(
            {
                "evalchemy": version,
                "task": suite.task,
                "arguments": [part for part in arguments if endpoint.base_url not in part],
                "concurrency": concurrency,
                "judge": judge and [judge.url, judge.model],
            }
        ),
        details={
            "task": suite.task,
            "runner": "evalchemy",
            "evalchemy": version,
            "profile": profile,
            "log": tail,
            "not judged": not_judged(metrics),
            "duration_s": round(time.monotonic() - started, 3),
        },
    )


def _check(
    suite: Suite, endpoint: Endpoint, api_key: str | None, judge: JudgeSettings | None, *, needs_judge: bool
) -> JudgeSettings | None:
    """The judge, where one is needed. Raises before anything is started when the suite cannot be run so."""
    if suite.mode not in ("auto", "chat"):
        raise EvalchemyError(
            f"Suite {suite.task!r}: Evalchemy asks through chat, not {suite.mode!r}; leave the mode out."
        )
    if "chat" not in endpoint.capabilities:
        raise EndpointError(
            f"Suite {suite.task!r}: Evalchemy asks through chat, which {endpoint.base_url} does not offer; drop the suite."
        )
    for name in (endpoint.base_url, endpoint.model):
        if "," in name:
            raise EvalchemyError(
                f"Suite {suite.task!r}: Evalchemy takes no comma in {name!r}; serve it under another name."
            )
    if not needs_judge:
        return None
    if judge is None:
        raise EvalchemyError(
            f"Suite {suite.task!r} needs a judge; set VLLM_QUALITY_JUDGE_URL and VLLM_QUALITY_JUDGE_MODEL."
        )
    if judge.api_key != api_key:
        raise EvalchemyError(
            f"Suite {suite.task!r}: Evalchemy sends one key to the endpoint and to the judge alike; give both the same one "
            "(VLLM_QUALITY_API_KEY, VLLM_QUALITY_JUDGE_API_KEY), or drop the suite."
        )
    return judge


def _arguments(
    suite: Suite,
    endpoint: Endpoint,
    judge: JudgeSettings | None,
    *,
    profile: Profile,
    concurrency: int,
    timeout_s: float,
) -> list[str]:
    model = {
        "base_url": f"{endpoint.base_url}/v1/chat/completions",
        "model": endpoint.model,
        "num_concurrent": concurrency,
        "max_retries": 3,
        "timeout": int(timeout_s) or 1,
    }
    # Of lm-eval's classes for an endpoint only this one gets Evalchemy's own token limits and seeds (eval/task.py). Not
    # --config either: without max_tokens in the file it ends in a TypeError.
    arguments = ["--model", "openai-chat-completions", "--apply_chat_template"]
    arguments += ["--model_args", ",".join(f"{key}={value}" for key, value in model.items())]
    arguments += ["--tasks", suite.task, "--batch_size", "1"]
    if suite.num_fewshot is not None:
        arguments += ["--num_fewshot", str(suite.num_fewshot)]
    limit = suite.limit_for(profile)
    if limit is not None:
        arguments += ["--limit", str(limit)]  # of lm-eval's tasks; its own benchmarks are whole, or --debug
    if profile == "smoke":
        arguments += ["--debug"]
    return arguments + (["--annotator_model", suite.annotator_model or judge.model] if judge else [])


def _environment(api_key: str | None, judge: JudgeSettings | None) -> dict[str, str]:
    """The caller's environment without our secrets; the key here, since arguments can be seen by everybody."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    address = judge.url if judge else _NOWHERE
    # The judge's client has the same key: without an address of its own it would take it to OpenAI.
    return {
        **kept,
        "OPENAI_API_KEY": api_key or "none",
        "OPENAI_BASE_URL": address,
        "OPENAI_API_BASE": address,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "WANDB_MODE": "disabled",
        "PYTHONUNBUFFERED": "1",
    }


def _run(command: list[str], folder: Path, environment: Mapping[str, str], log: Path, limit_s: float) -> int | None:
    """The command's exit code; None when its time was up. Whatever it started ends with it."""
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(  # noqa: S603  # no shell
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise EvalchemyError(f"Evalchemy's Python {command[0]} cannot be started ({error.strerror}).") from None
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _failure(code: int | None, found: object, tail: list[str], limit_s: float) -> str | None:
    """What went wrong, as the end of a sentence; None when the task was measured."""
    said = next((match[0].strip() for line in reversed(tail) if (match := _SAID.search(line))), "")
    because = f" ({said[:300]})" if said else ""
    if code is None:
        return f"was not done after {limit_s:g} s and was ended, with all that it had started"
    if code != 0:
        return f"ended with code {code}{because}"
    if found is None:
        return f"has no result for the task, although it ended with code 0{because}"
    if not isinstance(found, dict):
        return f"has a result for the task that is none: {str(found)[:100]}"
    if found.get("error"):
        return f"failed at the task ({str(found['error'])[:300]})"
    if not scores(found):
        return f"has a result for the task without any score{because}"
    return None


def _tail(log: Path, api_key: str | None, judge: JudgeSettings | None) -> list[str]:
    """The last lines of the log, without secrets."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = file.read().decode("utf-8", "replace")
    for secret in filter(None, (api_key, judge.api_key if judge else None)):
        text = text.replace(secret, "***")
    return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()][-_TAIL_LINES:]
