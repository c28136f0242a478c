"""`vllm-quality report`: the report of a stored evaluation, made again."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vllm_quality.errors import UserError

if TYPE_CHECKING:
    from vllm_quality.report.data import ReportData


class NoReportError(UserError):
    """There is no evaluation to report on, or the page cannot be written."""


@click.command("report")
@click.argument("tag")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file.  [default: ./report-TAG.html]")
@click.option("--open", "open_it", is_flag=True, help="Show it in the browser.")
def report(tag: str, out: Path | None, open_it: bool) -> int:
    """Write the report of TAG's last finished evaluation as one HTML file. Nothing is measured or judged again."""
    from vllm_quality.report.page import render_report

    page = render_report(_stored_report(tag))
    path = out or Path(f"report-{re.sub(r'[^A-Za-z0-9._-]', '_', tag)}.html")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise NoReportError(f"{path} cannot be written ({error.strerror}); choose another file with --out.") from None
    click.echo(str(path))
    if open_it:
        click.launch(path.absolute().as_uri())
    return 0


def _stored_report(tag: str) -> "ReportData":
    from vllm_quality.report.collect import collect_report, stored_steps
    from vllm_quality.results.database import ResultStore
    from vllm_quality.results.objects import open_objects
    from vllm_quality.results.run_folder import RunFolder
    from vllm_quality.settings import load_settings
    from vllm_quality.verdict.thresholds import load_thresholds

    settings = load_settings()
    store = ResultStore(settings.results)
    finished = [run for run in store.runs(limit=50, model_tag=tag) if run.finished_at is not None]
    if not finished:
        raise NoReportError(f"{tag} was never evaluated here; `vllm-quality evaluate {tag}` does so.")
    folder = RunFolder(open_objects(settings), finished[0].run_id)
    thresholds = load_thresholds(settings.config_file("thresholds.yaml"))
    return collect_report(folder, store, stored_steps(folder), thresholds)
