"""One evaluated release in numbers, good or bad, with all that a report can show."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl

from vllm_quality.report.data import ReportData
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.rows import REQUEST_SCHEMA, SAMPLE_SCHEMA, PastRun, RunRow
from vllm_quality.serving.endpoint import Endpoint
from vllm_quality.serving.target import Target
from vllm_quality.verdict.judge import PastValues, judge
from vllm_quality.verdict.thresholds import PerformanceRule, Thresholds

BEGAN = datetime(2026, 11, 21, 14, 3, tzinfo=UTC)
HOSTILE = "</pre><script>alert('x')</script><img src=x onerror=alert(1)> [a](javascript:b) & \u202e\x00"
KOREAN = "오늘 서울의 날씨는 맑고 바람이 조금 붑니다."
REASON = (
    "hallucination 0.00: the passage says that it rains; the answer says that it is clear.\nformat 1.00: as asked <b>"
)
TEXT_COLUMNS = ("suite", "item_hash", "prompt", "answer", "expected", "reason", "error")

TARGET = Target(
    run_id="8f4f2c1e-9a0b",
    model_tag="release-1.4.0",
    endpoint=Endpoint("http://vllm:8000", "HuggingFaceTB/SmolLM2-360M", "vllm", "0.11.2", ("chat",), 8192),
    profile="standard",
    hardware="2x L40S",
    image_digest="sha256:" + "5d41402abc4b2a76" * 4,
    seen_at=BEGAN - timedelta(minutes=4),
    started_at=BEGAN,
)
THRESHOLDS = Thresholds(
    performance=PerformanceRule(max_regression=0.1, judged=("*/ttft_p99_s", "*/output_tokens_per_s")),
    floors={"load/*/success_ratio": 0.99},
)


def requests(count: int = 120, failed: int = 0, stage: str = "main", open_loop: bool = True) -> pl.DataFrame:
    """Requests at ten a second, the first of them failed."""
    draw = random.Random(count)
    rows = []
    for index in range(count):
        sent, is_ok = index / 10 + 0.001, index >= failed
        first, tokens = sent + draw.lognormvariate(-3, 0.5), draw.randint(10, 100)
        row = {
            "scenario": "baseline",
            "stage": stage,
            "request_index": index,
            "due_s": index / 10 if open_loop else None,
            "sent_s": sent,
            "end_s": first + tokens * 0.01,
            "outcome": "ok" if is_ok else "http_error",
            "error": "" if is_ok else "HTTP 503",
            "item": f"item{index}",
        }
        if is_ok:
            row |= {"first_token_s": first, "last_token_s": first + tokens * 0.01, "output_tokens": tokens}
        rows.append(row)
    return pl.DataFrame(rows, schema=REQUEST_SCHEMA)


def samples(suite: str, metric: str, failed: int, count: int = 50, **statuses: int) -> pl.DataFrame:
    """Right-or-wrong samples, the first of them failed; then those with another status, without a score."""
    special = [status for status, number in statuses.items() for _ in range(number)]
    rows = [
        {
            "suite": suite,
            "item_hash": f"{suite}-{index:04d}",
            "prompt_hash": "p",
            "metric": metric,
            "score": float(index >= failed),
            "status": "ok",
            "finish_reason": "stop",
            "judge": "",
        }
        for index in range(count)
    ]
    for row, status in zip(reversed(rows), special, strict=False):
        row |= {"score": None, "status": status}
    return pl.DataFrame(rows, schema=SAMPLE_SCHEMA)


def texts(suite: str, answer: str, count: int = 50, reason: str = "") -> pl.DataFrame:
    """A text for every sample of a suite."""
    rows = [
        (suite, f"{suite}-{index:04d}", f"Prompt {index} {KOREAN}", answer, None, reason, None)
        for index in range(count)
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(TEXT_COLUMNS, pl.String()), orient="row")


def measurements(slower: float = 1.0, lost: float = 0.0) -> list[Measurement]:
    """What was measured; `slower` times as slow, with so much of each score lost."""
    load = "load/baseline/main"
    latency = {
        f"{load}/{clock}_{name}_s": seconds * share * slower
        for clock, seconds in (("ttft", 0.0871), ("tpot", 0.0123), ("itl", 0.0119), ("e2e", 1.234))
        for name, share in (("mean", 1.0), ("p50", 0.9), ("p90", 1.4), ("p95", 1.6), ("p99", 2.1))
    }
    speed = {
        f"{load}/output_tokens_per_s": 871.3 / slower,
        f"{load}/requests_per_s": 9.87,
        f"{load}/success_ratio": 1.0 if slower == 1 else 0.973,
        f"{load}/send_lag_p99_s": 0.00041,
        f"{load}/send_lag_max_s": 0.0021,
        f"{load}/http_error_count": 0.0 if slower == 1 else 3.0,
        f"{load}/requests_count": 120.0,
    }
    return [
        Measurement("load/baseline", latency | speed, "l", details={"stages": {"main": {"window_s": 12.345678}}}),
        Measurement(
            "eval/basics_ko",
            {"eval/basics_ko/exact_match": 0.62 - lost, "eval/basics_ko/exact_match_stderr": 0.031}
            | {"eval/basics_ko/items_count": 50.0, "eval/basics_ko/novel_figure": 17.25},
            "k",
            details={"num_fewshot": 0, "versions": ["1.0", "2.0"]},
        ),
        Measurement(
            "eval/deepeval",
            {"eval/deepeval/hallucination_score": 0.912, "eval/deepeval/hallucination_pass_ratio": 0.94}
            | {"eval/deepeval/hallucination_score_without_overlap": 0.874, "eval/deepeval/overlap_count": 6.0},
            "d",
        ),
        Measurement("eval/wiki", {"eval/wiki/word_perplexity": 12.73}, "w"),
    ]


def past(number: int, alike: bool = True) -> PastRun:
    """An earlier release; `alike` when it was measured under the same conditions."""
    found = measurements()
    ended = BEGAN - timedelta(days=number)
    run = RunRow(
        run_id=f"past-{number}",
        model_tag=f"release-1.3.{9 - number}",
        image_digest="",
        snapshot_hash="",
        suite_hash="",
        engine="vllm",
        engine_version="0.11.1",
        model="m",
        hardware="h",
        settings_hash="",
        step_hashes={m.step: m.comparable if alike else "other" for m in found},
        profile="standard",
        seen_at=None,
        started_at=ended,
        finished_at=ended,
        verdict="pass",
    )
    return PastRun(run, {name: value * (1 + number / 200) for m in found for name, value in m.metrics.items()})


def release(
    found: list[Measurement] | None = None, history: tuple[PastRun, ...] | None = None, answer: str = HOSTILE
) -> ReportData:
    """A whole report's data, judged by the real rule."""
    found = measurements() if found is None else found
    history = (past(1), past(2), past(3, alike=False)) if history is None else history
    earlier = [PastValues(p.run.run_id, p.run.verdict, p.run.step_hashes, p.metrics) for p in history]
    frames: Mapping[str, pl.DataFrame] = {
        "eval/basics_ko": samples("basics_ko", "exact_match", failed=20, infra_error=2, truncated=1),
        "eval/deepeval": samples("deepeval", "hallucination_score", failed=1, judge_error=7).with_columns(
            judge=pl.lit("qwen3-32b")
        ),
    }
    return ReportData(
        target=TARGET,
        verdict=judge(found, earlier, THRESHOLDS),
        finished_at=BEGAN + timedelta(minutes=33, seconds=12),
        measurements=found,
        history=history,
        requests={"load/baseline": requests(failed=3)},
        samples=frames,
        texts={"eval/basics_ko": texts("basics_ko", answer), "eval/deepeval": texts("deepeval", KOREAN, reason=REASON)},
        snapshot_hash="9b74c9897bac770f" * 4,
        item_counts={"basics_ko": 50, "service_queries": 1000},
        links={"Dagster run": "http://127.0.0.1:3000/runs/8f4f2c1e", "Objects": "s3://llm-eval-ds/runs/8f4f2c1e"},
        warnings=["A sentence from elsewhere <b>."],
    )


def worse_release() -> ReportData:
    """The same release, slower and less right."""
    return release(measurements(slower=1.4, lost=0.15))


def with_problem(report: ReportData) -> ReportData:
    """The report of a load measurement that cannot be trusted."""
    load, *others = report.measurements
    spoilt = [replace(load, problem="the client was 50 ms late."), *others]
    return replace(report, measurements=spoilt, verdict=judge(spoilt, [], THRESHOLDS))
