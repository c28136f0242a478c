"""`vllm-quality evals run` and `evals list`: what a person sees, what is written, which exit code."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from vllm_quality.eval.answers import Progress as Report
from vllm_quality.eval.evals.catalog import list_evals, needs_of
from vllm_quality.eval.evals.load import load_plan
from vllm_quality.eval.evals.plan import EvalError, Plan
from vllm_quality.eval.evals.run import run_eval
from vllm_quality.eval.judge import judge_settings
from vllm_quality.eval.result import EVERY, SuiteResult
from vllm_quality.serving.endpoint import Endpoint, identify, resolve_base_url
from vllm_quality.settings import Profile, Settings

_STATUSES = ("ok", "truncated", "model_error", "infra_error", "judge_error")


@dataclass(frozen=True)
class EvalOptions:
    """What was typed after `evals run`."""

    eval_file: Path
    data: Path | None = None
    profile: Profile = "full"
    min_pass: float | None = None
    output: Path | None = None
    as_json: bool = False
    skip_unsupported: bool = False


def run_command(options: EvalOptions, settings: Settings, console: Console) -> int:
    """Run an eval and show it. 0: all right; 1: a criterion below its least; 2: could not tell. Raises `UserError`."""
    plan = load_plan(options.eval_file, options.data, skip_unsupported=options.skip_unsupported)
    endpoint = _endpoint(plan, settings)
    judge = judge_settings(settings)
    quiet = Console(stderr=True, quiet=not console.is_terminal) if options.as_json else console
    with _progress(quiet, plan.name) as report:
        result = run_eval(
            plan,
            None,
            endpoint,
            settings.endpoint_key,
            judge=judge,
            embedding_model=settings.embedding_model,
            profile=options.profile,
            concurrency=settings.eval_concurrency,
            timeout_s=settings.request_timeout_s,
            on_progress=report,
        )
    below = below_least(result, options.min_pass)
    if options.output is not None:
        write_files(options.output, result, plan)
    if options.as_json:
        console.file.write(json.dumps({**summary(result), "below": below}, ensure_ascii=False, indent=2) + "\n")
    else:
        _show(console, result, below)
    return 2 if result.problem or _unscored(result) else 1 if below else 0


def _endpoint(plan: Plan, settings: Settings) -> Endpoint | None:
    if not plan.asks_release:
        return None
    if settings.base_url is None:
        raise EvalError(
            f"Eval {plan.name!r} has rows without answers; name the release to ask with --base-url or VLLM_QUALITY_BASE_URL."
        )
    base_url = resolve_base_url(settings.base_url, "")
    return identify(base_url, settings.model, settings.endpoint_key, settings.request_timeout_s)


def summary(result: SuiteResult) -> dict[str, Any]:
    """The result without its frames, as JSON takes it."""
    return {
        "step": result.step,
        "metrics": dict(result.metrics),
        "problem": result.problem,
        "comparable": result.comparable,
        "details": dict(result.details),
    }


def below_least(result: SuiteResult, min_pass: float | None) -> list[str]:
    """The criteria below what they must reach, each as a sentence's part. The eval's own limits go before `min_pass`."""
    least: Mapping[str, float] = {**({} if min_pass is None else {"*": min_pass}), **result.details["min_pass"]}
    found = []
    for name in result.details["criteria"]:
        limit = least.get(name, least.get("*"))
        reached = _reached(result, name)
        if limit is not None and reached is not None and reached < limit:
            found.append(f"{name} reaches {reached:.3f}, and must reach {limit:g}")
    return found


def _reached(result: SuiteResult, name: str) -> float | None:
    place = f"{result.step}/{name}"
    return result.metrics.get(f"{place}_pass_ratio", result.metrics.get(f"{place}_score"))


def _unscored(result: SuiteResult) -> bool:
    return all(result.metrics.get(f"{result.step}/{name}_score") is None for name in result.details["criteria"])


def write_files(folder: Path, result: SuiteResult, plan: Plan) -> None:
    """summary.json, samples.parquet, texts.parquet and what was set aside. Raises `EvalError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(summary(result), ensure_ascii=False, indent=2)
        (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
        result.samples.write_parquet(folder / "samples.parquet")
        result.texts.write_parquet(folder / "texts.parquet")
        bad = [json.dumps({"line": row.line, "reason": row.reason}, ensure_ascii=False) + "\n" for row in plan.bad_rows]
        (folder / "bad_rows.jsonl").write_text("".join(bad), encoding="utf-8")
    except OSError as error:
        raise EvalError(f"{folder} cannot be written ({error.strerror}); choose another --output.") from None


@contextmanager
def _progress(console: Console, name: str) -> Iterator[Report]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{name}: asked and graded", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _show(console: Console, result: SuiteResult, below: list[str]) -> None:
    console.print(result_table(result))
    for line in result.details["bad_row_examples"]:
        console.print(Text(f"Left out: {line}", "yellow"))
    if result.details["bad_rows"] > len(result.details["bad_row_examples"]):
        console.print(Text(f"Left out: {result.details['bad_rows']} rows in all", "yellow"))
    for note in result.details["notes"]:
        console.print(Text(f"Note: {note}", "yellow"))
    for name, lacking in result.details["without scores"].items():
        console.print(Text(f"{name} has no scores: {lacking} is configured.", "yellow"))
    seconds = result.details["seconds"]
    slowest = max(seconds, key=seconds.__getitem__)
    console.print(
        Text(f"Slowest: {slowest}, {seconds[slowest]:.1f} s of {sum(seconds.values()):.1f} s of work.", "dim")
    )
    if result.problem:
        console.print(Text(f"Not to be compared: {result.problem}", "red"))
    for sentence in below:
        console.print(Text(f"Below its least: {sentence}.", "red"))


def result_table(result: SuiteResult) -> Table:
    """A line per criterion: score ± standard error, pass ratio ± standard error, counts by status."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("criterion", overflow="fold")
    statuses = [s for s in _STATUSES if any(s in counts for counts in result.details["statuses"].values())]
    for heading in ("score", "passed", *(status.replace("_", " ") for status in statuses)):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in result.details["criteria"]:
        counts = result.details["statuses"][name]
        cells = [str(counts.get(status, 0)) for status in statuses]
        ratio = name in result.details["yes or no"]
        passed = _figure(result, f"{name}_{'score' if ratio else 'pass_ratio'}", share=True)
        table.add_row(name, _figure(result, f"{name}_score"), passed, *cells)
    if len(result.details["criteria"]) > 1:
        table.add_row("all of them", "", _figure(result, f"{EVERY}_pass_ratio", share=True), *([""] * len(statuses)))
    return table


def _figure(result: SuiteResult, name: str, *, share: bool = False) -> str:
    value, error = (result.metrics.get(f"{result.step}/{name}{end}") for end in ("", "_stderr"))
    if value is None:
        return "–"
    if share:
        return f"{value:.1%}" + (f" ± {error:.1%}" if error is not None else "")
    return f"{value:.3f}" + (f" ± {error:.3f}" if error is not None else "")


def list_command(settings: Settings, console: Console) -> int:
    """Every eval with its rows and what it needs."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("eval", "rows", "needs", "runs", "file"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "rows" else "left")
    for entry in list_evals(settings):
        try:
            rows, needs = needs_of(entry)
            told = str(rows), ", ".join(needs) or "nothing"
        except EvalError as error:
            told = "–", str(error)
        when = "where VLLM_QUALITY_EVALS names it" if entry.optional else "in every evaluation"
        table.add_row(entry.name, *told, when, f"{'packaged ' if entry.packaged else ''}{entry.path.name}")
    console.print(table)
    return 0
