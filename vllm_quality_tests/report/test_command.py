"""`vllm-quality report`: the page of a stored evaluation, with the answers of the release before it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vllm_quality.datasets.manifest import Manifest
from vllm_quality.datasets.snapshot import manifest_key
from vllm_quality.report.command import NoReportError, report
from vllm_quality.report.data import ReportData
from vllm_quality.results.database import ResultStore
from vllm_quality.results.objects import open_objects
from vllm_quality.results.publish import VERDICT_FILE
from vllm_quality.results.rows import ResultRow, RunRow
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.target import TARGET_FILE
from vllm_quality.settings import load_settings
from vllm_quality_tests.report.html_page import read_page
from vllm_quality_tests.report.judged import judged_release


def run(*arguments: str) -> Result:
    return CliRunner().invoke(report, list(arguments), standalone_mode=False)


def store(data: ReportData) -> None:
    """What an evaluation and the runs of its window leave behind."""
    settings = load_settings()
    objects, results = open_objects(settings), ResultStore(settings.results)
    digest = data.snapshot_hash or ""
    manifest = Manifest(
        manifest_version=2,
        hash=digest,
        items=0,
        sets={},
        files={},
        certificate=None,
        alarms=(),
        pairs={},
        deduplication={},
        anonymisation={},
        versions={},
        built_at=None,
        built_by=None,
    )
    objects.put(manifest_key(digest), manifest.model_dump_json().encode())
    folder = RunFolder(objects, data.target.run_id)
    folder.put_json(TARGET_FILE, data.target.as_json())
    folder.put_json("snapshot.json", {"hash": digest})
    folder.put_json(VERDICT_FILE, data.verdict.as_json() | {"finished_at": data.finished_at.isoformat()})
    before = RunFolder(objects, data.verdict.baseline_runs[0])
    for measurement in data.measurements:
        for place, frames in ((folder, data.texts), (before, data.earlier_texts)):
            files = {}
            if measurement.step in frames:
                files["texts"] = place.put_frame(f"{measurement.step}/texts", frames[measurement.step])
            if measurement.step in data.tapes and place is folder:
                summary = json.dumps({"tape_sha256": data.tapes[measurement.step]})
                files["summary"] = place.put_text(f"{measurement.step}/summary", "json", summary, "application/json")
            place.put_measurement(replace(measurement, files=files))
    results.write_run(_row(data))
    for past in data.history:
        results.write_run(past.run)
        when = past.run.started_at
        results.write_results([ResultRow(past.run.run_id, past.run.model_tag, *m, when) for m in past.metrics.items()])


def _row(data: ReportData) -> RunRow:
    target = data.target
    return replace(
        data.history[0].run,
        run_id=target.run_id,
        model_tag=target.model_tag,
        started_at=target.started_at,
        finished_at=data.finished_at,
        verdict=data.verdict.status,
    )


def test_the_page_of_a_stored_evaluation(tmp_path: Path) -> None:
    data = judged_release({"gsm8k": 0.06}, asked={"gsm8k": 500})
    store(data)
    done = run(data.target.model_tag, "--out", str(tmp_path / "pages" / "report.html"))
    assert done.exception is None, done.output
    page = read_page((tmp_path / "pages" / "report.html").read_text(encoding="utf-8"))
    assert page.of["h1"] == ["release-1.4.0 is worse than its baseline."]
    assert "It was held against 4 earlier releases, release-1.3.8 the newest" in page.text
    assert data.tapes["load/sweep"] in page.text
    said = [text for text in page.of["pre"] if text.startswith("처음에")]
    assert said, "the earlier release's answers are not there"


def test_a_tag_that_was_never_evaluated() -> None:
    done = run("release-9")
    assert isinstance(done.exception, NoReportError)
    assert "release-9 was never evaluated here" in str(done.exception)


def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = judged_release(asked={"gsm8k": 100}, runs=1)
    store(data)
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = run(data.target.model_tag, "--out", str(tmp_path / "file" / "report.html"))
    assert isinstance(done.exception, NoReportError)
    assert "choose another file with --out" in str(done.exception)
