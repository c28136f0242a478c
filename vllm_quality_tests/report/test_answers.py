"""The answers that a reader is shown are the worst, each once, and never endless."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.report.answers import Text, readable, readable_prompt, worst_answers
from vllm_quality_tests.report.releases import KOREAN, samples, texts


def test_the_lowest_scores_first_with_their_texts() -> None:
    frame = samples("basics", "f1", failed=0).with_columns(
        score=pl.when(pl.col("item_hash").str.ends_with("7")).then(0.1 + pl.col("score") * 0.2).otherwise(0.9)
    )
    frame = frame.with_columns(score=pl.when(pl.col("item_hash") == "basics-0017").then(0.05).otherwise("score"))
    answers = worst_answers({"eval/basics": frame}, {"eval/basics": texts("basics", "an answer")})
    assert [answer.item for answer in answers] == ["basics-0017", *(f"basics-00{n}7" for n in (0, 2, 3, 4))]
    assert answers[0].score == "0.05"
    assert answers[0].prompt == Text(f"Prompt 17 {KOREAN}")
    assert (answers[0].answer, answers[0].expected, answers[0].error) == (Text("an answer"), None, None)


def test_the_reason_of_the_judge_or_grader_is_told() -> None:
    frame = samples("deepeval", "rag_accuracy_score", failed=1).with_columns(judge=pl.lit("judge"))
    [answer] = worst_answers(
        {"eval/deepeval": frame}, {"eval/deepeval": texts("deepeval", "a", reason="It\x00 differs.")}
    )
    assert (answer.judge, answer.reason) == ("judge", "It\N{REPLACEMENT CHARACTER} differs.")
    assert worst_answers({"eval/deepeval": frame}, {})[0].reason == ""


def test_an_item_asked_once_more_alone_is_shown_with_the_text_of_then() -> None:
    together, alone = samples("s", "acc", failed=0), samples("s", "acc_alone", failed=1)
    frame = pl.concat([together, alone.with_columns(suite=pl.lit("s@1"))])
    said = pl.concat([texts("s", "under load"), texts("s", "alone").with_columns(suite=pl.lit("s@1"))])
    [answer] = worst_answers({"eval/s": frame}, {"eval/s": said})
    assert (answer.suite, answer.answer) == ("s@1", Text("alone"))


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
    text = answers[0].answer
    assert text is not None
    assert len(text.text) < 4100
    assert text.text.endswith("(8,000 characters in all)")
    assert "\x00" not in text.text


def test_what_stands_elsewhere_is_not_shown_again() -> None:
    frame = samples("s", "acc", failed=3)
    answers = worst_answers({"eval/s": frame}, {}, {("s", "s-0000"), ("other", "s-0001")})
    assert [answer.item for answer in answers] == ["s-0001", "s-0002"]


@given(st.text(max_size=6000))
def test_a_readable_text_is_bounded_and_has_no_control_characters(text: str) -> None:
    shown = readable(text)
    assert shown is not None
    assert len(shown.text) < 4100
    assert not set(shown.text) & set("\x00\x1b\x7f\u202e\ud800")
    assert bool(shown.peek) == (len(text) > 400)
    assert shown.text.startswith(shown.peek.removesuffix("…"))


def test_a_chat_kept_as_json_is_read_as_its_words() -> None:
    assert readable_prompt('[{"role": "user", "content": "1 + 1?"}]') == Text("1 + 1?")
    both = '[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}]'
    assert readable_prompt(both) == Text("system: Be brief.\nuser: 1 + 1?")
    for other in ('[{"role": 1}]', '[{"', "plain", '[{"role": "user", "content": "cut o'):
        assert readable_prompt(other) == Text(other)
    assert readable_prompt(None) is None
