"""`vllm-quality`: each command calls one function of a topic. Exit codes: 0 all well, 1 worse, 2 could not tell or failed."""

import errno
import logging
import os
import sys
import traceback
import warnings
from pathlib import Path

import click

from vllm_quality.alerts.command import alert
from vllm_quality.datasets.commands import COMMANDS as DATASET_COMMANDS
from vllm_quality.datasets.dedup.cli.command import dedup
from vllm_quality.datasets.pii.command import anonymise_command
from vllm_quality.errors import UserError
from vllm_quality.report.command import report

_PROFILES = click.Choice(["smoke", "standard", "full"])
_PIPE_WIDTH = 160


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="vllm-quality")
def cli() -> None:
    """Is this release of a vLLM image worse than the ones before it?"""


@cli.command()
@click.argument("tag")
@click.option("--base-url", help="Endpoint, without /v1; {tag} is filled in.  [default: VLLM_QUALITY_BASE_URL]")
@click.option("--model", help="Served model name.  [default: VLLM_QUALITY_MODEL, else the only one served]")
@click.option("--profile", type=_PROFILES, help="How much is measured.  [default: VLLM_QUALITY_PROFILE, else standard]")
@click.option("--resume", is_flag=True, help="Go on with this tag's evaluation that was cut off.")
def evaluate(tag: str, base_url: str | None, model: str | None, profile: str | None, resume: bool) -> int:
    """Evaluate the release TAG now, in this process: load, quality, verdict, card, report."""
    from vllm_quality.terminal import open_console, watch_evaluation

    given = {"base_url": base_url, "model": model, "profile": profile}
    overrides = {name: value for name, value in given.items() if value is not None}
    return watch_evaluation(open_console(), tag, overrides, resume=resume).exit_code


@cli.command()
def demo() -> int:
    """Evaluate good and really degraded releases of a small real model, start to finish, with nothing set up."""
    from vllm_quality.demo import run_demo
    from vllm_quality.terminal import open_console

    return run_demo(open_console())


@cli.command("load-test")
@click.option("--base-url", help="Endpoint, without /v1.  [default: VLLM_QUALITY_BASE_URL]")
@click.option("--model", help="Served model name.  [default: VLLM_QUALITY_MODEL, else the only one served]")
@click.option("--endpoint", "api", type=click.Choice(["completions", "chat"]), help="API.  [default: completions]")
@click.option("--scenario", metavar="NAME", help="Play this scenario of scenarios.yaml.")
@click.option("--profile", type=_PROFILES, help="Of --scenario.  [default: VLLM_QUALITY_PROFILE, else standard]")
@click.option("--concurrency", type=click.IntRange(1), help="Play so many requests in flight (closed loop).")
@click.option("--requests", type=click.IntRange(1), help="With --concurrency: end after so many requests.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Play so many requests/s (open loop).")
@click.option("--duration", metavar="TIME", help="With --rate or --concurrency: end after 300s, 20m, 1h30m or 90.")
@click.option("--arrival", type=click.Choice(["constant", "poisson", "gamma"]), help="Of rates.  [default: constant]")
@click.option("--burstiness", type=click.FloatRange(0, min_open=True), help="Of --arrival gamma; 1 is Poisson.")
@click.option("--users", type=click.IntRange(1), help="Play so many users, each asking on and on.")
@click.option("--spawn-rate", type=click.FloatRange(0, min_open=True), help="Users that come per second.  [default: 1]")
@click.option("--runtime", metavar="TIME", help="Of --users; 0s until the data are used up.")
@click.option("--sweep", metavar="LIST", help="Play a rising ladder, such as 1,2,4,8 in flight; finds the plateau.")
@click.option("--sweep-over", type=click.Choice(["concurrency", "rate"]), help="What --sweep counts.")
@click.option("--capacity", metavar="LOW,HIGH", help="Search the highest rate that holds the --slo.")
@click.option("--tape", type=click.Path(path_type=Path), help="Replay a run's tape to the byte.")
@click.option("--config", type=click.Path(path_type=Path), help="Play an inference-perf configuration (config.yml).")
@click.option("--input-tokens", metavar="N", help="Of synthetic prompts: N or mean,std,min,max.  [default: 128]")
@click.option("--output-tokens", metavar="N", help="Asked for: N or mean,std,min,max.  [default: 128; as recorded]")
@click.option("--data", metavar="PATH", help="Conversations instead of synthetic prompts; 'sample' for those packaged.")
@click.option("--format", "data_format", metavar="F", help="Of --data: sharegpt, openai, alpaca, …  [default: auto]")
@click.option("--turns", type=click.Choice(["first", "last", "sessions"]), help="What of --data is sent.")
@click.option("--slo", metavar="LIMITS", help="What makes a request good: ttft=0.5,tpot=0.05 (itl, e2e, target).")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds for a request.  [default: 600]")
@click.option("--stall-timeout", type=click.FloatRange(0, min_open=True), help="Seconds of silence.  [default: 30]")
@click.option("--streaming/--no-streaming", default=None, help="Ask for streamed answers.  [default: streaming]")
@click.option("--ignore-eos/--no-ignore-eos", default=None, help="Answers of full length.  [default: unless --data]")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes.  [default: VLLM_QUALITY_LOAD_WORKERS, else 1]")
@click.option("--seed", type=click.IntRange(0), help="Of prompts, lengths and times.  [default: 0]")
@click.option("--tokenizer", type=click.Path(path_type=Path), help="Folder to count with where the server does not.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the results.  [default: ./load-test-<time>]")
@click.option("--upload", metavar="URL", help="Copy the reports to s3://bucket/prefix, too.")
@click.option("--calibration/--no-calibration", default=True, help="Measure this client before the run.")
@click.option("--save-tape/--no-save-tape", default=True, help="Keep the tape for a replay.")
def load_test(**typed: object) -> int:
    """Measure an endpoint under load: latency, throughput, errors; one of the loads must be given.

    \b
    An API key is read from VLLM_QUALITY_API_KEY. Exit codes:
      0    measured; figures that must not be compared say so, also in summary.json
      2    no request succeeded, nothing could be measured, or the upload failed
      130  ended by Ctrl-C, after the report of what was measured
    """
    from rich.console import Console

    from vllm_quality.load.load_test import load_test as measure
    from vllm_quality.load.options import LoadTestOptions

    wide = None if sys.stdout.isatty() else _PIPE_WIDTH
    return measure(LoadTestOptions(**typed), Console(width=wide))  # type: ignore[arg-type]  # click checks them


@cli.command()
@click.argument("tag")
@click.option("--repeats", type=click.IntRange(2, 50), default=5, show_default=True, help="Evaluations, one by one.")
@click.option("--base-url", help="Endpoint, without /v1.  [default: VLLM_QUALITY_BASE_URL]")
@click.option("--model", help="Served model name.  [default: VLLM_QUALITY_MODEL, else the only one served]")
@click.option("--profile", type=_PROFILES, help="How much is measured.  [default: VLLM_QUALITY_PROFILE, else standard]")
def calibrate(tag: str, repeats: int, base_url: str | None, model: str | None, profile: str | None) -> int:
    """Evaluate the release TAG again and again: how much do equal runs differ, and what loss would show?"""
    from vllm_quality.calibration import calibrate as repeat
    from vllm_quality.terminal import open_console

    given = {"base_url": base_url, "model": model, "profile": profile}
    return repeat(open_console(), tag, repeats, {name: value for name, value in given.items() if value is not None})


@cli.command()
@click.argument("baseline")
@click.argument("candidate")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 0.5, True, True),
    help="Chance of any false alarm, over all metrics and slices.  [default: of thresholds.yaml, 0.01]",
)
@click.option(
    "--matters",
    type=click.FloatRange(0, min_open=True),
    help="Smallest loss of a score that must not go unseen.  [default: of thresholds.yaml, 0.02: 2 points]",
)
@click.option(
    "--matters-load",
    type=click.FloatRange(0, min_open=True),
    help="The same of a latency or throughput, relative.  [default: of thresholds.yaml, 0.10: 10 %]",
)
@click.option(
    "--budget", type=click.FloatRange(0), help="Loss of a score that is accepted.  [default: of thresholds.yaml, 0.005]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(baseline: str, candidate: str, as_json: bool, **asked: float | None) -> int:
    """Is CANDIDATE worse than BASELINE? Each is a tag, a run's id, or a file of item scores (JSON lines).

    Runs are compared as the pipeline judges them: their items, the requests of the same tape, and what thresholds.yaml
    names. The effects of load metrics, their intervals and what would have shown are relative: 0.1 is 10 %.

    \b
    A file's lines have item and score, and may have slice and cluster: {"item": "q1", "score": 1, "slice": "ko"}
    Exit codes: 0 not worse, 1 worse, 2 could not tell, or failed.
    """
    from rich.console import Console

    from vllm_quality.verdict.compare.command import run_compare

    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    return run_compare(console, baseline, candidate, as_json=as_json, **asked)


@cli.group()
def datasets() -> None:
    """What releases are asked: data sets, and the mirror of benchmarks."""


for command in DATASET_COMMANDS:
    datasets.add_command(command)
cli.add_command(anonymise_command)


@datasets.command("mirror")
@click.argument("tasks", metavar="TASK…", nargs=-1)
@click.option(
    "--from",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Take the data sets from FOLDER/<owner>/<name> instead of the Hugging Face hub.",
)
def mirror_datasets(tasks: tuple[str, ...], folder: Path | None) -> int:
    """Copy what benchmark TASKs need (those of evalchemy.json when none is named) into VLLM_QUALITY_OBJECTS_URL.

    With VLLM_QUALITY_BENCHMARKS=mirror they then run without internet. What is there already is not written again.
    """
    from vllm_quality.eval.mirroring import mirror_tasks
    from vllm_quality.settings import load_settings

    return 0 if mirror_tasks(load_settings(), tasks, folder, click.echo) else 2


cli.add_command(dedup)
cli.add_command(alert)
cli.add_command(report)


@cli.group()
def judge() -> None:
    """The model that grades answers."""


@judge.command("calibrate")
@click.option("--labels", type=click.Path(path_type=Path), help="Labelled answers, JSONL.  [default: those packaged]")
@click.option("--min-kappa", type=click.FloatRange(-1, 1), default=0.6, show_default=True, help="Exit with 1 below it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def judge_calibrate(labels: Path | None, min_kappa: float, as_json: bool) -> int:
    """Hold the judge of VLLM_QUALITY_JUDGE_URL against answers that people have labelled."""
    from rich.console import Console

    from vllm_quality.eval.calibration_report import report_calibration

    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    return report_calibration(console, labels, min_kappa=min_kappa, as_json=as_json)


@cli.group()
def evals() -> None:
    """Run OpenAI evals and Promptfoo configurations here."""


@evals.command("run")
@click.argument("eval_file", metavar="EVAL", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Rows as JSON lines.  [default: the eval's own]")
@click.option("--base-url", help="Release to ask, without /v1.  [default: VLLM_QUALITY_BASE_URL]")
@click.option("--model", help="Served model name.  [default: VLLM_QUALITY_MODEL, else the only one served]")
@click.option("--judge-url", help="Judge's endpoint, with /v1.  [default: VLLM_QUALITY_JUDGE_URL]")
@click.option("--judge-model", help="Judge's model.  [default: VLLM_QUALITY_JUDGE_MODEL]")
@click.option("--concurrency", "eval_concurrency", type=click.IntRange(1), help="Requests in flight.  [default: 8]")
@click.option("--profile", type=_PROFILES, default="full", help="How many rows.  [default: full, all of them]")
@click.option("--min-pass", type=click.FloatRange(0, 1), help="Least pass ratio of each criterion; below is exit 1.")
@click.option("--skip-unsupported", is_flag=True, help="Leave out what of a Promptfoo configuration cannot be done.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder for summary.json, samples and texts.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def run_evals(**typed: object) -> int:
    """Grade a release by EVAL: OpenAI's eval as JSON, or a Promptfoo configuration.

    \b
    Keys are read from VLLM_QUALITY_API_KEY and VLLM_QUALITY_JUDGE_API_KEY. Exit codes:
      0  measured, and every criterion reaches its least
      1  a criterion is below --min-pass or the eval's own min_pass
      2  could not tell, or failed
    """
    from rich.console import Console

    from vllm_quality.eval.evals.command import EvalOptions, run_command
    from vllm_quality.settings import load_settings

    ours = ("base_url", "model", "judge_url", "judge_model", "eval_concurrency")
    overrides = {name: typed.pop(name) for name in ours}
    settings = load_settings(**{name: value for name, value in overrides.items() if value is not None})
    wide = None if sys.stdout.isatty() else _PIPE_WIDTH
    return run_command(EvalOptions(**typed), settings, Console(width=wide))  # type: ignore[arg-type]  # click checks them


@evals.command("import")
@click.argument("saved", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the evals, such as evals/ in VLLM_QUALITY_CONFIG_DIR.",
)
def import_evals(saved: tuple[Path, ...], out: Path) -> int:
    """Carry evals over from OpenAI: SAVED are files or folders of what its API answered.

    \b
    Save, before 30 November 2026, page by page (?limit=100&after=LAST_ID):
      GET /v1/evals                                    the evals
      GET /v1/evals/EVAL/runs                          prompts, sampling, rows
      GET /v1/evals/EVAL/runs/RUN/output_items         rows that OpenAI holds, its answers and results
      GET /v1/files/FILE/content                       data files, as FILE.jsonl
    Each eval becomes NAME.json and NAME.jsonl; what could not be carried over is told. Exit codes:
      0  every eval has a file
      2  one has none, or failed
    """
    from rich.console import Console

    from vllm_quality.eval.evals.import_command import import_command

    return import_command(saved, out, Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH))


@evals.command("list")
def list_of_evals() -> int:
    """Show the evals of configs/evals/ and what each of them needs."""
    from rich.console import Console

    from vllm_quality.eval.evals.command import list_command
    from vllm_quality.settings import load_settings

    return list_command(load_settings(), Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH))


@cli.command()
@click.option("--port", default=3000, show_default=True, help="Port on 127.0.0.1.")
def ui(port: int) -> int:
    """Open Dagster's UI, with its daemon, over what was evaluated on this machine."""
    from vllm_quality.evaluation import dagster_home
    from vllm_quality.settings import load_settings

    os.environ["DAGSTER_HOME"] = str(dagster_home(load_settings()))
    os.execv(  # noqa: S606  # no shell, fixed arguments
        sys.executable,
        [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port), "-m", "vllm_quality.definitions"],
    )


def explain(error: BaseException) -> str | None:
    """One sentence for what a user can put right, wherever in the chain of causes it is; None for a bug."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return str(cause)
        if (isinstance(cause, OSError) and cause.errno == errno.ENOSPC) or "disk is full" in str(cause):
            return "The disk is full; free room below VLLM_QUALITY_HOME (and DAGSTER_HOME), then try again."
        cause = cause.__cause__ or cause.__context__
    return None


def main() -> None:
    """The console script."""
    # Dagster warns about its own previews, and logs each event: both are for developers, not for this terminal.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 2
    except click.Abort:
        click.echo("Stopped.", err=True)
        code = 2
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            traceback.print_exc()
        click.echo(f"Error: {sentence or 'this is a bug in vllm-quality; the traceback above says where.'}", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
