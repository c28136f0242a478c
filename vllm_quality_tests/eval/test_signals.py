"""Early signals: what an answer looks like."""

import pytest

from vllm_quality.eval.signals import Signal, hangul_share, is_refusal, signal_metrics
from vllm_quality.verdict.metrics import definition_of


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot answer this.",
        "I am unable to provide that information.",
        "Sorry, but I must not say.",
        "As an AI language model, I have no opinion.",
        "I cannot assist with this request.",
        "죄송합니다. 그 질문에는 답변할 수 없습니다.",
        "해당 내용은 답변드리기 어렵습니다.",
        "그 부분은 도와드릴 수 없어요.",
        "AI 언어 모델로서 의견을 말할 수 없습니다.",
    ],
)
def test_refusals_are_known_in_english_and_korean(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "Paris",
        "",
        "The cat is sorry for the mouse.",
        "You cannot divide by zero.",
        "서울입니다.",
        "물은 0도에서 얼 수 있습니다.",
        "정답은 3번입니다.",
        "The answer follows. " * 20 + "I'm sorry, but I can't say more.",
    ],
)
def test_answers_are_no_refusals(text: str) -> None:
    assert not is_refusal(text)


def test_the_share_of_hangul_is_of_letters_in_any_form() -> None:
    assert hangul_share("서울 Seoul 42!") == pytest.approx(2 / 7)
    assert hangul_share("\u1109\u1165\u110b\u116e\u11af") == 1.0
    assert hangul_share("42.") is None


def test_signals_become_means_with_errors_that_the_registry_knows_as_signals() -> None:
    signals = [
        Signal("서울", tokens=2),
        Signal("Seoul city", tokens=None, truncated=True),
        Signal("죄송합니다.", tokens=4),
        Signal(gold_logprob=-0.5),
        Signal(gold_logprob=-1.5),
        Signal(),
    ]
    found = signal_metrics("eval/x", signals)
    assert found["eval/x/answer_chars"] == pytest.approx((2 + 10 + 6) / 3)
    assert found["eval/x/answer_tokens"] == 3.0
    assert found["eval/x/truncated_ratio"] == found["eval/x/refusal_ratio"] == pytest.approx(1 / 3)
    assert found["eval/x/hangul_ratio"] == pytest.approx(2 / 3)
    assert found["eval/x/gold_logprob"] == -1.0
    assert found["eval/x/gold_logprob_stderr"] == 0.5
    for metric in found:
        definition = definition_of(metric)
        assert definition is not None
        assert definition.signal or metric.endswith("_stderr")


def test_without_answers_there_are_no_signals() -> None:
    assert signal_metrics("eval/x", []) == signal_metrics("eval/x", [Signal()]) == {}
