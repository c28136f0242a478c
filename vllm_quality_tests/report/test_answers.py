"""The answers that a reader is shown are the worst, each once, and never endless."""

import polars as pl

from vllm_quality.report.answers import worst_answers
from vllm_quality_tests.report.releases import KOREAN, samples, texts


def test_the_lowest_scores_first_with_their_texts() -> None:
    frame = samples("basics", "f1", failed=0).with_columns(
        score=pl.when(pl.col("item_hash").str.ends_with("7")).then(0.1 + pl.col("score") * 0.2).otherwise(0.9)
    )
    frame = frame.with_columns(score=pl.when(pl.col("item_hash") == "basics-0017").then(0.05).otherwise("score"))
    answers = worst_answers({"eval/basics": frame}, {"eval/basics": texts("basics", "an answer")})
    assert [answer.item for answer in answers] == ["basics-0017", *(f"basics-00{n}7" for n in (0, 2, 3, 4))]
    assert answers[0].score == "0.05"
    assert answers[0].prompt == f"Prompt 17 {KOREAN}"
    assert (answers[0].answer, answers[0].expected, answers[0].error) == ("an answer", None, None)


def test_an_item_is_shown_once_by_its_worst_metric() -> None:
    both = pl.concat([samples("s", "f1", 1, 3).with_columns(score=pl.lit(0.3)), samples("s", "exact_match", 3, 3)])
    answers = worst_answers({"eval/s": both}, {})
    assert [(answer.item, answer.metric) for answer in answers] == [(f"s-000{n}", "exact match") for n in range(3)]
    assert answers[0].prompt is None


def test_only_failures_that_were_scored_are_shown() -> None:
    frame = samples("s", "acc", failed=0, count=10, infra_error=3, judge_error=2)
    assert worst_answers({"eval/s": frame}, {}) == []
    assert worst_answers({}, {}) == []
    wrong_format = frame.with_columns(status=pl.lit("model_error"), score=pl.lit(None, pl.Float64))
    assert [answer.status for answer in worst_answers({"eval/s": wrong_format.head(1)}, {})] == ["model error"]


def test_a_low_loss_is_no_failure() -> None:
    frame = samples("wiki", "brier_score", failed=10)
    assert worst_answers({"eval/wiki": frame}, {}) == []


def test_the_judges_canary_is_no_answer_of_the_release() -> None:
    frame = samples("judge_canary", "canary_score", failed=10)
    assert worst_answers({"eval/deepeval": frame}, {}) == []


def test_numbers_and_lengths_are_bounded() -> None:
    many = {f"eval/s{index}": samples(f"s{index}", "acc", 50) for index in range(60)}
    long = {step: texts(step[5:], "가\x00" * 4000) for step in many}
    answers = worst_answers(many, long)
    assert len(answers) == 40
    text = answers[0].answer or ""
    assert len(text) < 1300
    assert text.endswith("(8,000 characters in all)")
    assert "\x00" not in text
