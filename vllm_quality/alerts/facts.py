"""What a run's card says below the findings: why it failed, what was measured, with what, and when."""

from vllm_quality.alerts.elements import Element, facts, opens_in_teams
from vllm_quality.alerts.markdown import plain
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.report.units import (
    NONE,
    as_share,
    human_duration,
    human_size,
    human_time,
    is_relative,
    short_hash,
)
from vllm_quality.verdict.repeats import count_repeats
from vllm_quality.verdict.types import Finding, Repeat, Verdict


def failure_section(notice: RunNotice, letters: int) -> list[Element]:
    """Step, cause and the next action of a run that failed."""
    failure = notice.failure
    if notice.outcome != "failure" or failure is None:
        return []
    return [
        facts(
            (
                ("Step", plain(failure.step, 128) if failure.step else "outside of a step"),
                ("Cause", plain(failure.cause, letters)),
                ("Do next", plain(failure.action, letters)),
            )
        )
    ]


def _sensitivity(verdict: Verdict | None) -> str | None:
    """What "not worse" is worth: the smallest loss that no judged metric would have hidden."""
    if verdict is None or verdict.status not in ("pass", "better"):
        return None
    parts = []
    told = [f for f in verdict.findings if f.status in ("pass", "better") and f.mde is not None]
    for words in dict.fromkeys(map(_kind, sorted(told, key=_in_turn))):
        weakest = max(
            (finding for finding in told if _kind(finding) == words),
            key=lambda finding: as_share(finding, finding.mde or 0.0),
        )
        parts.append(f"a loss of {human_size(weakest, weakest.mde)} in {words}")
    return ", ".join(parts) or None


def _in_turn(finding: Finding) -> tuple[bool, bool]:
    return finding.area == "performance", is_relative(finding)


def _kind(finding: Finding) -> str:
    if finding.area == "performance":
        return "any judged speed"
    return "any other quality" if is_relative(finding) else "any judged score"


def _measured_again(verdict: Verdict | None) -> str | None:
    """What second measurements made of suspicions."""
    counts = count_repeats((*verdict.findings, *verdict.slices)) if verdict else {}
    words: dict[Repeat, str] = {"confirmed": "confirmed", "refuted": "not borne out", "failed": "failed"}
    return ", ".join(f"{counts[repeat]} {how}" for repeat, how in words.items() if counts.get(repeat)) or None


def facts_section(notice: RunNotice) -> list[Element]:
    """What was measured, with what, and when."""
    target = notice.target
    pairs: list[tuple[str, str | None]] = []
    if target is not None:
        engine = f"{target.endpoint.engine} {target.endpoint.engine_version}".strip()
        pairs.append(("Measured", f"{target.endpoint.model} on {engine}, {target.hardware}, profile {target.profile}"))
    pairs.append(("Image", short_hash(notice.image_digest)))
    if notice.verdict is not None and notice.verdict.baseline_runs:
        runs = len(notice.verdict.baseline_runs)
        pairs.append(("Held against", f"{runs} earlier run{'s' if runs != 1 else ''}"))
    pairs.append(("Measured again", _measured_again(notice.verdict)))
    pairs.append(("Would have shown", _sensitivity(notice.verdict)))
    if notice.finished_at is not None:
        took = ""
        if notice.started_at is not None:
            took = f", took {human_duration((notice.finished_at - notice.started_at).total_seconds())}"
        pairs.append(("Ended", f"{human_time(notice.finished_at)}{took}"))
    pairs.append(("Run", notice.run_id))
    if notice.report_url is not None and not opens_in_teams(notice.report_url):
        pairs.append(("Report", notice.report_url))
    return [facts((title, plain(value, 200)) for title, value in pairs if value and value != NONE)]
