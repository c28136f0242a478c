"""One self-contained HTML page on one evaluated release: no script, no network, readable by someone who was not there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from vllm_quality.eval.deepeval_measure import NO_JUDGE
from vllm_quality.eval.labelled import SUITE as CANARY
from vllm_quality.report.answers import worst_answers
from vllm_quality.report.comparison import comparisons
from vllm_quality.report.curves import ladders
from vllm_quality.report.data import ReportData
from vllm_quality.report.figures import stage_charts
from vllm_quality.report.flips import flipped_items
from vllm_quality.report.history import history
from vllm_quality.report.method import method
from vllm_quality.report.moved import moved_rows
from vllm_quality.report.tables import every_figure, quality_rows, stage_tables, untold_reasons
from vllm_quality.report.units import human_duration, human_time, short_hash, verdict_words
from vllm_quality.report.words import paragraph, tally
from vllm_quality.verdict.types import UNTOLD, Finding

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_BYTES = 1_000_000

_BADGES = {
    "pass": "Not worse",
    "better": "Better",
    "worse": "Worse",
    "underpowered": "Cannot tell",
    "not_comparable": "Cannot tell",
    "no_baseline": "No baseline",
    "invalid": "Cannot tell",
}
_MOST_DETAILS = 60
_ROWS_IN_VIEW = 20
_SLICES_IN_VIEW = 10
# anchor, title, and what there must be for the section to be there
_SECTIONS: tuple[tuple[str, str, str | None], ...] = (
    ("compared", "What was compared", None),
    ("slices", "Parts of suites", "slices"),
    ("moved", "What else moved", "moved"),
    ("flips", "Answers that got worse", "flips"),
    ("curves", "Throughput and latency", "ladders"),
    ("history", "The last releases", "history"),
    ("evaluated", "What was evaluated", None),
    ("scores", "Scores", None),
    ("speed", "Speed", None),
    ("answers", "Lowest scores", "has_samples"),
    ("method", "How this was decided", None),
    ("terms", "How to read this", None),
    ("figures", "Every figure", None),
)
_MOST_FIGURES = 3000


@dataclass(frozen=True)
class _Fact:
    name: str
    value: str
    full: str = ""


def render_report(report: ReportData) -> str:
    """The page as HTML, at most 1 MB: texts, then pictures are left out (and that is said) where it would be more."""
    page = _render(report)
    if len(page.encode()) > MAX_BYTES:
        said = [*report.warnings, "The answers' texts are left out here to keep this page under 1 MB."]
        report = replace(report, texts={}, earlier_texts={}, warnings=said)
        page = _render(report)
    if len(page.encode()) > MAX_BYTES:
        said = [*report.warnings, "Pictures of the requests are left out here to keep this page under 1 MB."]
        report = replace(report, requests={}, warnings=said)
        page = _render(report)
    return page


def _render(report: ReportData) -> str:
    return _environment().get_template("report.html.j2").render(_view(report))


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("vllm_quality.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = Markup  # the charts escape their text where it is drawn
    return environment


def _view(report: ReportData) -> dict[str, Any]:
    findings = {finding.metric: finding for finding in report.verdict.findings}
    quality = [m for m in report.measurements if m.step.startswith("eval/")]
    speed = [m for m in report.measurements if m.step.startswith("load/")]
    against = _compared_with(report)
    flips = flipped_items(report.verdict, report.samples, report.texts, report.earlier_texts)
    view = {
        "tag": report.target.model_tag,
        "target": report.target,
        "status": report.verdict.status,
        "badge": _BADGES[report.verdict.status],
        "words": verdict_words(report.verdict),
        "summary": report.verdict.summary,
        "paragraph": paragraph(report.verdict, against).replace(" %", "\N{NO-BREAK SPACE}%"),
        "tally": tally(report.verdict),
        "compared_with": against,
        "warnings": _warnings(report),
        "judged": len(report.verdict.findings),
        "told": sum(finding.status not in UNTOLD for finding in report.verdict.findings),
        "comparisons": comparisons(report.verdict.findings, _ROWS_IN_VIEW),
        "slices": comparisons(report.verdict.slices, _SLICES_IN_VIEW),
        "untold": untold_reasons(report.verdict),
        "moved": moved_rows(report.verdict.moved),
        "flips": flips,
        "ladders": ladders(report),
        "history": history(report),
        "facts": _facts(report),
        "item_counts": report.item_counts,
        "quality": [row for m in quality for row in quality_rows(m, findings, report.samples.get(m.step))],
        "speed": [_scenario(report, m.step, findings) for m in speed],
        "answers": worst_answers(report.samples, report.texts, {(flip.suite, flip.item) for flip in flips}),
        "has_samples": bool(report.samples),
        "method": method(report),
        "figures": every_figure(report.measurements, findings)[:_MOST_FIGURES],
        "details": [(m.step, m.problem, _flat(m.details)) for m in report.measurements if m.details],
        "links": [(label, url, url.startswith(("https://", "http://"))) for label, url in report.links.items()],
        "run_id": report.target.run_id,
        "finished": human_time(report.finished_at),
    }
    return view | {"sections": _sections(view)}


def _sections(view: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The sections that this page has: (anchor, title)."""
    return [(anchor, title) for anchor, title, key in _SECTIONS if key is None or view[key]]


def _compared_with(report: ReportData) -> list[str]:
    tags = {past.run.run_id: past.run.model_tag for past in report.history}
    return list(dict.fromkeys(tags.get(run_id, f"run {run_id[:8]}") for run_id in report.verdict.baseline_runs))


def _warnings(report: ReportData) -> list[str]:
    problems = [f"{m.step}: {m.problem}" for m in report.measurements if m.problem is not None]
    unjudged = [text for step, frame in report.samples.items() for text in _not_judged(step, frame)]
    return [*problems, *unjudged, *report.warnings]


def _not_judged(step: str, samples: pl.DataFrame) -> Iterator[str]:
    # The canary's answers are not the release's.
    missing = samples.filter((pl.col("status") == "judge_error") & ~pl.col("suite").str.starts_with(CANARY))
    without_judge = missing.filter(pl.col("judge") == NO_JUDGE)
    if without_judge.height:
        metrics = ", ".join(sorted(without_judge["metric"].unique()))
        yield f"{step}: {metrics} need a judge, and none is set (VLLM_QUALITY_JUDGE_URL); they have no score."
    failed = missing.height - without_judge.height
    if failed:
        yield f"{step}: {failed:,} answers could not be judged; they have no score and count in no mean."


def _facts(report: ReportData) -> list[_Fact]:
    target = report.target
    took = (report.finished_at - target.started_at).total_seconds()
    facts = [
        _Fact("Tag", target.model_tag),
        _Fact("Image digest", short_hash(target.image_digest) or "not known (started by hand)", target.image_digest),
        _Fact("Model", target.endpoint.model),
        _Fact("Engine", f"{target.endpoint.engine} {target.endpoint.engine_version}"),
        _Fact("Hardware", target.hardware),
        _Fact("Endpoint", target.endpoint.base_url),
        _Fact("Profile", target.profile),
        _Fact("Began", human_time(target.started_at)),
        _Fact("Took", human_duration(took)),
        _Fact("Data snapshot", short_hash(report.snapshot_hash or "") or "none", report.snapshot_hash or ""),
        _Fact("Items", _items(report.item_counts)),
        _Fact("Run", target.run_id),
    ]
    if target.seen_at is not None:
        release_to_report = (report.finished_at - target.seen_at).total_seconds()
        facts.insert(-1, _Fact("From push seen to results", human_duration(release_to_report)))
    return facts


def _items(counts: Mapping[str, int]) -> str:
    if not counts:
        return "not known"
    return f"{sum(counts.values()):,} in {len(counts)} data set{'s' if len(counts) > 1 else ''}"


def _scenario(report: ReportData, step: str, findings: Mapping[str, Finding]) -> dict[str, Any]:
    measurement = next(m for m in report.measurements if m.step == step)
    frame = report.requests.get(step)
    charts = {}
    if frame is not None and not frame.is_empty():
        charts = {chart.stage: (chart.over_time, chart.distribution) for chart in stage_charts(frame)}
    return {
        "name": step.partition("/")[2],
        "problem": measurement.problem,
        "stages": [(table, charts.get(table.stage)) for table in stage_tables(measurement, findings)],
    }


def _flat(details: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in details.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            text = ", ".join(map(_word, value)) if isinstance(value, list | tuple) else _word(value)
            rows.append((f"{prefix}{key}", text if len(text) <= 300 else f"{text[:299]}…"))
    return rows[:_MOST_DETAILS]


def _word(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
