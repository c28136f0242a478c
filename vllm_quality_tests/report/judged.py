"""Releases with items and requests of their own, judged by the real statistics: one of each kind."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import polars as pl

from vllm_quality.report.data import ReportData
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.rows import REQUEST_SCHEMA, PastRun
from vllm_quality.verdict.confirmation import settle
from vllm_quality.verdict.evidence import EarlierRun, Step, gather
from vllm_quality.verdict.judge import PastValues, is_judged, judge
from vllm_quality.verdict.load_evidence import clocks
from vllm_quality.verdict.thresholds import load_thresholds
from vllm_quality.verdict.types import Finding, Moved, Status, Verdict
from vllm_quality_tests.report.releases import BEGAN, TARGET, TEXT_COLUMNS, past, samples

_ASKED = {"gsm8k": 1319, "mmlu_ko": 1000, "basics_ko": 400, "arc_ko": 60}
_QUESTION = "철수는 사과 {0}개를 가지고 있고 영희에게 {1}개를 주었습니다. 남은 사과는 몇 개입니까? 풀이를 쓰고 마지막 줄에 답만 쓰세요."
_LADDER = ("c1", "c2", "c4", "c8", "c16", "c32")


def _right(suite: str, count: int, run: int, lost: float) -> list[float]:
    """1 for a right answer; runs of one release differ by a few items, and `lost` is the share that a bad one loses."""
    items, noise = random.Random(suite), random.Random(f"{suite} {run}")
    scores = []
    for _ in range(count):
        is_right = items.random() < 0.62
        if noise.random() < 0.01:
            is_right = not is_right
        change = noise.random()
        scores.append(float((is_right and change >= lost / 0.62) or (not is_right and change < -lost / 0.38)))
    return scores


def _sampled(suite: str, scores: list[float]) -> pl.DataFrame:
    found = samples(suite, "exact_match", failed=0, count=len(scores))
    return found.with_columns(score=pl.Series(scores))


def _likely(suite: str, count: int, run: int, lost: float) -> pl.DataFrame:
    """The right answers' logprobs in nats per byte; runs differ by the arithmetic of their kernels."""
    items, noise = random.Random(f"{suite} gold"), random.Random(f"{suite} gold {run}")
    values = [(-1.1 + items.gauss(0, 0.35)) * (1 + 0.8 * lost) + noise.gauss(0, 0.01) for _ in range(count)]
    found = samples(suite, "gold_logprob", failed=0, count=count)
    return found.with_columns(score=pl.Series(values))


def _timed(run: int, slower: float) -> pl.DataFrame:
    """400 requests of one tape."""
    tape, noise = random.Random("tape"), random.Random(f"requests {run}")
    rows = []
    for index in range(400):
        due, tokens = index / 10, tape.randint(20, 100)
        first = due + 0.06 * tape.lognormvariate(0, 0.3) * noise.lognormvariate(0, 0.05) * slower
        last = first + tokens * 0.012 * noise.lognormvariate(0, 0.02) * slower
        rows.append(
            {
                "scenario": "baseline",
                "stage": "main",
                "request_index": index,
                "due_s": due,
                "sent_s": due + 0.001,
                "first_token_s": first,
                "last_token_s": last,
                "end_s": last,
                "output_tokens": tokens,
                "outcome": "ok",
                "error": "",
                "item": f"item{index}",
            }
        )
    return pl.DataFrame(rows, schema=REQUEST_SCHEMA)


def _load_metrics(run: int, frame: pl.DataFrame, slower: float) -> dict[str, float]:
    values, noise = clocks(frame), random.Random(f"load {run}")
    prefix = "load/baseline/main"
    found = {
        f"{prefix}/{clock}_p{share}_s": float(values[clock].drop_nulls().quantile(share / 100, "linear") or 0.0)
        for clock in ("ttft", "tpot", "e2e")
        for share in (50, 99)
    }
    tokens = float(frame["output_tokens"].sum()) / float(frame["end_s"].max())  # type: ignore[arg-type]
    return found | {f"{prefix}/output_tokens_per_s": tokens * noise.uniform(0.99, 1.01), f"{prefix}/success_ratio": 1.0}


def _ladder_metrics(run: int, slower: float) -> dict[str, float]:
    noise, found = random.Random(f"sweep {run}"), {}
    for stage in _LADDER:
        streams = int(stage[1:])
        tokens = 2600 / slower * streams / (streams + 14) * noise.uniform(0.98, 1.02)
        wait = (0.05 + 0.004 * streams + 0.00045 * streams**2) * slower * noise.uniform(0.97, 1.03)
        prefix = f"load/sweep/{stage}"
        found[f"{prefix}/output_tokens_per_s"] = tokens
        found |= {f"{prefix}/ttft_p50_s": wait, f"{prefix}/ttft_p99_s": wait * 2.3}
        found[f"{prefix}/tpot_p50_s"] = 0.8 * streams / tokens
    return found | {"load/sweep/plateau/output_tokens_per_s": 2010 / slower * noise.uniform(0.99, 1.01)}


@dataclass(frozen=True)
class _Run:
    """What one release gave: `lost` of its answers by suite, and how many times slower it was."""

    number: int
    scores: Mapping[str, pl.DataFrame]
    logprobs: Mapping[str, pl.DataFrame]
    requests: pl.DataFrame
    measurements: list[Measurement]

    def samples(self, suite: str) -> pl.DataFrame | None:
        """All rows of a suite's items."""
        own = [frames[suite] for frames in (self.scores, self.logprobs) if suite in frames]
        return pl.concat(own) if own else None


def _evaluated(number: int, asked: Mapping[str, int], lost: Mapping[str, float], slower: float) -> _Run:
    scores = {
        suite: _sampled(suite, _right(suite, count, number, lost.get(suite, 0.0))) for suite, count in asked.items()
    }
    logprobs = {
        suite: _likely(suite, asked[suite], number, lost.get(suite, 0.0)) for suite in asked if suite == "mmlu_ko"
    }
    frame = _timed(number, slower)
    found = [
        Measurement("load/baseline", _load_metrics(number, frame, slower), "1a" * 32),
        Measurement("load/sweep", _ladder_metrics(number, slower), "2b" * 32),
    ]
    for suite, own in scores.items():
        mean = float(own["score"].sum()) / own.height
        error = (mean * (1 - mean) / own.height) ** 0.5
        metrics = {f"eval/{suite}/exact_match": mean, f"eval/{suite}/exact_match_stderr": error}
        if suite in logprobs:
            metrics[f"eval/{suite}/gold_logprob"] = float(logprobs[suite]["score"].sum()) / own.height
            metrics[f"eval/{suite}/gold_logprob_stderr"] = 0.011
        found.append(
            Measurement(f"eval/{suite}", metrics | {f"eval/{suite}/items_count": float(own.height)}, "3c" * 32)
        )
    return _Run(number, scores, logprobs, frame, found)


def _remembered(run: _Run, verdict: str) -> PastRun:
    before = past(1).run
    ended = BEGAN - timedelta(days=3 * run.number)
    row = replace(
        before,
        run_id=f"0be1-past-{run.number}",
        model_tag=f"release-1.3.{9 - run.number}",
        image_digest="sha256:" + f"{run.number}7" * 32,
        step_hashes={m.step: m.comparable for m in run.measurements},
        started_at=ended,
        finished_at=ended,
        verdict=verdict,
    )
    return PastRun(row, {name: value for m in run.measurements for name, value in m.metrics.items()})


def _asked_texts(suite: str, right: Mapping[str, float], long: bool) -> pl.DataFrame:
    rows = []
    for number, (item, score) in enumerate(right.items()):
        a, b = 12 + number % 40, 3 + number % 9
        told = f"처음에 {a}개가 있었고 {b}개를 주었으므로 {a} - {b} = {a - b}입니다.\n{a - b if score else a + b}"
        thinking = "차례대로 생각해 보겠습니다. " * 60 if long and not score else ""
        reason = "" if score else f"the last line is {a + b}, the reference {a - b}"
        rows.append((suite, item, _QUESTION.format(a, b), f"{thinking}{told}", str(a - b), reason, None))
    return pl.DataFrame(rows, schema=dict.fromkeys(TEXT_COLUMNS, pl.String()), orient="row")


def _part(verdict: Verdict, metric: str, part: str, effect: float, half: float, status: Status) -> Finding:
    whole = next(finding for finding in verdict.findings if finding.metric == metric)
    return replace(
        whole,
        metric=f"{metric}[{part}]",
        status=status,
        current=(whole.baseline or 0.6) + effect,
        effect=effect,
        low=effect - half,
        high=effect + half,
        p_adjusted=0.0004 if status == "worse" else 0.7,
        mde=1.8 * half,
        n=180,
        reason=f"{effect * 100:+.1f} points.",
        rule_says_worse=None,
    )


def judged_release(
    lost: Mapping[str, float] | None = None,
    slower: float = 1.0,
    asked: Mapping[str, int] | None = None,
    runs: int = 4,
    matters: float = 0.10,
) -> ReportData:
    """A release judged against `runs` earlier ones, item by item and request by request. One before them was worse."""
    thresholds = load_thresholds(Path(str(files("vllm_quality"))) / "configs" / "thresholds.yaml")
    speed = thresholds.performance.model_copy(update={"matters": matters})
    thresholds = thresholds.model_copy(update={"performance": speed})
    asked = _ASKED if asked is None else asked
    now = _evaluated(0, asked, lost or {}, slower)
    earlier = [_evaluated(number, asked, {}, 1.0) for number in range(1, runs + 1)]
    bad = [_remembered(_evaluated(runs + 1, asked, {"gsm8k": 0.09}, 1.3), "worse")] if runs else []
    history = [*(_remembered(run, "pass") for run in earlier), *bad]
    by_id = {past_run.run.run_id: run for past_run, run in zip(history, earlier, strict=False)}
    steps = [
        Step(
            m.metrics,
            now.samples(m.step.partition("/")[2]),
            now.requests if m.step == "load/baseline" else None,
            [
                EarlierRun(
                    run_id,
                    next(own.metrics for own in run.measurements if own.step == m.step),
                    run.samples(m.step.partition("/")[2]),
                    run.requests if m.step == "load/baseline" else None,
                )
                for run_id, run in by_id.items()
            ],
        )
        for m in now.measurements
    ]
    values = [PastValues(p.run.run_id, p.run.verdict, p.run.step_hashes, p.metrics) for p in history]
    wanted = [name for m in now.measurements for name in m.metrics if is_judged(name, thresholds)]
    verdict = judge(now.measurements, values, thresholds, None, gather(steps, wanted))
    if runs and "mmlu_ko" in asked:
        change = -0.124 if lost else 0.002
        verdict = replace(
            verdict,
            slices=(
                _part(verdict, "eval/mmlu_ko/exact_match", "Korean law", change, 0.04, "worse" if lost else "pass"),
                _part(verdict, "eval/mmlu_ko/exact_match", "physics/high school", 0.004, 0.05, "underpowered"),
                _part(verdict, "eval/gsm8k/exact_match", "answers of over 400 tokens", -0.01, 0.012, "pass"),
            ),
        )
    texts_now = {
        f"eval/{suite}": _asked_texts(suite, dict(own.select("item_hash", "score").iter_rows()), long=True)
        for suite, own in now.scores.items()
    }
    texts_then = {
        f"eval/{suite}": _asked_texts(suite, dict(own.select("item_hash", "score").iter_rows()), long=False)
        for suite, own in (earlier[0].scores.items() if earlier else ())
    }
    return ReportData(
        target=TARGET,
        verdict=verdict,
        finished_at=BEGAN + timedelta(minutes=33, seconds=12),
        measurements=now.measurements,
        history=history,
        requests={"load/baseline": now.requests},
        samples={f"eval/{suite}": own for suite in now.scores if (own := now.samples(suite)) is not None},
        texts=texts_now,
        earlier_texts=texts_then,
        tapes={"load/baseline": "4d" * 32, "load/sweep": "5e" * 32},
        thresholds=thresholds,
        snapshot_hash="9b74c9897bac770f" * 4,
        item_counts=asked,
    )


MOVED = (
    Moved("eval/basics_ko/answer_chars", "length of the answers", 212.4, 187.1, -28.1, -22.4, 1e-6, 400),
    Moved("eval/gsm8k/exact_match[flips]", "items that changed sides", 0.0103, 0.0462, None, None, 3e-5, 1319),
    Moved("eval/basics_ko/hangul_ratio", "Hangul among the answers' letters", 0.914, 0.871, -0.058, -0.029, 4e-4, 400),
)


def measured_again() -> ReportData:
    """A release of which was measured again what was suspected: a loss confirmed, latencies not borne out, a sweep that
    failed. Another loss came in small steps, and signals moved.
    """
    data = judged_release({"gsm8k": 0.04, "mmlu_ko": 0.03}, slower=1.2)
    first = _drifted(data.verdict, "eval/mmlu_ko/exact_match")
    suspected = [finding for finding in (*first.findings, *first.slices) if finding.status == "worse"]
    second = replace(first, findings=tuple(_second_look(finding) for finding in suspected), slices=())
    verdict = settle(first, second, suspected, {"load/sweep": "the client was 50 ms late."})
    return replace(data, verdict=replace(verdict, moved=MOVED))


def _drifted(verdict: Verdict, metric: str) -> Verdict:
    reason = (
        "a loss in small steps: against the oldest of the last 20 accepted runs, -3.1 points; by chance that happens less "
        "than once in 400 such releases."
    )

    def drifted(finding: Finding) -> Finding:
        if finding.metric != metric:
            return finding
        return replace(finding, status="worse", detector="drift", reason=reason, p_adjusted=0.0025)

    return replace(verdict, findings=tuple(drifted(finding) for finding in verdict.findings))


def _second_look(suspected: Finding) -> Finding:
    if suspected.area == "quality":
        return suspected
    return replace(
        suspected,
        status="pass",
        current=(suspected.baseline or 0.0) * 1.004,
        effect=0.004,
        low=-0.03,
        high=0.04,
        p_adjusted=1.0,
        reason="+0.4 %, within chance; a loss of 6 % would have shown.",
    )


def judged_releases() -> dict[str, ReportData]:
    """One of each kind, by name."""
    return {
        "worse": judged_release({"gsm8k": 0.06, "mmlu_ko": 0.035}, slower=1.2),
        "pass": judged_release(asked={"gsm8k": 2600, "mmlu_ko": 2200, "basics_ko": 3000}, runs=5, matters=0.25),
        "underpowered": judged_release(asked={"arc_ko": 60, "basics_ko": 110}, runs=1),
        "better": judged_release({"gsm8k": -0.05}, slower=0.8),
        "first": judged_release(runs=0),
        "measured again": measured_again(),
    }
