"""What answers look like: told when it moved, never worse for it; but for the right answers' logprob."""

import random
from collections.abc import Sequence

import polars as pl
import pytest

from vllm_quality.results.measurement import Measurement
from vllm_quality.results.rows import SAMPLE_SCHEMA
from vllm_quality.verdict.evidence import EarlierRun, Step, gather
from vllm_quality.verdict.judge import PastValues, is_judged, judge
from vllm_quality.verdict.statistics.flips import count_flips
from vllm_quality.verdict.thresholds import QualityRule, Thresholds
from vllm_quality.verdict.types import Verdict

ACC, TOKENS, GOLD = "eval/suite/acc", "eval/suite/answer_tokens", "eval/suite/gold_logprob"
Scores = dict[str, Sequence[float]]


def frame(scores: Scores) -> pl.DataFrame:
    rows = [
        {"suite": "suite", "item_hash": f"item {at}", "metric": path.rpartition("/")[2], "score": score, "status": "ok"}
        for path, values in scores.items()
        for at, score in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=SAMPLE_SCHEMA)


def means(scores: Scores) -> dict[str, float]:
    return {path: sum(values) / len(values) for path, values in scores.items()}


def judged(
    now: Scores, *before: Scores, oldest: Sequence[Scores] = (), thresholds: Thresholds | None = None
) -> Verdict:
    limits = (thresholds or Thresholds()).model_copy(update={"quality": QualityRule(matters=0.05)})
    runs = [EarlierRun(f"run {at}", means(each), frame(each)) for at, each in enumerate([*before, *oldest])]
    step = Step(means(now), frame(now), None, runs[: len(before)], runs[len(before) :])
    evidence = gather([step], [metric for metric in now if is_judged(metric, limits)])
    past = [PastValues(run.run_id, "pass", {"eval/suite": "same"}, run.metrics) for run in runs]
    return judge([Measurement("eval/suite", means(now), "same")], past, limits, evidence=evidence)


def release(seed: int, *, longer: float = 1.0, gold: float = 0.0, items: int = 400, lost: int = 0) -> Scores:
    prompts, own = random.Random(1), random.Random(seed)
    tokens = [round(prompts.lognormvariate(3, 0.5) * longer * own.lognormvariate(0, 0.02)) for _ in range(items)]
    logprobs = [-prompts.lognormvariate(0, 0.5) * (1 + gold) * own.lognormvariate(0, 0.01) for _ in range(items)]
    right = [float(at % 3 > 0 and not 0 < at <= 3 * lost) for at in range(items)]
    return {ACC: right, TOKENS: tokens, GOLD: logprobs}


def test_longer_answers_are_told_and_nothing_is_worse_for_them() -> None:
    found = judged(release(9, longer=1.3), *(release(seed) for seed in range(5)))
    assert found.status == "pass"
    [moved] = found.moved
    assert (moved.metric, moved.n) == (TOKENS, 400)
    assert moved.current / moved.baseline == pytest.approx(1.3, abs=0.05)
    assert moved.low is not None
    assert moved.low > 0
    assert moved.p_adjusted < 0.01
    assert Verdict.from_json(found.as_json()) == found


def test_equal_releases_have_nothing_to_tell() -> None:
    assert judged(release(9), *(release(seed) for seed in range(5))).moved == ()


def test_a_small_change_however_sure_is_not_worth_a_line() -> None:
    assert judged(release(9, longer=1.03), *(release(seed) for seed in range(5))).moved == ()


def test_the_right_answers_logprob_is_worse_before_any_answer_flips() -> None:
    damaged, before = release(9, gold=0.05), [release(seed) for seed in range(5)]
    found = {finding.metric: finding for finding in judged(damaged, *before).findings}
    assert (found[ACC].status, found[GOLD].status) == ("pass", "worse")
    assert found[GOLD].reason.startswith("-4.9 %")
    remark = judged(damaged, *before, thresholds=Thresholds(signals="remark"))
    assert (remark.status, [finding.metric for finding in remark.findings]) == ("pass", [ACC])
    assert [moved.metric for moved in remark.moved] == [GOLD]


def test_other_arithmetic_moves_the_logprob_within_its_budget() -> None:
    assert judged(release(9, gold=0.005), *(release(seed) for seed in range(5))).status == "pass"


def test_more_changed_answers_than_ever_are_told() -> None:
    before = [release(seed) for seed in range(5)]
    now = release(9)
    now[ACC] = [1 - score if at % 20 < 2 and at % 40 // 20 == score else score for at, score in enumerate(now[ACC])]
    changed = sum(one != other for one, other in zip(now[ACC], before[0][ACC], strict=True))
    found = judged(now, *before)
    [moved] = [each for each in found.moved if each.metric.endswith("[flips]")]
    assert (moved.baseline, moved.current) == (0.0, changed / 400)
    assert found.status != "worse"


def test_flips_need_runs_to_be_held_against_and_scores_of_right_or_wrong() -> None:
    assert count_flips([[1, 0], [1, 0]], [0, 0]) is None
    assert count_flips([[0.5, 0.0], [1.0, 0.0], [1.0, 0.0]], [0, 0]) is None
    found = count_flips([[1, 0, 1, 1], [1, 0, 1, 0], [1, 0, 1, 1]], [0, 1, 0, 1])
    assert found is not None
    assert (found.before, found.now) == (2 / 8, 3 / 4)
    assert found.p_value == pytest.approx((10 * 7 + 5) / 495)  # of 5 flips among 12, 3 or more in these 4


def test_a_loss_in_small_steps_shows_against_the_oldest() -> None:
    before = [release(seed, lost=30 + at) for at, seed in enumerate(range(5))]
    oldest = [release(seed) for seed in range(10, 15)]
    now = release(9, lost=34)
    assert judged(now, *before).status != "worse"
    found = judged(now, *before, oldest=oldest)
    [drifted] = [finding for finding in found.findings if finding.metric == ACC]
    assert (found.status, drifted.status, drifted.detector) == ("worse", "worse", "drift")
    assert "the oldest of the last 20 accepted runs" in drifted.reason
    assert drifted.effect == pytest.approx(means(now)[ACC] - means(oldest[0])[ACC])
