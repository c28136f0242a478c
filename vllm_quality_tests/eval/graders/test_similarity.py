"""Similarity agrees with the libraries of the field on English, and makes sense of Korean."""

import pytest

from vllm_quality.eval.graders.similarity import METRICS, similarity
from vllm_quality.eval.graders.words import tokens

PAIRS = [
    ("The quick brown fox jumps over the lazy dog.", "A quick brown fox jumped over a lazy dog."),
    ("It is a guide to action which ensures that the military always obeys", "It is a guide to action that ensures that the military will forever heed"),
    ("Paris", "Paris is the capital of France."),
    ("completely different words here", "nothing shared at all"),
    ("the the the the", "the cat sat on the mat"),
    ("same text exactly the same", "same text exactly the same"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reference"), PAIRS)
def test_bleu_is_sacrebleus(text: str, reference: str) -> None:
    from sacrebleu import sentence_bleu

    assert similarity("bleu", text, reference) == pytest.approx(sentence_bleu(text, [reference]).score / 100, abs=1e-9)


@pytest.mark.parametrize(("text", "reference"), PAIRS)
def test_rouge_is_that_of_googles_library(text: str, reference: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]

    ours = {"rouge1": "rouge_1", "rouge2": "rouge_2", "rouge3": "rouge_3", "rouge4": "rouge_4", "rouge5": "rouge_5", "rougeL": "rouge_l"}  # fmt: skip
    theirs = RougeScorer(list(ours), use_stemmer=False).score(reference, text)
    for name, metric in ours.items():
        assert similarity(metric, text, reference) == pytest.approx(theirs[name].fmeasure, abs=1e-9), metric
    assert similarity("rouge_1_recall", text, reference) == pytest.approx(theirs["rouge1"].recall)


@pytest.mark.parametrize(("text", "reference"), PAIRS)
def test_gleu_is_nltks(text: str, reference: str) -> None:
    from nltk.translate.gleu_score import sentence_gleu

    assert similarity("gleu", text, reference) == pytest.approx(sentence_gleu([tokens(reference)], tokens(text)))


def test_meteor_counts_stems_and_order() -> None:
    assert similarity("meteor", "cats running", "the cat runs") > similarity("meteor", "dogs walking", "the cat runs")
    assert similarity("meteor", "a b c d e f", "a b c d e f") == pytest.approx(1 - 0.5 / 6**3)
    assert similarity("meteor", "f e d c b a", "a b c d e f") < 0.6


def test_fuzzy_match_is_rapidfuzz_wratio() -> None:
    from rapidfuzz import fuzz

    for text, reference in PAIRS:
        assert similarity("fuzzy_match", text, reference) == fuzz.WRatio(text, reference) / 100


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_every_metric_stays_within_its_range_and_knows_the_empty_text(metric: str) -> None:
    for text, reference in [*PAIRS, ("", "words"), ("words", ""), ("…", "!"), ("가", "나")]:
        assert 0 <= similarity(metric, text, reference) <= 1
    assert similarity(metric, " ", "") == 1.0
    assert similarity(metric, "", "words") == 0.0


def test_korean_is_counted_by_syllables_so_that_particles_do_not_hide_a_word() -> None:
    assert tokens("사과는 AI-2를 Good!") == ["사", "과", "는", "ai", "2", "를", "good"]
    assert tokens("\u1112\u1161\u11ab") == ["한"]  # decomposed Hangul, as some systems write it
    assert similarity("rouge_1", "사과는 빨갛다", "사과가 빨갛다") == pytest.approx(5 / 6)
    assert similarity("bleu", "서울은 대한민국의 수도입니다", "서울은 대한민국의 수도이다") > 0.6
    assert similarity("rouge_l", "전혀 다른 말", "서울은 대한민국의 수도이다") < 0.2
