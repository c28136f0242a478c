"""`stress_test`: Qianfan's stress test of an LLM service, by its parameters and its summary's names.

Works in a notebook as it is: nothing is patched, and a running event loop is left alone.

QPS                   requests that ended ok per second of TotalTime
RPM                   60 x QPS: both count over one window (Qianfan's older SDKs took two, so that they disagreed)
Latency               from sending to the last token, seconds, of the requests that ended ok
FirstTokenLatency     from sending to the first token, likewise
InputTokens Avg, OutputTokens Avg
                      tokens of a request that ended ok, as the server counts them
TotalQuery            requests sent; SuccessQuery + FailureQuery
TotalTime             from the first user's start to the end of the last request, seconds
SuccessRate           percent of TotalQuery
50%, 80%              percentiles, interpolated linearly
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
from rich.console import Console
from rich.text import Text

from vllm_quality.load.errors import LoadError
from vllm_quality.load.load_test import measure
from vllm_quality.load.option_scenario import validated
from vllm_quality.load.option_values import seconds
from vllm_quality.load.output.save import default_folder, prepare_folder
from vllm_quality.load.result import LoadResult
from vllm_quality.serving.endpoint import identify, resolve_base_url
from vllm_quality.settings import load_settings

_APIS = {"ChatCompletion": "chat", "Completion": "completions"}

# A prompt; {"prompt": …, "response": …}; or a conversation: a list of such turns, or of {"role": …, "content": …}.
Query = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class StressTestResult:
    """summary: Qianfan's names -> value (None where nothing succeeded); result: everything measured; folder: the log path."""

    summary: Mapping[str, float | int | None]
    result: LoadResult
    folder: Path

    def __str__(self) -> str:
        return summary_text(self.summary)


def stress_test(
    data: str | Path | Sequence[Query],
    *,
    users: int,
    workers: int = 1,
    spawn_rate: float,
    runtime: str = "0s",
    model: str | None = None,
    endpoint: str | None = None,
    model_type: Literal["ChatCompletion", "Completion"] = "ChatCompletion",
    hyperparameters: Mapping[str, Any] | None = None,
    api_key: str | None = None,
    timeout: float = 600,
    output: str | Path | None = None,
    calibrate: bool = True,
    console: Console | None = None,
) -> StressTestResult:
    """Let `users` ask `data`'s queries until the data are used up or the runtime is over; shows live figures, prints the summary.

    data             a file (JSONL of turn lists, JSON of prompt and response, text of a prompt a line, and what else
                     `data.conversations` reads), or the queries themselves; a conversation's last answer is not sent
    users, workers   virtual users, and the processes that share them: users >= workers
    spawn_rate       users that come per second
    runtime          "300s", "20m", "1h30m"; "0s" has no limit and ends when the data were used once
    model, endpoint  served model name, and the server's address; VLLM_QUALITY_MODEL and VLLM_QUALITY_BASE_URL when None
    hyperparameters  further keys of each request, such as temperature, top_p and max_output_tokens
    api_key          VLLM_QUALITY_API_KEY when None
    timeout          seconds one request may take
    output           folder of the reports; ./load-test-<time> when None

    Raises `LoadError` and other `UserError`s, one sentence, when nothing can be measured.
    """
    _check(users, workers, model_type)
    given = {"base_url": endpoint, "model": model, "api_key": api_key}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    if settings.base_url is None:
        raise LoadError("No endpoint is given; pass endpoint='http://127.0.0.1:8000' or set VLLM_QUALITY_BASE_URL.")
    console = console or Console()
    folder = Path(output) if output is not None else default_folder()
    load = {"type": "users", "users": users, "spawn_rate": spawn_rate, "runtime_s": seconds(runtime, "runtime")}
    known, further = _hyperparameters(hyperparameters or {})
    scenario = validated(
        {
            "name": "stress_test",
            "profile": "custom",
            "title": f"{users} users",
            "api": _APIS[model_type],
            "data": {"path": str(_data_file(data, folder)), "turns": "last"},
            "ignore_eos": False,
            "stages": [load],
            "timeouts": {"total": timeout, "first_token": timeout},
            "hyperparameters": further,
            **known,
        }
    )
    prepare_folder(folder)
    base_url = resolve_base_url(settings.base_url, "")
    target = identify(base_url, settings.model, settings.endpoint_key, settings.request_timeout_s)
    result, _ = measure(
        scenario,
        target,
        settings.endpoint_key,
        folder,
        console,
        hardware=settings.hardware,
        workers=workers,
        calibrate=calibrate,
    )
    tested = StressTestResult(qianfan_summary(result), result, folder)
    console.print(Text(f"Log path: {folder}"), soft_wrap=True)
    console.print(Text(str(tested)), soft_wrap=True)
    if result.problem is not None:
        console.print(Text(f"Not to be compared. {result.problem}", "bold yellow"), soft_wrap=True)
    return tested


def qianfan_summary(result: LoadResult) -> dict[str, float | int | None]:
    """Qianfan's names -> value, in its order; see the module for definitions. None where nothing succeeded."""
    frame = pl.concat([stage.frame for stage in result.stages]) if result.stages else None
    total = frame.height if frame is not None else 0
    length = sum(stage.whole.window_s[1] - stage.whole.window_s[0] for stage in result.stages)
    ok = frame.filter(pl.col("outcome") == "ok") if frame is not None else None
    succeeded = ok.height if ok is not None else 0
    qps = succeeded / length if length > 0 else 0.0
    told: dict[str, float | int | None] = {"QPS": qps, "RPM": 60 * qps}
    for name, last in (
        ("Latency", pl.coalesce("last_token_s", "end_s")),
        ("FirstTokenLatency", pl.col("first_token_s")),
    ):
        told |= _statistics(name, ok.select(last - pl.col("sent_s")).to_series() if ok is not None else None)
    for name, column in (("InputTokens", "prompt_tokens"), ("OutputTokens", "output_tokens")):
        told[f"{name} Avg"] = _number(ok[column].mean()) if ok is not None else None
    return told | {
        "TotalQuery": total,
        "SuccessQuery": succeeded,
        "FailureQuery": total - succeeded,
        "TotalTime": length,
        "SuccessRate": succeeded / total * 100 if total else 0.0,
    }


def summary_text(summary: Mapping[str, float | int | None]) -> str:
    """The summary as Qianfan prints it, a name a line."""
    return "\n".join(f"{name}: {_written(name, value)}" for name, value in summary.items())


def _statistics(name: str, values: pl.Series | None) -> dict[str, float | int | None]:
    known = values.drop_nulls() if values is not None else pl.Series(dtype=pl.Float64)
    told = {
        "Avg": known.mean(),
        "Min": known.min(),
        "Max": known.max(),
        "50%": known.quantile(0.5, "linear"),
        "80%": known.quantile(0.8, "linear"),
    }
    return {f"{name} {statistic}": _number(value) for statistic, value in told.items()}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _written(name: str, value: float | int | None) -> str:
    if value is None:
        return "-"
    digits = 4 if "Latency" in name else 2
    return f"{value}" if isinstance(value, int) else f"{round(value, digits)}{'%' if name == 'SuccessRate' else ''}"


def _check(users: int, workers: int, model_type: str) -> None:
    if workers < 1 or users < workers:
        raise LoadError(
            f"{users} users cannot be shared by {workers} workers; give at least one worker and a user for each."
        )
    if model_type not in _APIS:
        raise LoadError(f"model_type {model_type!r} is not known; give 'ChatCompletion' or 'Completion'.")


def _hyperparameters(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a scenario has a key of its own for, and the rest. Qianfan calls the answer's length max_output_tokens."""
    own = {"temperature": "temperature", "max_output_tokens": "output_tokens", "max_tokens": "output_tokens"}
    known = {own[name]: value for name, value in given.items() if name in own}
    return known, {name: value for name, value in given.items() if name not in own}


def _data_file(data: str | Path | Sequence[Query], folder: Path) -> Path:
    """The file of the queries; those given as they are get one in the folder of the results."""
    if isinstance(data, str | Path):
        return Path(data).absolute()
    if not data:
        raise LoadError("The data hold no query; give a file or a list of prompts.")
    path = folder.absolute() / "data.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "".join(f"{json.dumps(_turns(query), ensure_ascii=False)}\n" for query in data), encoding="utf-8"
        )
    except OSError as error:
        raise LoadError(f"{path} cannot be written ({error.strerror}); give another output folder.") from None
    except TypeError:
        raise LoadError("A query is neither text nor a mapping nor a list of turns; correct the data.") from None
    return path


def _turns(query: Query) -> object:
    if isinstance(query, str):
        return [{"prompt": query}]
    if isinstance(query, Mapping):
        return [dict(query)] if "prompt" in query else dict(query)
    turns = [dict(turn) for turn in query]
    return {"messages": turns} if turns and "role" in turns[0] else turns
