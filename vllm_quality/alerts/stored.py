"""How a release's last evaluation ended, by what it left in the stores alone: where Dagster's own storage is elsewhere."""

from vllm_quality.alerts.links import partition_url, run_url
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.alerts.reading import with_evidence
from vllm_quality.report.data import report_key
from vllm_quality.results.database import ResultStore
from vllm_quality.results.objects import open_objects
from vllm_quality.results.publish import VERDICT_FILE
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.target import TARGET_FILE, Target
from vllm_quality.settings import Settings
from vllm_quality.verdict.types import Verdict


def read_stored(folder: RunFolder, tag: str) -> tuple[Target | None, Verdict | None, str | None]:
    """What was measured, the verdict and the report's address, as far as an evaluation got."""
    target, verdict = folder.get_json(TARGET_FILE), folder.get_json(VERDICT_FILE)
    key = report_key(tag, folder.run_id)
    return (
        Target.from_json(target) if target is not None else None,
        Verdict.from_json(verdict) if verdict is not None else None,
        folder.objects.url(key) if folder.objects.exists(key) else None,
    )


def stored_notice(settings: Settings, tag: str) -> RunNotice | None:
    """The last finished evaluation of a tag in the results store; None when there is none. Raises `UserError`."""
    store = ResultStore(settings.results)
    found = store.runs(limit=1, model_tag=tag)
    if not found:
        return None
    run = found[0]
    folder = RunFolder(open_objects(settings), run.run_id)
    target, verdict, report = read_stored(folder, tag)
    notice = RunNotice(
        run_id=run.run_id,
        dagster_run_id=run.run_id,
        model_tag=tag,
        outcome="success",
        target=target,
        image_digest=run.image_digest,
        verdict=verdict,
        run_url=run_url(settings.dagster_url, run.run_id),
        report_url=report,
        partition_url=partition_url(settings.dagster_url, tag),
        started_at=run.started_at,
        finished_at=run.finished_at,
    )
    return with_evidence(notice, folder, store, settings.pii_key)
