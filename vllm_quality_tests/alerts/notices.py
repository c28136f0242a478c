"""Notices that the alert tests share."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from vllm_quality.alerts.notice import RunNotice
from vllm_quality.serving.endpoint import Endpoint
from vllm_quality.serving.target import Target
from vllm_quality.verdict.types import Finding, Verdict

STARTED = datetime(2026, 11, 21, 14, 3, tzinfo=UTC)
MENTIONS = (("LLM-Ops", "llm-ops@example.com"), ("김하나", "hana@example.com"))

SLOWER = Finding(
    metric="load/baseline/main/ttft_p99_s",
    area="performance",
    status="worse",
    current=0.277,
    baseline=0.204,
    change=0.36,
    limit=0.1,
    higher_is_better=False,
    unit="s",
    reason="+36.0% against the mean of 5 comparable runs; the limit is 10%.",
)
DUMBER = Finding(
    metric="eval/basics_ko/exact_match",
    area="quality",
    status="worse",
    current=0.27,
    baseline=0.522,
    change=-0.483,
    limit=0.1,
    higher_is_better=True,
    unit="",
    reason="-48.3% against the mean of 5 comparable runs; the limit is 10%.",
)
FAILING = Finding(
    metric="load/baseline/main/success_ratio",
    area="performance",
    status="worse",
    current=0.967,
    baseline=None,
    change=None,
    limit=None,
    higher_is_better=True,
    unit="",
    reason="0.967 is under the floor of 0.99.",
)
STEADY = Finding(
    metric="load/baseline/main/output_tokens_per_s",
    area="performance",
    status="ok",
    current=833.1,
    baseline=868.7,
    change=-0.041,
    limit=0.1,
    higher_is_better=True,
    unit="1/s",
    reason="-4.1% against the mean of 5 comparable runs; the limit is 10%.",
)

PASS = Verdict(
    "pass", (STEADY,), ("r1", "r2"), "Not worse: 1 judged metric is within its limit, against 2 earlier runs."
)
WORSE = Verdict(
    "worse",
    (STEADY, SLOWER, DUMBER, FAILING),
    ("r1", "r2"),
    "Worse: 3 of 4 judged metrics are beyond their limit, against 2 earlier runs.",
)

TARGET = Target(
    run_id="run-7",
    model_tag="release-1.4.0",
    endpoint=Endpoint("http://vllm:8000", "HuggingFaceTB/SmolLM2-360M", "vllm", "0.11.2", ("chat",), 8192),
    profile="standard",
    hardware="2x L40S",
    image_digest="sha256:" + "5d41402abc4b2a76b9719d911017c592" * 2,
    seen_at=None,
    started_at=STARTED,
)
SUCCESS = RunNotice(
    run_id="run-7",
    dagster_run_id="run-7",
    model_tag="release-1.4.0",
    outcome="success",
    target=TARGET,
    image_digest=TARGET.image_digest,
    verdict=PASS,
    run_url="http://dagster:3000/runs/run-7",
    report_url="https://s3.example.com/reports/release-1.4.0/run-7/report.html",
    started_at=STARTED,
    finished_at=STARTED + timedelta(minutes=31, seconds=5),
)
REGRESSION = replace(SUCCESS, verdict=WORSE)
FAILURE = replace(
    SUCCESS,
    outcome="failure",
    verdict=None,
    report_url=None,
    failed_step="serving_endpoint",
    error="http://vllm:8000 cannot be reached (Connection refused); check --base-url or VLLM_QUALITY_BASE_URL.",
)
