"""What an alert is about: how one run of an evaluation ended."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from vllm_quality.serving.target import Target
from vllm_quality.verdict.types import Verdict

Outcome = Literal["success", "failure", "canceled"]


@dataclass(frozen=True)
class RunNotice:
    """One ended run.

    run_id          the evaluation's id; a resumed evaluation keeps it
    dagster_run_id  the run that ended, one of the evaluation's
    target          what was measured; None when the run ended before that was known
    image_digest    "sha256:…" of the pushed image; empty when the run was started by hand
    verdict         None when the run ended before there was one
    error           one sentence for a person, no traceback; None when nothing failed
    failed_step     the first step that failed; None when the run died outside of a step
    report_url      where the report is: http(s)://, s3:// or file://
    """

    run_id: str
    dagster_run_id: str
    model_tag: str
    outcome: Outcome
    target: Target | None = None
    image_digest: str = ""
    verdict: Verdict | None = None
    error: str | None = None
    failed_step: str | None = None
    run_url: str | None = None
    report_url: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def kind(self) -> str:
        """What the ledger remembers this alert by, within its evaluation.

        An evaluation succeeds once, so its replay says nothing new. It can fail or be canceled once per Dagster run, and
        succeed after that: each of these is news, so they carry the Dagster run's id.
        """
        return "run_success" if self.outcome == "success" else f"run_{self.outcome}:{self.dagster_run_id}"

    @property
    def regressed(self) -> bool:
        """Whether any metric is worse than its baseline."""
        if self.verdict is None:
            return False
        return self.verdict.status == "worse" or any(finding.status == "worse" for finding in self.verdict.findings)

    @property
    def needs_people(self) -> bool:
        """Whether somebody is called: something regressed, or the run failed."""
        return self.outcome == "failure" or self.regressed
