"""`vllm-quality`: each command calls one function of a topic. Exit codes: 0 all well, 1 worse, 2 could not tell or failed."""

import errno
import logging
import os
import sys
import traceback
import warnings

import click

from vllm_quality.errors import UserError

_PROFILES = click.Choice(["smoke", "standard", "full"])


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
