"""An eval end to end: the release asked over its real socket, every answer graded, nothing lost turned into a 0."""

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vllm_quality.eval.canary_run import canary_answers
from vllm_quality.eval.evals.plan import EvalError
from vllm_quality.eval.evals.run import run_eval
from vllm_quality.eval.judge import JudgeSettings
from vllm_quality.eval.result import SuiteResult
from vllm_quality.results.rows import check_samples
from vllm_quality.serving.endpoint import EndpointError
from vllm_quality.verdict.metrics import definition_of
from vllm_quality_tests.eval.evals.eval_files import (
    CRITERIA,
    add_up,
    sums,
    write_eval,
    write_promptfoo,
    write_rows,
)
from vllm_quality_tests.eval.graders.test_schema import LABEL, SCORE
from vllm_quality_tests.eval.scores import scores_of
from vllm_quality_tests.eval.task_files import QUICK, vllm_at
from vllm_quality_tests.servers.openai_api import Body, Fault, OpenAIServer

EQUALS = {"type": "equals", "value": "!"}
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
    check_samples(scores_of(result))
    return result


def of(result: SuiteResult, name: str) -> pl.DataFrame:
    return scores_of(result).filter(pl.col("metric") == f"{name}_score")


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
    assert (len(server.requests), done[-1]) == (
        1 + 10 + 2,
        (20, 20),
    )  # one checks the server, two are asked again alone
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
    assert scores_of(result)["prompt_tokens"].null_count() == scores_of(result).height


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
    cut = run(write_eval(tmp_path), write_rows(tmp_path, sums(4)), server)
    assert set(scores_of(cut)["status"]) == {"truncated"}


def test_json_that_is_missing_is_the_releases_fault(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = lambda body: "Seoul"
    result = run(write_eval(tmp_path, criteria=[JSON_CRITERION]), write_rows(tmp_path, sums(3)), server)
    assert (result.metrics["eval/sums/city_score"], result.problem) == (0.0, None)
    assert set(scores_of(result)["status"]) == {"model_error"}
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
    assert set(scores_of(result)["judge"]) == {"judge"}


def test_a_judge_that_breaks_its_json_half_the_time_lowers_nothing(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    dice = random.Random(7)
    rows = write_rows(tmp_path, sums(60))
    with OpenAIServer(answer=lambda body: verdict(body) if dice.random() < 0.5 else "5!", model="judge") as judge:
        result = run(write_eval(tmp_path, criteria=[{**SCORE, "range": [1, 5]}]), rows, server, judge=judged_by(judge))
    failed = scores_of(result).filter(pl.col("status") == "judge_error")
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
    assert (first.comparable == second.comparable, len(server.requests)) == (True, 2 * (1 + 4 + 1))
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
    assert scores_of(first)["item_hash"].to_list() == scores_of(second)["item_hash"].to_list()
    assert scores_of(first)["item_hash"].n_unique() == 20


def test_the_same_row_twice_is_two_rows(server: OpenAIServer, tmp_path: Path) -> None:
    result = run(write_eval(tmp_path), write_rows(tmp_path, [*sums(2), *sums(2)]), server)
    assert of(result, "Right_sum")["item_hash"].n_unique() == 4


def test_what_is_not_reached_in_time_has_no_score(server: OpenAIServer, tmp_path: Path) -> None:
    server.fault = lambda n, path, body: Fault(hang_s=30) if n else None
    result = run(write_eval(tmp_path, time_limit_s={"full": 0.5}), write_rows(tmp_path, sums(3)), server)
    assert result.problem == (
        "3 of 3 items were not reached within the 0.5 s that asking them may take; raise the eval's time_limit_s."
    )
    assert result.metrics["eval/sums/not_reached_count"] == 3
    assert scores_of(result)["score"].null_count() == scores_of(result).height
    assert result.details["time_limit_s"] == 0.5


def test_grading_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    rows = [{**row, "sample": {"output_text": "1"}} for row in sums(2)]
    source = "import time\ndef grade(sample, item): time.sleep(60)"
    criteria = [CRITERIA[0], {"type": "python", "name": "slow", "source": source}]
    result = run(write_eval(tmp_path, criteria=criteria, time_limit_s=0.5), write_rows(tmp_path, rows))
    assert result.problem == "2 of 2 answers could not be graded by slow (the time for grading was over)."
    assert result.details["not_graded"] == 2
    assert of(result, "slow")["score"].null_count() == 2
    assert "eval/sums/Right_sum_score" in result.metrics


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"time_limit_s": 0}, "time_limit_s.smoke cannot be used: input should be greater than 0"),
        ({"time_limit_s": {"fast": 1}}, "time_limit_s.fast cannot be used"),
        ({"concurrency_probe": -1}, "concurrency_probe.smoke cannot be used"),
    ],
)
def test_bounds_that_mean_nothing_are_refused(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(EvalError, match=f"sums.json: {says}"):
        run(write_eval(tmp_path, **given), write_rows(tmp_path, sums(2)))
    with pytest.raises(EvalError, match=says):
        run(write_promptfoo(tmp_path, prompts="{{q}}", tests=[{"vars": {"q": "?"}, "assert": [EQUALS]}], **given))


def test_answers_that_only_load_spoils_are_found(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = lambda body: add_up(body) if len(server.requests) > 1 + 10 else "garbled"  # those alone come last
    result = run(write_eval(tmp_path, concurrency_probe=4), write_rows(tmp_path, sums()), server)
    assert result.metrics["eval/sums/load_items_count"] == 4
    assert result.metrics["eval/sums/load_same_ratio"] == 0
    assert result.metrics["eval/sums/load_delta_score"] < -0.5
    alone = scores_of(result).filter(pl.col("suite") == "sums@1")
    assert (alone.height, set(alone["metric"])) == (8, {"Right_sum_score_alone", "similar_score_alone"})
    assert result.details["asked_alone"] == 4
    steady = run(write_eval(tmp_path, concurrency_probe=4), write_rows(tmp_path, sums()), server)
    assert (steady.metrics["eval/sums/load_same_ratio"], steady.metrics["eval/sums/load_delta_score"]) == (1, 0)
    assert [name for name in steady.metrics if definition_of(name) is None] == []


def test_answers_are_asked_alone_only_where_they_should_be_the_same(server: OpenAIServer, tmp_path: Path) -> None:
    rows = write_rows(tmp_path, sums())
    drawn = write_eval(tmp_path, data_source={"type": "completions", "sampling_params": {"temperature": 0.7}})
    assert run(drawn, rows, server).details["asked_alone"] == "nothing: the sampling is not greedy"
    for quiet in (
        run(write_eval(tmp_path, concurrency_probe=0), rows, server),
        run(drawn, rows, server, concurrency=1),
    ):
        assert not [name for name in quiet.metrics if "/load_" in name]
        assert set(scores_of(quiet)["suite"]) == {"sums"}


def test_the_judge_is_not_asked_about_the_answers_alone(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    with OpenAIServer(answer=verdict, model="judge") as judge:
        result = run(
            write_eval(tmp_path, criteria=[SCORE]), write_rows(tmp_path, sums()), server, judge=judged_by(judge)
        )
    assert len(judge.requests) == 1 + 10
    assert (result.metrics["eval/sums/load_items_count"], result.metrics["eval/sums/load_same_ratio"]) == (2, 1)
    assert "eval/sums/load_delta_score" not in result.metrics


def test_the_judge_grades_its_canary_where_it_judges(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    frozen, done = canary_answers("smoke"), list[tuple[int, int]]()
    rows = write_rows(tmp_path, sums(4))
    with OpenAIServer(answer=verdict, model="judge") as judge:
        options = {"judge": judged_by(judge), "frozen": frozen, "on_progress": lambda *state: done.append(state)}
        result = run(write_eval(tmp_path, criteria=[SCORE]), rows, server, **options)
        assert len(judge.requests) == 1 + 4 + len(frozen)
        assert done[-1] == (8 + 18, 8 + 18)
        unjudged = run(write_eval(tmp_path), rows, server, **options)
        assert len(judge.requests) == 1 + 4 + len(frozen)
    canary = scores_of(result).filter(pl.col("suite") == "judge_canary_graders")
    assert (canary.height, set(canary["judge"]), set(canary["score"])) == (18, {"judge"}, {0.5})  # 5 of 10
    assert (canary["item_hash"].n_unique(), canary["prompt_hash"].n_unique()) == (18, 18)
    assert result.metrics["eval/sums/canary_score"] == 0.5
    assert 0 < result.metrics["eval/sums/canary_agreement_ratio"] < 1
    assert result.texts.filter(pl.col("suite") == "judge_canary_graders")["reason"].to_list() == ["it is right"] * 18
    assert result.details["canary"] == "18 answers"
    assert result.metrics["eval/sums/items_count"] == 4
    assert not [name for name in unjudged.metrics if "canary" in name]


def test_a_canary_that_cannot_be_judged_costs_the_release_nothing(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    rows = write_rows(tmp_path, sums(4))
    broken = lambda body: "?" if "Reference answer:" in str(body["messages"]) else verdict(body)  # noqa: E731
    with OpenAIServer(answer=broken, model="judge") as judge:
        options = {"judge": judged_by(judge), "frozen": canary_answers("smoke")}
        result = run(write_eval(tmp_path, criteria=[SCORE]), rows, server, **options)
    assert (result.metrics["eval/sums/canary_judge_errors_count"], result.problem) == (18, None)
    assert result.metrics["eval/sums/judge_errors_count"] == 0


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
