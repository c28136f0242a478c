"""The judged metrics that ship: which items they are for, and what the judge is shown of an answer, English and Korean."""

from pathlib import Path

import pytest

from vllm_quality.eval.answers import Answer
from vllm_quality.eval.client import run_async
from vllm_quality.eval.deepeval_judge import make_deepeval_judge
from vllm_quality.eval.deepeval_measure import NO_JUDGE, Judged, measure
from vllm_quality.eval.environment import prepare_deepeval
from vllm_quality.eval.items import Item
from vllm_quality.eval.judge import Judge, JudgeSettings
from vllm_quality.eval.metric_registry import MetricClass, load_metrics
from vllm_quality_tests.eval.task_files import QUICK
from vllm_quality_tests.servers.openai_api import Body, OpenAIServer

EN, KO = ["The ferry leaves at 8:15."], ["배는 8시 15분에 떠난다."]


@pytest.fixture(autouse=True)
def _prepared(tmp_path: Path) -> None:
    prepare_deepeval(tmp_path)


def shipped(name: str) -> MetricClass:
    return next(metric for metric in load_metrics([]) if metric.name == name)


def item(passages: list[str] | None, reference: str | None) -> Item:
    asked = "언제 떠나나요?" if passages is KO else "When does it leave?"
    said = ({"role": "user", "content": asked},)
    return Item("id", "mine", "ko" if passages is KO else "en", said, asked, reference, (), {"context": passages or []})


def field(prompt: str, name: str) -> str:
    """One of the test case's fields, as deepeval's prompt shows it."""
    return prompt.partition(f"\n{name}:\n")[2].partition("\n\n")[0].strip()


def by_rule(body: Body) -> str:
    """A judge that goes by one rule: the time is in the answer, and nothing of a captain is."""
    answer = field(body["messages"][0]["content"], "Actual Output")
    right = ("8:15" in answer or "8시 15분" in answer) and "aptain" not in answer and "선장" not in answer
    return f'{{"reason": "So said: {answer[:20]}", "score": {10 if right else 0}}}'


def judged(server: OpenAIServer, name: str, asked: Item, answer: str) -> Judged:
    server.answer = by_rule

    async def main() -> Judged:
        settings = JudgeSettings(f"{server.base_url}/v1", "fake")
        async with settings.client(concurrency=1, timeout_s=5, retry=QUICK) as client:
            return await measure(shipped(name), asked, Answer(answer, "ok"), make_deepeval_judge(Judge(client, "fake")))

    return run_async(main)


@pytest.mark.parametrize("name", ["rag_accuracy", "no_hallucination"])
@pytest.mark.parametrize(
    ("passages", "reference", "answer", "score"),
    [
        (EN, "At 8:15.", "It leaves at 8:15.", 1),
        (EN, "At 8:15.", "It leaves at 6:40.", 0),
        (EN, "At 8:15.", "Captain Ahab sails at 8:15.", 0),
        (KO, "8시 15분.", "8시 15분에 떠납니다.", 1),
        (KO, "8시 15분.", "6시 40분에 떠납니다.", 0),
        (KO, "8시 15분.", "김 선장의 배가 8시 15분에 떠납니다.", 0),
    ],
)
def test_the_judge_sees_the_answer_and_what_it_stands_on(
    server: OpenAIServer, name: str, passages: list[str], reference: str, answer: str, score: float
) -> None:
    found = judged(server, name, item(passages, reference), answer)
    assert (found.score, found.passed, found.judge, found.status) == (score, bool(score), "fake", "ok")
    assert found.reason == f"So said: {answer[:20]}"
    prompt = server.sent_to("/v1/chat/completions")[0]["messages"][0]["content"]
    assert passages[0] in field(prompt, "Retrieval Context")
    assert field(prompt, "Expected Output") == (reference if name == "rag_accuracy" else "")


@pytest.mark.parametrize(
    ("passages", "reference", "meant"),
    [
        (EN, "At 8:15.", ["no_hallucination", "rag_accuracy"]),
        (KO, None, ["no_hallucination"]),
        (None, "At 8:15.", []),
    ],
)
def test_they_are_for_answers_that_stand_on_passages(
    passages: list[str] | None, reference: str | None, meant: list[str]
) -> None:
    asked = item(passages, reference)
    assert [metric.name for metric in load_metrics([]) if metric.needs_judge and metric.applies_to(asked)] == meant


def test_what_was_not_judged_has_no_score() -> None:
    async def of(answer: Answer) -> Judged:
        return await measure(shipped("rag_accuracy"), item(EN, "At 8:15."), answer, None)

    without = run_async(lambda: of(Answer("At 8:15.", "ok")))
    assert (without.score, without.status, without.judge, without.failed) == (None, "judge_error", NO_JUDGE, False)
    lost = run_async(lambda: of(Answer("", "infra_error", error="HTTP 500")))
    assert (lost.score, lost.status, lost.error) == (None, "infra_error", "HTTP 500")
