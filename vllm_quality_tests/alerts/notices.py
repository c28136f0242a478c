"""Notices that the alert tests share."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from vllm_quality.alerts.notice import Failure, FlippedAnswer, RunNotice, SpeedFigure, StageSpeed
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
    reason="+36 %; by chance that happens less than once in 20,000 such releases.",
    detector="requests",
    rule_says_worse=True,
    effect=0.358,
    low=0.291,
    high=0.427,
    p_value=1e-6,
    p_adjusted=5e-5,
    mde=0.08,
    matters=0.1,
    n=120,
    method="paired requests, block bootstrap",
)
DUMBER = Finding(
    metric="eval/basics_ko/exact_match",
    area="quality",
    status="worse",
    current=0.498,
    baseline=0.522,
    change=-0.046,
    limit=0.1,
    higher_is_better=True,
    unit="",
    reason="-2.4 points; by chance that happens less than once in 9,000 such releases.",
    detector="items",
    rule_says_worse=False,
    effect=-0.024,
    low=-0.031,
    high=-0.017,
    p_value=2e-5,
    p_adjusted=1e-4,
    mde=0.012,
    matters=0.02,
    n=1000,
    method="paired items against 5 runs",
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
    detector="limit",
)
STEADY = Finding(
    metric="load/baseline/main/output_tokens_per_s",
    area="performance",
    status="pass",
    current=833.1,
    baseline=868.7,
    change=-0.041,
    limit=0.1,
    higher_is_better=True,
    unit="1/s",
    reason="-4.1 %, within chance; a loss of 8 % would have shown.",
    detector="runs",
    effect=-0.041,
    low=-0.09,
    high=0.01,
    mde=0.08,
    matters=0.1,
    n=6,
)
WEAK = Finding(
    metric="eval/tone_ko/llm_judge_pass_ratio",
    area="quality",
    status="underpowered",
    current=0.88,
    baseline=0.9,
    change=-0.022,
    limit=0.1,
    higher_is_better=True,
    unit="",
    reason="-2 points, within chance, but only a loss of 11 points would have shown; "
    "to see 2 points it takes about 1,400 items instead of 50.",
    detector="items",
    effect=-0.02,
    low=-0.09,
    high=0.05,
    p_value=0.3,
    p_adjusted=1.0,
    mde=0.11,
    matters=0.02,
    n=50,
)
SLICE = Finding(
    metric="eval/basics_ko/exact_match[math]",
    area="quality",
    status="worse",
    current=0.41,
    baseline=0.49,
    change=-0.163,
    limit=None,
    higher_is_better=True,
    unit="",
    reason="-8 points; by chance that happens less than once in 3,000 such releases.",
    detector="items",
    effect=-0.08,
    low=-0.11,
    high=-0.05,
    p_value=1e-5,
    p_adjusted=3e-4,
    mde=0.04,
    matters=0.05,
    n=210,
)

PASS = Verdict("pass", (STEADY,), ("r1", "r2"), "Not worse: 1 judged metrics show no loss, against 2 earlier runs.")
UNDERPOWERED = Verdict(
    "underpowered",
    (STEADY, WEAK, replace(WEAK, metric="eval/basics_en/exact_match", mde=0.06)),
    ("r1", "r2"),
    "Cannot tell: 2 of 3 judged metrics show no loss, but could only have shown a larger one.",
)
WORSE = Verdict(
    "worse",
    (STEADY, SLOWER, DUMBER, FAILING),
    ("r1", "r2"),
    "Worse: 3 of 4 judged metrics are beyond chance or their limit, against 2 earlier runs.",
    (SLICE,),
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


def stage_speed(stage: str, slower: float) -> StageSpeed:
    """A stage whose latencies are so many times those of before."""
    return StageSpeed(
        stage,
        SpeedFigure(f"{stage}/output_tokens_per_s", "1/s", 868.7 / slower, 868.7),
        SpeedFigure(f"{stage}/ttft_p99_s", "s", 0.204 * slower, 0.204),
        SpeedFigure(f"{stage}/tpot_p50_s", "s", 0.0113, 0.0112),
        runs=5,
    )


FLIPS = (
    FlippedAnswer(
        "basics_ko",
        "9f2c",
        1.0,
        0.0,
        "서울에서 부산까지 기차로 몇 시간 걸리나요?",
        "2시간 30분",
        "약 2시간 30분",
        "12시간",
    ),
    FlippedAnswer(
        "basics_ko", "1b77", 1.0, 0.0, "문의는 <PHONE> 로 해 주세요. 몇 시까지 받나요?", "18시", None, "모릅니다."
    ),
    FlippedAnswer("basics_ko", "77aa", 1.0, 0.25),
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
    partition_url="http://dagster:3000/assets/results?view=partitions&partition=release-1.4.0",
    started_at=STARTED,
    finished_at=STARTED + timedelta(minutes=31, seconds=5),
    speed=(stage_speed("load/baseline/main", 0.99), stage_speed("load/sweep/c8", 1.01)),
)
REGRESSION = replace(
    SUCCESS,
    verdict=WORSE,
    flips=FLIPS,
    speed=(stage_speed("load/baseline/main", 1.36), stage_speed("load/sweep/c8", 1.2)),
)
FAILURE = replace(
    SUCCESS,
    outcome="failure",
    verdict=None,
    report_url=None,
    speed=(),
    failure=Failure(
        "serving_endpoint",
        "http://vllm:8000 cannot be reached (Connection refused); check --base-url or VLLM_QUALITY_BASE_URL.",
        "Bring the endpoint up, then re-execute the run from failure.",
    ),
)
