"""Flipped items stand with both answers, and only where both were asked the same."""

from dataclasses import replace

import polars as pl

from vllm_quality.report.answers import Text
from vllm_quality.report.flips import flipped_items, score_text
from vllm_quality.verdict.types import FlippedItem, Verdict
from vllm_quality_tests.report.releases import HOSTILE, samples, texts
from vllm_quality_tests.verdict.test_types import FINE


def flip(suite: str, number: int, loss: float = 1.0, metric: str = "exact_match") -> FlippedItem:
    return FlippedItem(f"eval/{suite}/{metric}", f"{suite}-{number:04d}", 1.0, 1.0 - loss, loss)


def verdict(*flips: FlippedItem, worse: str = "a") -> Verdict:
    finding = replace(FINE, metric=f"eval/{worse}/exact_match", status="worse")
    return Verdict("worse", (finding,), ("past-1",), "", (), flips)


NOW = {"eval/a": texts("a", "now", reason="it is wrong"), "eval/b": texts("b", "now b")}
THEN = {"eval/a": texts("a", "then")}


def test_both_answers_with_question_and_reason() -> None:
    frames = {"eval/a": samples("a", "exact_match", 1).with_columns(judge=pl.lit("qwen3-32b"))}
    (found,) = flipped_items(verdict(flip("a", 7, 0.33)), frames, NOW, THEN)
    assert (found.suite, found.metric, found.before, found.now) == ("a", "exact match", "1", "0.67")
    assert (found.earlier, found.answer, found.reason) == (Text("then"), Text("now"), "it is wrong")
    assert (found.prompt or Text("")).text.startswith("Prompt 7 ")
    assert (found.expected, found.judge) == (None, "qwen3-32b")


def test_an_answer_to_another_question_is_not_beside_it() -> None:
    other = {"eval/a": THEN["eval/a"].with_columns(prompt=pl.lit("another question"))}
    (found,) = flipped_items(verdict(flip("a", 7)), {}, NOW, other)
    assert (found.earlier, found.answer) == (None, Text("now"))


def test_what_was_not_kept_is_none() -> None:
    (found,) = flipped_items(verdict(flip("a", 7)), {}, {}, {})
    assert (found.prompt, found.earlier, found.answer, found.reason, found.judge) == (None, None, None, "", "")
    (alone,) = flipped_items(verdict(flip("a", 7)), {}, {"eval/a": NOW["eval/a"].with_columns(suite=pl.lit("a@1"))}, {})
    assert alone.answer is None


def test_metrics_that_are_worse_come_first_and_suites_take_turns() -> None:
    flips = [*(flip("b", number) for number in range(9)), flip("c", 0), flip("a", 0), flip("a", 1)]
    found = [each.item for each in flipped_items(verdict(*flips), {}, {}, {})]
    assert found[:4] == ["a-0000", "a-0001", "b-0000", "c-0000"]
    assert len(found) == 2 + 6 + 1


def test_an_item_is_shown_once() -> None:
    found = flipped_items(verdict(flip("a", 0), flip("a", 0, metric="f1")), {}, NOW, THEN)
    assert [each.metric for each in found] == ["exact match"]


def test_control_characters_are_replaced() -> None:
    hostile = {"eval/a": texts("a", HOSTILE)}
    (found,) = flipped_items(verdict(flip("a", 0)), {}, hostile, hostile)
    assert found.answer == found.earlier
    assert not {"\x00", "\u202e"} & set((found.answer or Text("")).text)


def test_scores_have_no_more_digits_than_they_need() -> None:
    assert [score_text(score) for score in (1.0, 0.5, 2 / 3, 0.0)] == ["1", "0.5", "0.67", "0"]
