"""An eval end to end: the release asked over its real socket, every answer graded, nothing lost turned into a 0."""

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vllm_quality.eval.evals.plan import EvalError
from vllm_quality.eval.evals.run import run_eval
from vllm_quality.eval.judge import JudgeSettings
from vllm_quality.eval.result import SuiteResult
from vllm_quality.results.rows import check_samples
from vllm_quality.serving.endpoint import EndpointError
from vllm_quality.verdict.metrics import definition_of
from vllm_quality_tests.eval.evals.eval_files import CRITERIA, add_up, sums, write_eval, write_rows
from vllm_quality_tests.eval.graders.test_schema import LABEL, SCORE
from vllm_quality_tests.eval.task_files import QUICK, vllm_at
from vllm_quality_tests.servers.openai_api import Body, Fault, OpenAIServer

JSON_CRITERION = {
    "type": "string_check",
    "name": "city",
    "operation": "eq",
    "input": "{{sample.output_json.city}}",
    "reference": "Seoul",
}


def run(eval_file: Path, data: Path | None = None, server: OpenAIServer | None = None, **options: Any) -> SuiteResult:
    given: dict[str, Any] = {
        "endpoint": vllm_at(server.base_url) if server else None,
        "api_key": None,
        "judge": None,
        "profile": "full",
        "concurrency": 4,
        "timeout_s": 5,
        "retry": QUICK,
        **options,
    }
    result = run_eval(eval_file, data, **given)
    check_samples(result.samples)
    return result


def of(result: SuiteResult, name: str) -> pl.DataFrame:
    return result.samples.filter(pl.col("metric") == f"{name}_score")


def test_rows_without_answers_are_asked_and_every_answer_is_graded(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = lambda body: "no idea" if " 4 " in str(body["messages"]) else add_up(body)
    done: list[tuple[int, int]] = []
    result = run(
        write_eval(tmp_path), write_rows(tmp_path, sums()), server, on_progress=lambda *state: done.append(state)
    )
    assert result.step == "eval/sums"
    assert result.metrics["eval/sums/Right_sum_score"] == 0.9
    assert "eval/sums/Right_sum_pass_ratio" not in result.metrics  # yes or no: the same number again
    assert result.metrics["eval/sums/similar_pass_ratio"] == 0.9
    assert result.metrics["eval/sums/Right_sum_score_stderr"] == pytest.approx(0.1)
    assert result.metrics["eval/sums/every_criterion_pass_ratio"] == 0.9
    assert result.metrics["eval/sums/items_count"] == 10
    assert (len(server.requests), done[-1]) == (11, (20, 20))
    assert result.problem is None
    assert [name for name in result.metrics if definition_of(name) is None] == []
    wrong = result.texts.filter(pl.col("answer") == "no idea").row(0, named=True)
    assert (wrong["prompt"], wrong["expected"]) == ("What is 4 plus 4?", "8")
    assert result.details["statuses"]["Right_sum"] == {"ok": 10}
    assert set(result.details["seconds"]) == {"asking the release", "grading Right_sum", "grading similar"}


def test_rows_with_answers_are_only_graded(tmp_path: Path) -> None:
    rows = [{**row, "sample": {"output_text": row["item"]["answer"]}} for row in sums(4)]
    rows += [{**row, "sample": {"choices": [{"message": {"content": "7"}}]}} for row in sums(1)]
    result = run(write_eval(tmp_path), write_rows(tmp_path, rows))
    assert result.metrics["eval/sums/Right_sum_score"] == 0.8
    assert result.samples["prompt_tokens"].null_count() == result.samples.height


def test_a_run_says_what_is_asked_and_how(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = lambda body: '{"city": "Seoul"}'
    source = {
        "type": "responses",
        "model": "gpt-4o",
        "source": {"type": "file_content", "content": sums(2)},
        "input_messages": {
            "type": "template",
            "template": [
                {"role": "developer", "content": "Answer as JSON."},
                {"role": "user", "type": "message", "content": {"type": "input_text", "text": "Q: {{item.question}}"}},
            ],
        },
        "sampling_params": {
            "temperature": 0.5,
            "seed": 42,
            "top_p": 0.9,
            "max_completion_tokens": 77,
            "text": {"format": {"type": "json_schema", "name": "city", "schema": {"type": "object"}}},
        },
    }
    eval_object = json.loads(write_eval(tmp_path, criteria=[JSON_CRITERION]).read_text(encoding="utf-8"))
    older = {"created_at": 1, "data_source": {**source, "source": {"type": "file_content", "content": sums(9)}}}
    exported = {"eval": eval_object, "runs": {"data": [{"created_at": 2, "data_source": source}, older]}}
    path = tmp_path / "city.json"
    path.write_text(json.dumps(exported), encoding="utf-8")
    result = run(path, None, server)
    assert result.metrics["eval/city/city_score"] == 1.0
    body = server.sent_to("/v1/chat/completions")[1]
    assert body["messages"][0] == {"role": "system", "content": "Answer as JSON."}
    assert body["messages"][1]["content"].startswith("Q: What is ")
    assert (body["temperature"], body["seed"], body["top_p"], body["max_tokens"]) == (0.5, 42, 0.9, 77)
    assert body["response_format"]["json_schema"]["name"] == "city"
    assert body["model"] == "fake"  # the release, not the model of the export


def test_messages_of_the_data_are_asked_as_they_stand(server: OpenAIServer, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "1?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "2?"},
    ]
    rows = [{"item": {"talk": {"turns": turns}, "question": "-", "answer": "42"}}]
    reference = {"type": "item_reference", "item_reference": "item.talk.turns"}
    eval_file = write_eval(tmp_path, data_source={"type": "completions", "input_messages": reference})
    assert run(eval_file, write_rows(tmp_path, rows), server).metrics["eval/sums/Right_sum_score"] == 1.0
    assert server.sent_to("/v1/chat/completions")[1]["messages"] == turns


def test_bad_rows_are_set_aside_with_their_line_and_reason(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    rows = [
        "not json",
        {"question": "?"},
        {"item": {"question": 1, "answer": "2"}},
        *sums(3),
        {"item": {"answer": "1"}},
    ]
    bad_sample = {**sums(1)[0], "sample": {"text": "?"}}
    result = run(write_eval(tmp_path), write_rows(tmp_path, [*rows, "", bad_sample]), server)
    assert (result.details["bad_rows"], result.metrics["eval/sums/items_count"]) == (5, 3)
    assert [line.partition(" (")[0] for line in result.details["bad_row_examples"]] == [
        "line 1 is no JSON",
        'line 2 has no object "item"',
        "line 3 item .question does not fit the schema: 1 is not of type 'string'",
        "line 7 item does not fit the schema: 'question' is a required property",
        "line 9 has a sample without output_text",
    ]


def test_lost_answers_have_no_score_and_the_others_keep_theirs(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    server.fault = lambda n, path, body: Fault(status=500) if " 6 " in str(body["messages"]) else None
    result = run(write_eval(tmp_path), write_rows(tmp_path, sums(60)), server)
    assert of(result, "Right_sum").filter(pl.col("status") == "infra_error")["score"].to_list() == [None]
    assert (result.metrics["eval/sums/Right_sum_score"], result.problem) == (1.0, None)
    worse = run(write_eval(tmp_path), write_rows(tmp_path, sums(10)), server)
    assert worse.problem == "1 of 10 items have no score (such as: HTTP 500: made to fail)."


def test_null_contents_and_cut_answers_count_as_what_they_are(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = lambda body: None
    result = run(write_eval(tmp_path), write_rows(tmp_path, sums(4)), server)
    assert result.metrics["eval/sums/model_errors_count"] == 4
    assert (result.metrics["eval/sums/Right_sum_score"], result.details["null_contents"]) == (0.0, 4)
    server.answer, server.finish = add_up, "length"
    assert set(run(write_eval(tmp_path), write_rows(tmp_path, sums(4)), server).samples["status"]) == {"truncated"}


def test_json_that_is_missing_is_the_releases_fault(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = lambda body: "Seoul"
    result = run(write_eval(tmp_path, criteria=[JSON_CRITERION]), write_rows(tmp_path, sums(3)), server)
    assert (result.metrics["eval/sums/city_score"], result.problem) == (0.0, None)
    assert set(result.samples["status"]) == {"model_error"}
    assert "sample.output_json.city has no value" in result.texts["reason"][0]


def judged_by(judge: OpenAIServer) -> JudgeSettings:
    return JudgeSettings(judge.base_url + "/v1", judge.model)


def verdict(body: Body) -> str:
    steps = [{"description": "…", "conclusion": "it is right"}]
    labels = "labels" if "polite" in json.dumps(body) else ""
    return json.dumps({"steps": steps, "result": "polite" if labels else 5})


def test_a_judge_grades_and_its_reasons_are_kept(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    eval_file = write_eval(tmp_path, criteria=[{**SCORE, "range": [1, 5]}, LABEL])
    with OpenAIServer(answer=verdict, model="judge") as judge:
        result = run(eval_file, write_rows(tmp_path, sums(4)), server, judge=judged_by(judge))
    assert result.metrics["eval/sums/my_score_model_score"] == 1.0  # 5 of 1 to 5
    assert result.metrics["eval/sums/tone_score"] == 1.0
    assert result.details["ranges"] == {"my_score_model": [1.0, 5.0]}
    assert result.texts["reason"][0] == "my_score_model: it is right; tone: polite: it is right"
    assert set(result.samples["judge"]) == {"judge"}


def test_a_judge_that_breaks_its_json_half_the_time_lowers_nothing(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    dice = random.Random(7)
    rows = write_rows(tmp_path, sums(60))
    with OpenAIServer(answer=lambda body: verdict(body) if dice.random() < 0.5 else "5!", model="judge") as judge:
        result = run(write_eval(tmp_path, criteria=[{**SCORE, "range": [1, 5]}]), rows, server, judge=judged_by(judge))
    failed = result.samples.filter(pl.col("status") == "judge_error")
    assert result.metrics["eval/sums/my_score_model_pass_ratio"] == 1.0
    assert 0 < failed.height < 20
    assert failed["score"].null_count() == failed.height == result.metrics["eval/sums/judge_errors_count"]
    assert result.problem is None


def test_without_a_judge_there_is_no_score_and_no_problem(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    result = run(write_eval(tmp_path, criteria=[SCORE, CRITERIA[0]]), write_rows(tmp_path, sums(4)), server)
    assert result.details["without scores"] == {"my_score_model": "no judge"}
    assert "eval/sums/my_score_model_score" not in result.metrics
    assert (result.metrics["eval/sums/judge_errors_count"], result.problem) == (0, None)


def test_a_judge_that_always_fails_is_said(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    with OpenAIServer(answer=lambda body: "never", model="judge") as judge:
        result = run(
            write_eval(tmp_path, criteria=[SCORE]), write_rows(tmp_path, sums(4)), server, judge=judged_by(judge)
        )
    assert result.problem is not None
    assert result.problem.startswith("4 of 4 answers could not be graded by my_score_model (the judge's answer is not")


def test_a_python_grader_that_breaks_is_no_score(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    source = "def grade(sample, item):\n    if item['answer'] == '4': raise ValueError('four')\n    return 1.0"
    criterion = {"type": "python", "name": "code", "source": source, "pass_threshold": 0.5}
    result = run(write_eval(tmp_path, criteria=[criterion]), write_rows(tmp_path, sums(8)), server)
    assert (result.metrics["eval/sums/code_score"], result.metrics["eval/sums/judge_errors_count"]) == (1.0, 1)
    assert "it raised ValueError: four" in result.texts.filter(pl.col("expected") == "4")["error"][0]


def test_cosine_takes_embeddings_of_the_judges_endpoint(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    criterion = {**CRITERIA[1], "evaluation_metric": "cosine"}
    eval_file, rows = write_eval(tmp_path, criteria=[criterion]), write_rows(tmp_path, sums(3))
    with OpenAIServer(model="embed") as judge:
        result = run(eval_file, rows, server, judge=judged_by(judge), embedding_model="embed")
        assert result.metrics["eval/sums/similar_score"] == 1.0
        with pytest.raises(EndpointError, match="gives no embeddings of 'other'"):
            run(eval_file, rows, server, judge=judged_by(judge), embedding_model="other")
    assert run(eval_file, rows, server).details["without scores"] == {"similar": "no embeddings"}


def test_a_second_release_is_asked_again_and_compared(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    eval_file, rows = write_eval(tmp_path), write_rows(tmp_path, sums(4))
    first = run(eval_file, rows, server)
    server.answer = lambda body: "no"
    second = run(eval_file, rows, server)
    assert (first.metrics["eval/sums/Right_sum_score"], second.metrics["eval/sums/Right_sum_score"]) == (1.0, 0.0)
    assert (first.comparable == second.comparable, len(server.requests)) == (True, 10)
    assert run(eval_file, write_rows(tmp_path, sums(5)), server).comparable != first.comparable
    stricter = [{**CRITERIA[0], "operation": "eq"}, CRITERIA[1]]
    assert (
        run(write_eval(tmp_path, criteria=stricter), write_rows(tmp_path, sums(4)), server).comparable
        != first.comparable
    )


def test_profiles_draw_the_same_rows_whatever_their_order(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    rows = sums(100)
    first = run(write_eval(tmp_path), write_rows(tmp_path, rows), server, profile="smoke")
    second = run(write_eval(tmp_path), write_rows(tmp_path, rows[::-1]), server, profile="smoke")
    assert first.metrics["eval/sums/items_count"] == 20
    assert first.samples["item_hash"].to_list() == second.samples["item_hash"].to_list()
    assert first.samples["item_hash"].n_unique() == 20


def test_the_same_row_twice_is_two_rows(server: OpenAIServer, tmp_path: Path) -> None:
    result = run(write_eval(tmp_path), write_rows(tmp_path, [*sums(2), *sums(2)]), server)
    assert of(result, "Right_sum")["item_hash"].n_unique() == 4


def test_what_is_not_reached_in_time_has_no_score(server: OpenAIServer, tmp_path: Path) -> None:
    server.fault = lambda n, path, body: Fault(hang_s=30) if n else None
    result = run(write_eval(tmp_path), write_rows(tmp_path, sums(3)), server, time_limit_s=1)
    assert result.problem == "3 of 3 items were not reached within the 1 s that asking them may take."
    assert result.metrics["eval/sums/not_reached_count"] == 3


def test_grading_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    rows = [{**row, "sample": {"output_text": "1"}} for row in sums(2)]
    source = "import time\ndef grade(sample, item): time.sleep(60)"
    eval_file = write_eval(tmp_path, criteria=[CRITERIA[0], {"type": "python", "name": "slow", "source": source}])
    result = run(eval_file, write_rows(tmp_path, rows), time_limit_s=1)
    assert result.problem == "2 of 2 answers could not be graded by slow (the time for grading was over)."
    assert "eval/sums/Right_sum_score" in result.metrics


def test_what_cannot_be_asked_is_said_before_anything_is_sent(server: OpenAIServer, tmp_path: Path) -> None:
    eval_file, rows = write_eval(tmp_path), write_rows(tmp_path, sums(2))
    with pytest.raises(EvalError, match="name the release to ask with --base-url"):
        run(eval_file, rows)
    with pytest.raises(EndpointError, match="offers no chat"):
        run(eval_file, rows, endpoint=vllm_at(server.base_url, capabilities=("completions",)))
    nowhere = JudgeSettings("http://127.0.0.1:9/v1", "judge")
    with pytest.raises(EndpointError, match=r"The judge 'judge' .* does not answer"):
        run(write_eval(tmp_path, criteria=[SCORE]), rows, server, judge=nowhere)
    assert server.requests == []
