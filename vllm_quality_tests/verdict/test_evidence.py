"""From rows of samples and requests to a verdict: what is compared with what, and what is not."""

import random
from collections.abc import Sequence

import polars as pl
import pytest

from vllm_quality.results.measurement import Measurement
from vllm_quality.results.rows import REQUEST_SCHEMA, SAMPLE_SCHEMA
from vllm_quality.verdict.evidence import EarlierRun, Evidence, Step, gather
from vllm_quality.verdict.judge import PastValues, judge
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import Finding, Verdict

ACC = "eval/suite/acc"
P50 = "load/baseline/main/ttft_p50_s"
RATE = "load/baseline/main/requests_per_s"


def samples(scores: Sequence[float], metric: str = "acc", first: int = 0) -> pl.DataFrame:
    rows = [
        {"suite": "suite", "item_hash": f"item {at}", "metric": metric, "score": score, "status": "ok"}
        for at, score in enumerate(scores, start=first)
    ]
    return pl.DataFrame(rows, schema=SAMPLE_SCHEMA)


def requests(ttft: Sequence[float | None]) -> pl.DataFrame:
    rows = [
        {
            "scenario": "baseline",
            "stage": "main",
            "request_index": at,
            "due_s": float(at),
            "first_token_s": None if value is None else at + value,
            "last_token_s": None if value is None else at + value + 1,
            "output_tokens": 11,
            "outcome": "ok" if value is not None else "timeout",
        }
        for at, value in enumerate(ttft)
    ]
    return pl.DataFrame(rows, schema=REQUEST_SCHEMA)


def mean(frame: pl.DataFrame) -> float:
    found = frame["score"].mean()
    assert isinstance(found, float)
    return found


def of_items(now: pl.DataFrame, *before: pl.DataFrame) -> Evidence:
    earlier = [EarlierRun(f"run {at}", {ACC: mean(frame)}, frame) for at, frame in enumerate(before)]
    return gather([Step({ACC: mean(now)}, now, None, earlier)], [ACC])


def of_requests(now: pl.DataFrame, *before: pl.DataFrame, metric: str = P50, values: Sequence[float] = ()) -> Evidence:
    figures = list(values) or [1.0] * (len(before) + 1)
    earlier = [EarlierRun(f"run {at}", {metric: figures[at]}, None, frame) for at, frame in enumerate(before)]
    return gather([Step({metric: figures[-1]}, None, now, earlier)], [metric])


def verdict(
    evidence: Evidence, metric: str, now: float, before: float, thresholds: Thresholds | None = None
) -> Verdict:
    step = "/".join(metric.split("/")[:2])
    past = [PastValues("run 0", "pass", {step: "same"}, {metric: before})]
    return judge([Measurement(step, {metric: now}, "same")], past, thresholds or Thresholds(), None, evidence)


def only(found: Verdict) -> Finding:
    [finding] = found.findings
    return finding


BEFORE = [1.0] * 700 + [0.0] * 300
LOST = [0.0] * 40 + [1.0] * 660 + [1.0] * 10 + [0.0] * 290


def test_a_loss_that_the_rule_cannot_see_is_seen_item_by_item() -> None:
    evidence = of_items(samples(LOST), samples(BEFORE))
    found = only(verdict(evidence, ACC, 0.67, 0.70))
    assert (found.status, found.detector, found.rule_says_worse) == ("worse", "items", False)
    assert found.effect == pytest.approx(-0.03)
    assert found.low is not None
    assert found.high is not None
    assert found.low < -0.03 < found.high < 0
    assert len(evidence.flipped) == 20  # of the forty
    assert {(flip.baseline, flip.current, flip.loss) for flip in evidence.flipped} == {(1.0, 0.0, 1.0)}


def test_a_drop_of_a_few_noisy_items_is_a_remark_of_the_rule_and_no_alarm() -> None:
    evidence = of_items(samples([0.0] * 5 + [1.0] * 15), samples([1.0] * 18 + [0.0] * 2))
    found = only(verdict(evidence, ACC, 0.75, 0.90))
    assert (found.status, found.rule_says_worse) == ("underpowered", True)
    assert "The rule of 10% alone calls it worse." in found.reason
    alarm = verdict(evidence, ACC, 0.75, 0.90, Thresholds(rule_alone="alarm"))
    assert (alarm.status, only(alarm).detector) == ("worse", "rule")


def test_three_runs_before_make_a_window() -> None:
    generator = random.Random(4)

    def run(drop: int = 0) -> pl.DataFrame:
        return samples(
            [float(generator.random() < 0.5) if at % 50 == 0 else float(at >= 300 + drop) for at in range(1000)]
        )

    evidence = of_items(run(20), *(run() for _ in range(5)))
    effect, detector = evidence.effects[ACC]
    assert detector == "items"
    assert effect.method.startswith("fixed items against 5 runs")
    assert effect.p_lower < 0.01
    assert of_items(run(), *(run() for _ in range(5))).effects[ACC][0].p_lower > 0.01


def test_a_run_that_was_asked_other_items_is_left_out() -> None:
    same, other = samples(BEFORE), samples(BEFORE, first=500)
    assert of_items(same, other).effects == {}
    assert of_items(same, other, same).effects[ACC][0].n == 1000


def test_a_metric_that_is_no_mean_of_its_items_has_no_items() -> None:
    frame = samples(BEFORE)
    step = Step({ACC: 0.5}, frame, None, [EarlierRun("run", {ACC: 0.5}, frame)])
    assert gather([step], [ACC]).effects == {}


def test_a_metric_with_standard_errors_is_compared_by_them() -> None:
    path = "eval/suite/f1"
    now = {path: 0.5, f"{path}_stderr": 0.01, "eval/suite/items_count": 1000.0}
    before = {path: 0.6, f"{path}_stderr": 0.01}
    effect, detector = gather([Step(now, None, None, [EarlierRun("run", before)])], [path]).effects[path]
    assert (detector, effect.n) == ("means", 1000)
    assert effect.p_lower < 1e-6


def clock(seed: int, slower: float = 1.0, requests: int = 400) -> list[float]:
    prompts, own = random.Random(1), random.Random(seed)  # the same requests in every run
    return [0.2 * prompts.lognormvariate(0, 0.5) * own.lognormvariate(0, 0.1) * slower for _ in range(requests)]


def test_a_slower_release_is_seen_request_by_request() -> None:
    before = [requests(clock(seed)) for seed in range(5)]
    effect, detector = of_requests(requests(clock(9, 1.3)), *before).effects[P50]
    assert detector == "requests"
    assert effect.difference == pytest.approx(0.3, abs=0.05)
    found = only(verdict(Evidence({P50: (effect, detector)}), P50, 1.3, 1.0))
    assert (found.status, found.rule_says_worse) == ("worse", True)
    equal = of_requests(requests(clock(9)), *before).effects[P50][0]
    assert equal.p_higher > 0.01


def test_one_earlier_run_says_little_of_a_machines_days() -> None:
    effect = of_requests(requests(clock(9, 1.12)), requests(clock(1))).effects[P50][0]
    found = only(verdict(Evidence({P50: (effect, "requests")}), P50, 1.12, 1.0))
    assert (found.status, found.rule_says_worse) == ("underpowered", True)
    assert "more runs, or steadier ones" in found.reason


def test_requests_that_failed_leave_the_others_in_their_places() -> None:
    values: list[float | None] = [*clock(2)]
    values[3:10] = [None] * 7
    effect, _ = of_requests(requests(values), requests(clock(1))).effects[P50]
    assert effect.n == 393


def test_a_percentile_of_too_few_requests_and_a_throughput_are_held_against_whole_runs() -> None:
    few = requests(clock(1, requests=10))
    assert of_requests(few, few, values=[0.2, 0.2]).effects[P50][1] == "runs"
    slower = of_requests(few, *[few] * 5, metric=RATE, values=[10.0, 10.1, 9.9, 10.05, 9.95, 6.0]).effects[RATE]
    assert slower[1] == "runs"
    assert only(verdict(Evidence({RATE: slower}), RATE, 6.0, 10.0)).status == "worse"


def test_many_tests_are_judged_together() -> None:
    """p = .004 is an alarm of one test, and none of one among twelve."""
    paths = [f"eval/suite{at}/acc" for at in range(12)]
    lost = [0.0] * 18 + [1.0] * 682 + [1.0] * 5 + [0.0] * 295
    alone = of_items(samples(lost), samples(BEFORE)).effects[ACC]
    quiet = of_items(samples(BEFORE), samples(BEFORE)).effects[ACC]
    assert alone[0].p_lower < 0.01
    evidence = Evidence({path: alone if path == paths[0] else quiet for path in paths})
    measured = [
        Measurement(path.rpartition("/")[0], {path: 0.687 if path == paths[0] else 0.7}, "same") for path in paths
    ]
    past = [PastValues("run", "pass", {m.step: "same" for m in measured}, dict.fromkeys(paths, 0.7))]
    assert judge(measured, past, Thresholds(), None, evidence).status != "worse"
    assert judge(measured[:1], past, Thresholds(), None, evidence).status == "worse"


def with_slices(scores: Sequence[float], korean: int, passages: int = 0) -> pl.DataFrame:
    """The first so many items are Korean; items share a passage with every so-many-th other one."""
    frame = samples(scores).with_row_index()
    language = pl.when(pl.col("index") < korean).then(pl.lit("language=ko")).otherwise(pl.lit("language=en"))
    cluster = pl.format("passage {}", pl.col("index") % passages) if passages else pl.lit("")
    return frame.with_columns(slices=pl.concat_list(language), cluster=cluster).drop("index")


def test_a_language_that_is_damaged_alone_is_worse_though_the_mean_is_not() -> None:
    before = with_slices([1.0] * 700 + [0.0] * 300, 100)
    after = with_slices([0.0] * 14 + [1.0] * 686 + [1.0] * 14 + [0.0] * 286, 100)
    found = verdict(of_items(after, before), ACC, 0.70, 0.70)
    assert (found.status, only(found).status) == ("worse", "pass" if (only(found).mde or 1) <= 0.02 else "underpowered")
    assert [(part.metric, part.status) for part in found.slices][:1] == [(f"{ACC}[language=ko]", "worse")]
    assert "1 part of suites" in found.summary
    assert Verdict.from_json(found.as_json()) == found


def test_items_of_one_passage_count_as_one() -> None:
    alone = of_items(with_slices(LOST, 0), with_slices(BEFORE, 0)).effects[ACC][0]
    lost_together = [0.0 if at % 25 == 0 and score else score for at, score in enumerate(BEFORE)]
    together = of_items(with_slices(lost_together, 0, passages=25), with_slices(BEFORE, 0)).effects[ACC][0]
    assert "in 25 clusters" in together.method
    assert together.p_lower > 10 * alone.p_lower


def test_what_matters_of_a_perplexity_is_relative() -> None:
    path = "eval/suite/word_perplexity"
    now = {path: 30.0, f"{path}_stderr": 0.2}
    evidence = gather([Step(now, None, None, [EarlierRun("run", {path: 20.0, f"{path}_stderr": 0.2})])], [path])
    found = only(verdict(evidence, path, 30.0, 20.0))
    assert (found.status, found.effect) == ("worse", 10.0)
    assert found.reason.startswith("+50 %")
    assert found.matters == pytest.approx(0.4)


def test_a_stall_is_seen_although_it_makes_its_percentile_unsure() -> None:
    p90 = "load/baseline/main/ttft_p90_s"
    before = [requests(clock(seed, requests=67)) for seed in range(4)]
    stalled = requests([value + 0.8 * (at % 7 == 0) for at, value in enumerate(clock(9, requests=67))])
    effect, _ = of_requests(stalled, *before, metric=p90).effects[p90]
    assert effect.difference > 0.5
    assert effect.p_higher < 1e-4
    assert effect.high - effect.low > 0.5  # how much slower, nobody knows
    assert of_requests(requests(clock(9, requests=67)), *before, metric=p90).effects[p90][0].p_higher > 0.05


def test_a_loss_on_long_prompts_is_a_slice_of_its_own() -> None:
    lengths = pl.Series("prompt_tokens", [50 + at % 100 for at in range(1000)], dtype=SAMPLE_SCHEMA["prompt_tokens"])
    right = [float(at % 10 > 2) for at in range(1000)]
    lost = [
        0.0 if length >= 140 and at % 4 else score
        for at, (score, length) in enumerate(zip(right, lengths, strict=True))
    ]
    # What the damaged release counts itself is what its cut has left.
    evidence = of_items(samples(lost).with_columns(prompt_tokens=pl.lit(50)), samples(right).with_columns(lengths))
    [(name, effect)] = evidence.slices[ACC].items()
    assert (name, effect.n) == ("length=the longest prompts", 250)
    assert effect.difference == pytest.approx(4 * (sum(lost) - sum(right)) / 1000)
    for unknown in (samples(right), samples(right).with_columns(prompt_tokens=pl.lit(50))):
        assert of_items(samples(lost), unknown).slices == {}
