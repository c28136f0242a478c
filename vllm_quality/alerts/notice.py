"""What an alert is about: how one run of an evaluation ended."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from vllm_quality.serving.target import Target
from vllm_quality.verdict.types import Verdict

Outcome = Literal["success", "failure", "canceled"]


@dataclass(frozen=True)
class FlippedAnswer:
    """An item that lost, with its texts as far as they were kept; no personal data is in them.

    suite          such as "basics_ko"
    item           its hash
    before, now    scores
    answer_before  what the newest comparable release said; None where that was not kept
    """

    suite: str
    item: str
    before: float
    now: float
    prompt: str | None = None
    expected: str | None = None
    answer_before: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class SpeedFigure:
    """One figure of a load stage: its metric's full path, its value and the mean of the comparable releases before."""

    metric: str
    unit: str
    now: float | None
    before: float | None

    @property
    def change(self) -> float | None:
        """Signed and relative; None where there is nothing to compare with."""
        if self.now is None or not self.before:
            return None
        return (self.now - self.before) / abs(self.before)


@dataclass(frozen=True)
class StageSpeed:
    """A point of the throughput-latency curve, and where it was before.

    stage  such as "load/baseline/main"
    runs   comparable runs behind the figures of before
    """

    stage: str
    throughput: SpeedFigure
    ttft: SpeedFigure
    tpot: SpeedFigure
    runs: int


@dataclass(frozen=True)
class Failure:
    """Why a run failed.

    step    the first step that failed; None when the run died outside of a step
    cause   one sentence for a person, no traceback and no secret
    action  what to do next
    """

    step: str | None
    cause: str
    action: str


@dataclass(frozen=True)
class RunNotice:
    """One ended run.

    run_id          the evaluation's id; a resumed evaluation keeps it
    dagster_run_id  the run that ended, one of the evaluation's
    target          what was measured; None when the run ended before that was known
    image_digest    "sha256:…" of the pushed image; empty when the run was started by hand
    verdict         None when the run ended before there was one
    failure         None when nothing failed
    report_url      where the report is: http(s)://, s3:// or file://
    partition_url   the release among the others in Dagster
    flips           items that lost most
    speed           the throughput-latency curve against the releases before
    """

    run_id: str
    dagster_run_id: str
    model_tag: str
    outcome: Outcome
    target: Target | None = None
    image_digest: str = ""
    verdict: Verdict | None = None
    failure: Failure | None = None
    run_url: str | None = None
    report_url: str | None = None
    partition_url: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    flips: tuple[FlippedAnswer, ...] = ()
    speed: tuple[StageSpeed, ...] = ()

    @property
    def kind(self) -> str:
        """What the ledger remembers this alert by, within its evaluation.

        An evaluation succeeds once, so its replay says nothing new. It can fail or be canceled once per Dagster run, and
        succeed after that: each of these is news, so they carry the Dagster run's id.
        """
        return alert_kind(self.outcome, self.dagster_run_id)

    @property
    def failed_step(self) -> str | None:
        """The first step that failed; None when none did, or the run died outside of a step."""
        return self.failure.step if self.failure else None

    @property
    def error(self) -> str | None:
        """Why the run failed, in one sentence; None when it did not."""
        return self.failure.cause if self.failure else None

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


def alert_kind(outcome: Outcome, dagster_run_id: str) -> str:
    """See `RunNotice.kind`."""
    return "run_success" if outcome == "success" else f"run_{outcome}:{dagster_run_id}"
