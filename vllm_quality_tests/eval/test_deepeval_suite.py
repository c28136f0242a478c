"""The snapshot is asked once, measured by every metric that is meant for it, and no failure becomes a wrong answer."""

import json
import os
import random
import re
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vllm_quality.eval.deepeval_suite import NothingToAskError, run_deepeval
from vllm_quality.eval.judge import JudgeSettings
from vllm_quality.eval.labelled import load_labels
from vllm_quality.eval.metric_registry import MetricRegistryError
from vllm_quality.eval.result import SuiteResult, hash_of
from vllm_quality.results.rows import check_samples
from vllm_quality.serving.endpoint import EndpointError
from vllm_quality.verdict.metrics import definition_of
from vllm_quality_tests.eval.task_files import QUICK, vllm_at
from vllm_quality_tests.servers.obedient_judge import obey
from vllm_quality_tests.servers.openai_api import Body, Fault, OpenAIServer

CONFIGURABLE = (
    "AnswerRelevancyMetric",
    "BiasMetric",
    "ContextualPrecisionMetric",
    "ContextualRecallMetric",
    "ContextualRelevancyMetric",
    "ConversationCompletenessMetric",
    "ConversationalGEval",
    "ExactMatchMetric",
    "FaithfulnessMetric",
    "GEval",
    "GoalAccuracyMetric",
    "HallucinationMetric",
    "KnowledgeRetentionMetric",
    "MisuseMetric",
    "NonAdviceMetric",
    "PIILeakageMetric",
    "PatternMatchMetric",
    "PromptAlignmentMetric",
    "RoleAdherenceMetric",
    "RoleViolationMetric",
    "SummarizationMetric",
    "TopicAdherenceMetric",
    "ToxicityMetric",
    "TurnContextualPrecisionMetric",
    "TurnContextualRecallMetric",
    "TurnContextualRelevancyMetric",
    "TurnFaithfulnessMetric",
    "TurnRelevancyMetric",
)
GRADE = '{"score": 8, "reason": "fine"}'


def snapshot(items: int = 40, *, context: bool = False) -> pl.DataFrame:
    """Sums, every second one in Korean."""
    rows = []
    for number in range(items):
        korean = number % 2 == 1
        question = f"{number} 더하기 {number}은?" if korean else f"What is {number} plus {number}?"
        rows.append(
            {
                "id": hash_of(question),
                "dataset": "sums_ko" if korean else "sums_en",
                "language": "ko" if korean else "en",
                "role": "evaluation",
                "messages": [{"role": "user", "content": question}],
                "input": question,
                "reference": f"{2 * number}입니다" if korean else str(2 * number),
                "choices": [],
                "metadata": json.dumps({"context": ["Sums."]} if context else {}),
                "source_file": "sums.jsonl",
                "source_line": number,
            }
        )
    return pl.DataFrame(rows, schema_overrides={"choices": pl.List(pl.String)})


def question(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def right(body: Body) -> str:
    asked = question(body)
    number = int(asked.split()[2] if asked.startswith("What") else asked.split()[0]) if asked != "Hi" else 0
    return f"{2 * number}입니다" if "더하기" in asked else f"It is {2 * number}."


def run(server: OpenAIServer, frame: pl.DataFrame, **options: Any) -> SuiteResult:
    given: dict[str, Any] = {
        "endpoint": vllm_at(server.base_url),
        "api_key": None,
        "judge": None,
        "metrics_dir": None,
        "profile": "full",
        "concurrency": 4,
        "timeout_s": 5,
        "work_folder": Path(os.environ["DEEPEVAL_HOME"]),
        "retry": QUICK,
        **options,
    }
    result = run_deepeval(frame, **given)
    check_samples(result.samples)
    return result


def of(result: SuiteResult, metric: str) -> pl.DataFrame:
    return result.samples.filter(pl.col("metric") == f"{metric}_score")


def test_every_item_is_asked_once_and_measured(server: OpenAIServer) -> None:
    server.answer = lambda body: "I do not know." if question(body).startswith("What is 4 ") else right(body)
    done: list[tuple[int, int]] = []
    result = run(server, snapshot(), on_progress=lambda *state: done.append(state))
    asked = Counter(map(question, server.sent_to("/v1/chat/completions")))
    assert (len(asked), sum(asked.values())) == (
        40 + 1,
        40 + 1 + 40,
    )  # one checks the server; all are asked again alone
    assert result.step == "eval/deepeval"
    assert result.metrics["eval/deepeval/exact_answer_score"] == pytest.approx(39 / 40)
    assert "eval/deepeval/exact_answer_pass_ratio" not in result.metrics  # for a yes or no it would be the score again
    assert 0 < result.metrics["eval/deepeval/exact_answer_score_stderr"] < 0.05
    assert result.metrics["eval/deepeval/korean_ratio_score"] == 1.0
    assert result.metrics["eval/deepeval/items_count"] == 40
    assert (of(result, "exact_answer").height, of(result, "korean_ratio").height) == (40, 20)
    assert result.problem is None
    assert result.details["not judged"] == []
    assert done[-1] == (80, 80)
    wrong = result.texts.filter(pl.col("answer") == "I do not know.").row(0, named=True)
    assert (wrong["prompt"], wrong["expected"]) == ("What is 4 plus 4?", "8")


def test_lost_answers_have_no_score_and_the_others_keep_theirs(server: OpenAIServer) -> None:
    server.answer = right
    server.fault = lambda n, path, body: Fault(status=500) if "What is 6 " in question(body) else None
    result = run(server, snapshot(60))
    assert of(result, "exact_answer").filter(pl.col("status") == "infra_error")["score"].to_list() == [None]
    assert result.metrics["eval/deepeval/exact_answer_score"] == 1.0
    assert result.metrics["eval/deepeval/infra_errors_count"] == 1
    assert result.problem is None


def test_too_many_lost_answers_make_it_invalid(server: OpenAIServer) -> None:
    server.answer = right
    server.fault = lambda n, path, body: Fault(status=500) if "더하기" in question(body) else None
    result = run(server, snapshot(10))
    assert result.problem == "5 of 10 items have no score (such as: HTTP 500: made to fail)."
    assert "eval/deepeval/korean_ratio_score" not in result.metrics


def test_no_answer_is_a_wrong_answer(server: OpenAIServer) -> None:
    server.answer = lambda body: None
    result = run(server, snapshot(6))
    assert result.metrics["eval/deepeval/exact_answer_score"] == 0
    assert result.metrics["eval/deepeval/model_errors_count"] == 6
    assert result.details["null_contents"] == 6


def test_without_a_judge_judged_metrics_have_no_scores(server: OpenAIServer) -> None:
    server.answer = right
    result = run(server, snapshot(8, context=True))
    assert result.details["no judge"] == ["no_hallucination", "rag_accuracy"]
    judged = of(result, "rag_accuracy")
    assert (judged.height, judged["score"].null_count()) == (8, 8)
    assert set(judged["judge"]) == {"no judge"}
    told = [metric for metric in result.metrics if "rag_accuracy" in metric]
    assert told == ["eval/deepeval/rag_accuracy_scored_count"]
    assert result.metrics["eval/deepeval/rag_accuracy_scored_count"] == 0
    assert result.problem is None
    assert result.metrics["eval/deepeval/judge_errors_count"] == 0


def judged_by(judge: OpenAIServer) -> JudgeSettings:
    return JudgeSettings(judge.base_url + "/v1", judge.model)


def test_a_judge_grades_what_is_meant_for_it(server: OpenAIServer) -> None:
    server.answer = right
    with OpenAIServer(answer=lambda body: GRADE, model="judge") as judge:
        result = run(server, snapshot(8, context=True), judge=judged_by(judge))
        prompts = [question(body) for body in judge.sent_to("/v1/chat/completions")]
    assert result.metrics["eval/deepeval/rag_accuracy_score"] == pytest.approx(0.8)
    assert result.metrics["eval/deepeval/rag_accuracy_pass_ratio"] == 1.0
    assert result.metrics["eval/deepeval/no_hallucination_score"] == pytest.approx(0.8)
    assert set(of(result, "rag_accuracy")["judge"]) == {"judge"}
    # The steps are pinned: had the judge to write them, there would be a request more per answer.
    assert len(prompts) == 1 + 2 * 8 + len(load_labels())
    assert sum("Find what the input asks for" in prompt for prompt in prompts) == 8 + len(load_labels())


def breaks_half_the_time(seed: int) -> Callable[[Body], str]:
    dice = random.Random(seed)
    return lambda body: GRADE if dice.random() < 0.5 else "Sure! Score: 8"


def test_a_judge_that_breaks_its_json_half_the_time_lowers_nothing(server: OpenAIServer) -> None:
    server.answer = right
    with OpenAIServer(answer=breaks_half_the_time(1), model="judge") as judge:
        result = run(server, snapshot(60, context=True), judge=judged_by(judge))
    assert result.metrics["eval/deepeval/rag_accuracy_pass_ratio"] == 1.0
    assert result.metrics["eval/deepeval/rag_accuracy_score"] == pytest.approx(0.8)
    failed = result.samples.filter(pl.col("status") == "judge_error")
    assert failed["score"].null_count() == failed.height
    of_release = failed.filter(pl.col("suite") == "deepeval").height
    assert 0 < of_release < 0.25 * 120
    assert result.metrics["eval/deepeval/judge_errors_count"] == of_release
    assert result.metrics["eval/deepeval/canary_judge_errors_count"] == failed.height - of_release
    assert result.problem is None


def test_what_a_broken_judge_still_judges_it_judges_as_a_sound_one(server: OpenAIServer) -> None:
    server.answer = lambda body: "no idea" if int(re.findall(r"\d+", question(body) + "0")[0]) % 3 == 0 else right(body)

    def by_rule(body: Body) -> str:
        return json.dumps({"reason": "r", "score": 2 if "no idea" in body["messages"][0]["content"] else 9})

    dice = random.Random(5)
    with OpenAIServer(answer=by_rule, model="judge") as judge:
        sound = run(server, snapshot(60, context=True), judge=judged_by(judge))
        judge.answer = lambda body: by_rule(body) if dice.random() < 0.5 else "Sure! Score: 8"
        broken = run(server, snapshot(60, context=True), judge=judged_by(judge))
    path = "eval/deepeval/rag_accuracy_pass_ratio"
    assert sound.metrics[path] == pytest.approx(2 / 3)
    assert broken.metrics[path] == pytest.approx(2 / 3, abs=0.12)
    both = of(sound, "rag_accuracy").join(of(broken, "rag_accuracy"), on="item_hash").drop_nulls("score_right")
    assert 40 < both.height < 60
    assert both["score"].to_list() == both["score_right"].to_list()
    lost = 60 - broken.metrics["eval/deepeval/rag_accuracy_scored_count"]
    assert of(broken, "rag_accuracy").filter(pl.col("status") == "judge_error").height == lost
    assert broken.problem is None


def test_a_judge_that_always_fails_is_said(server: OpenAIServer) -> None:
    server.answer = right
    with OpenAIServer(answer=lambda body: "no JSON today", model="judge") as judge:
        result = run(server, snapshot(8, context=True), judge=judged_by(judge))
    assert result.problem is not None
    assert "8 of 8 answers could not be judged (no_hallucination: the judge's answer is not the JSON" in result.problem
    assert "eval/deepeval/rag_accuracy_score" not in result.metrics
    assert result.metrics["eval/deepeval/exact_answer_score"] == 1.0


def test_a_grade_off_the_scale_is_no_score(server: OpenAIServer) -> None:
    server.answer = right
    with OpenAIServer(answer=lambda body: '{"score": 80, "reason": "of 100"}', model="judge") as judge:
        result = run(server, snapshot(8, context=True), judge=judged_by(judge))
    assert set(of(result, "rag_accuracy")["status"]) == {"judge_error"}
    assert "the score is 8.0, not between 0 and 1" in str(result.problem)


def test_a_judge_that_is_not_there_is_said_before_anything_is_asked(server: OpenAIServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = JudgeSettings(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "judge")
        with pytest.raises(EndpointError, match=r"The judge 'judge' .* does not answer"):
            run(server, snapshot(8, context=True), judge=nowhere)
    assert server.requests == []


CUSTOM = """
from deepeval.metrics import BaseMetric


class {name}(BaseMetric):
    threshold = {threshold}

    def measure(self, test_case, *args, **kwargs):
        {body}
        return self.score
"""


def write_metric(folder: Path, body: str, *, name: str = "Mine", threshold: str = "0.5") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(CUSTOM.format(name=name, threshold=threshold, body=body), encoding="utf-8")
    return folder


def test_a_metric_of_the_operators_own_counts_too(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = right
    folder = write_metric(tmp_path / "m", "self.score = 0.25", threshold="None")
    result = run(server, snapshot(6), metrics_dir=folder)
    assert result.metrics["eval/deepeval/mine_score"] == 0.25
    assert "eval/deepeval/mine_pass_ratio" not in result.metrics  # without a threshold nothing passes or fails
    without = run(server, snapshot(6))
    assert without.comparable != result.comparable


@pytest.mark.parametrize(
    "body", ["self.score = 1 / 0", "self.score = None", "self.score = float('nan')", "self.score = 8"]
)
def test_a_metric_that_breaks_gives_no_score(server: OpenAIServer, tmp_path: Path, body: str) -> None:
    server.answer = right
    result = run(server, snapshot(6), metrics_dir=write_metric(tmp_path / "m", body))
    assert of(result, "mine")["score"].null_count() == 6
    assert set(of(result, "mine")["status"]) == {"judge_error"}
    assert result.problem is not None
    assert "6 of 6 answers could not be judged (mine: " in result.problem


def test_a_metric_file_that_breaks_ends_it_before_anything_is_asked(server: OpenAIServer, tmp_path: Path) -> None:
    with pytest.raises(MetricRegistryError, match=r"mine.py cannot be imported \(SyntaxError"):
        run(server, snapshot(6), metrics_dir=write_metric(tmp_path / "m", "if"))
    assert server.requests == []


def test_profiles_draw_the_same_items_of_every_data_set(server: OpenAIServer) -> None:
    server.answer = right
    frame = snapshot(100)
    drawn = run(server, frame, profile="smoke").samples
    assert of_dataset(frame, drawn) == {"sums_en": 20, "sums_ko": 20}
    shuffled = frame.sample(fraction=1, shuffle=True, seed=3)
    assert run(server, shuffled, profile="smoke").samples["item_hash"].to_list() == drawn["item_hash"].to_list()


def of_dataset(frame: pl.DataFrame, drawn: pl.DataFrame) -> dict[str, int]:
    return dict(Counter(frame.filter(pl.col("id").is_in(drawn["item_hash"].to_list()))["dataset"]))


def test_a_second_release_is_asked_again_and_compared(server: OpenAIServer) -> None:
    server.answer = right
    first = run(server, snapshot(6))
    server.answer = lambda body: "no idea"
    second = run(server, snapshot(6))
    assert (first.metrics["eval/deepeval/exact_answer_score"], len(server.requests)) == (1.0, 2 * (1 + 6 + 6))
    assert second.metrics["eval/deepeval/exact_answer_score"] == 0.0
    assert first.comparable == second.comparable
    assert run(server, snapshot(4)).comparable != first.comparable


def test_nothing_is_written_where_it_runs(
    server: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = right
    monkeypatch.chdir(tmp_path)
    with OpenAIServer(answer=lambda body: GRADE, model="judge") as judge:
        run(server, snapshot(4, context=True), judge=judged_by(judge))
    assert list(tmp_path.iterdir()) == []


def test_the_canary_is_kept_apart_from_the_release(server: OpenAIServer) -> None:
    server.answer = right
    with OpenAIServer(answer=lambda body: GRADE, model="judge") as judge:
        result = run(server, snapshot(8, context=True), judge=judged_by(judge))
        few = run(server, snapshot(8, context=True), judge=judged_by(judge), profile="smoke")
        none = run(server, snapshot(8), judge=judged_by(judge))  # nothing in it is judged
    canary = result.samples.filter(pl.col("suite") == "judge_canary")
    assert (canary.height, set(canary["judge"]), set(canary["metric"])) == (54, {"judge"}, {"canary_score"})
    assert result.metrics["eval/deepeval/canary_score"] == pytest.approx(0.8)
    assert result.metrics["eval/deepeval/canary_agreement_ratio"] == pytest.approx(0.5)
    assert result.metrics["eval/deepeval/items_count"] == 8
    assert result.texts.filter(pl.col("suite") == "judge_canary")["reason"].to_list() == ["fine"] * 54
    assert few.metrics["eval/deepeval/canary_scored_count"] == 18
    assert not [metric for metric in none.metrics if "canary" in metric]
    assert (result.details["canary"], none.details["canary"]) == ("54 answers", "nothing was judged")
    assert run(server, snapshot(2)).details["canary"] == "no judge"
    assert all(not definition.higher_is_better for m in canary_paths(result) if (definition := definition_of(m)))


def canary_paths(result: SuiteResult) -> list[str]:
    return [metric for metric in result.metrics if "/canary_" in metric]


def test_the_judges_reason_is_kept(server: OpenAIServer) -> None:
    server.answer = right
    with OpenAIServer(answer=lambda body: GRADE, model="judge") as judge:
        result = run(server, snapshot(1, context=True), judge=judged_by(judge))
    (reason,) = result.texts.filter(pl.col("suite") == "deepeval")["reason"]
    assert reason.splitlines() == [
        "exact_answer 1.00: the answer mentions the reference",
        "no_hallucination 0.80: fine",
        "rag_accuracy 0.80: fine",
    ]


def test_signals_tell_what_the_answers_look_like(server: OpenAIServer) -> None:
    server.answer = lambda body: "I'm sorry, but I can't." if "더하기" not in question(body) else "모르겠습니다"
    metrics = run(server, snapshot(4)).metrics
    assert (metrics["eval/deepeval/refusal_ratio"], metrics["eval/deepeval/hangul_ratio"]) == (0.5, 0.5)


def test_items_that_share_a_passage_are_one_cluster(server: OpenAIServer) -> None:
    server.answer = lambda body: right(body) if int(re.findall(r"\d+", question(body) + "0")[0]) < 8 else "no"
    apart = run(server, snapshot(16)).metrics["eval/deepeval/exact_answer_score_stderr"]
    passages = [json.dumps({"context": [f"Passage {number // 4}"]}) for number in range(16)]
    frame = snapshot(16).with_columns(metadata=pl.Series(passages))
    together = run(server, frame).metrics["eval/deepeval/exact_answer_score_stderr"]
    assert together > 1.5 * apart


@pytest.mark.parametrize("name", CONFIGURABLE)
def test_any_metric_of_deepevals_measures(server: OpenAIServer, tmp_path: Path, name: str) -> None:
    params: dict[str, Any] = {
        "GEval": {"evaluation_steps": ["Is it right?"]},
        "ConversationalGEval": {"evaluation_steps": ["Is it right?"]},
        "PatternMatchMetric": {"pattern": ".*"},
        "NonAdviceMetric": {"advice_types": ["financial"]},
        "MisuseMetric": {"domain": "sums"},
        "RoleViolationMetric": {"role": "a calculator"},
        "PromptAlignmentMetric": {"prompt_instructions": ["Be brief."]},
        "TopicAdherenceMetric": {"relevant_topics": ["sums"]},
    }
    config = tmp_path / "deepeval.json"
    entry = {"metric": name, "name": "own", "params": params.get(name, {})}
    config.write_text(json.dumps({"metrics": [entry]}), encoding="utf-8")
    facts = json.dumps({"context": ["Sums."], "chatbot_role": "a calculator", "expected_outcome": "a sum"})
    server.answer = right
    with OpenAIServer(answer=obey, model="judge") as judge:
        frame = snapshot(2, context=True).with_columns(metadata=pl.lit(facts))
        result = run(server, frame, judge=judged_by(judge), config=config, profile="smoke")
    assert result.texts["error"].drop_nulls().to_list() == []
    assert of(result, "own")["status"].to_list() == ["ok", "ok"]
    assert 0 <= result.metrics["eval/deepeval/own_score"] <= 1


def test_answers_that_only_load_spoils_are_found(server: OpenAIServer) -> None:
    server.answer = lambda body: right(body) if len(server.requests) > 1 + 12 else "garbled"  # those alone come last
    metrics = run(server, snapshot(12), profile="smoke").metrics
    assert metrics["eval/deepeval/load_items_count"] == 4
    assert (metrics["eval/deepeval/load_same_ratio"], metrics["eval/deepeval/load_delta_score"]) == (0, -1)
    assert "eval/deepeval/load_same_ratio" not in run(server, snapshot(12), concurrency=1).metrics


def test_what_is_not_reached_in_time_is_said(server: OpenAIServer) -> None:
    server.answer = right
    server.fault = lambda n, path, body: Fault(hang_s=30) if n else None
    result = run(server, snapshot(6), time_limit_s=0.5, timeout_s=20)
    assert result.problem == "6 of 6 items were not reached within the 0.5 s that asking them may take."
    assert result.metrics["eval/deepeval/not_reached_count"] == 6
    assert "eval/deepeval/exact_answer_score" not in result.metrics


def test_what_cannot_be_asked_is_said(server: OpenAIServer) -> None:
    with pytest.raises(NothingToAskError):
        run(server, snapshot(2).clear())
    with pytest.raises(EndpointError, match="offers no chat"):
        run(server, snapshot(2), endpoint=vllm_at(server.base_url, capabilities=("completions",)))
