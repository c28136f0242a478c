"""Rows as the pipeline writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from vllm_quality.results.rows import REQUEST_SCHEMA, SAMPLE_SCHEMA, ResultRow, RunRow

NOON = datetime(2026, 11, 20, 12, 0, 0, 123000, tzinfo=UTC)


def result_rows(run_id: str, metrics: Mapping[str, float], tag: str = "release-1") -> list[ResultRow]:
    return [ResultRow(run_id, tag, metric, value, NOON) for metric, value in metrics.items()]


def run_row(run_id: str, **changes: Any) -> RunRow:
    row = RunRow(
        run_id=run_id,
        model_tag="release-1",
        image_digest="sha256:ab",
        snapshot_hash="cd",
        suite_hash="ef",
        engine="vllm",
        engine_version="0.32.0",
        model="smollm2",
        hardware="2 cores",
        settings_hash="01",
        step_hashes={"load/baseline": "23", "eval/piqa": "45"},
        profile="smoke",
        seen_at=None,
        started_at=NOON,
        finished_at=NOON,
        verdict="pass",
    )
    return replace(row, **changes)


def samples_frame(rows: Sequence[Mapping[str, Any]] = ({},)) -> pl.DataFrame:
    usual = {
        "suite": "piqa",
        "item_hash": "a1",
        "prompt_hash": "b2",
        "metric": "acc",
        "score": 1.0,
        "status": "ok",
        "finish_reason": "stop",
        "prompt_tokens": 12,
        "output_tokens": 3,
        "judge": "",
        "cluster": "passage 1",
        "slices": ["language=ko", "subject=history"],
    }
    return pl.DataFrame([{**usual, **row} for row in rows], schema=SAMPLE_SCHEMA)


def requests_frame(rows: Sequence[Mapping[str, Any]] = ({},)) -> pl.DataFrame:
    usual = {
        "scenario": "baseline",
        "stage": "0",
        "request_index": 0,
        "due_s": 0.0,
        "sent_s": 0.001,
        "headers_s": 0.01,
        "first_token_s": 0.2,
        "last_token_s": 1.5,
        "end_s": 1.5,
        "prompt_tokens": 100,
        "output_tokens": 50,
        "outcome": "ok",
        "http_status": 200,
        "error": "",
        "item": "a1",
    }
    return pl.DataFrame([{**usual, **row} for row in rows], schema=REQUEST_SCHEMA)
