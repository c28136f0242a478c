"""Promptfoo configurations run as they are; what cannot be done is named, all of it at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.eval.evals.load import load_plan
from vllm_quality.eval.evals.plan import EvalError, Plan
from vllm_quality_tests.eval.evals.eval_files import add_up, write_promptfoo
from vllm_quality_tests.eval.evals.test_run import judged_by, run
from vllm_quality_tests.servers.openai_api import Body, OpenAIServer

TESTS = [
    {"vars": {"n": 2}, "assert": [{"type": "equals", "value": "4"}, {"type": "contains", "value": "{{want}}"}]},
    {"vars": {"n": 3, "want": "7"}, "assert": [{"type": "equals", "value": 6}]},
]
CONFIG: dict[str, Any] = {
    "description": "Sums",
    "prompts": ["What is {{n}} plus {{ n }}?"],
    "providers": [{"id": "openai:gpt-4o", "config": {"temperature": 0.2, "max_tokens": 9}}],
    "defaultTest": {
        "vars": {"want": "4"},
        "assert": [{"type": "not-contains", "value": "sorry", "metric": "no apology"}],
    },
    "tests": TESTS,
}


def plan(folder: Path, *assertions: dict[str, Any], skip: bool = False, **more: Any) -> Plan:
    tests = [{"vars": {"q": "hi", "want": "x"}, "assert": list(assertions)}]
    config = {"prompts": ["{{q}}"], "tests": tests, **more}
    return load_plan(write_promptfoo(folder, **config), skip_unsupported=skip)


def test_a_configuration_runs_as_it_is(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = add_up
    result = run(write_promptfoo(tmp_path, "sums.yaml", **CONFIG), None, server)
    assert result.metrics["eval/sums/equals_score"] == 1.0
    assert result.metrics["eval/sums/contains_score"] == 1.0
    assert result.metrics["eval/sums/no_apology_score"] == 1.0
    assert result.metrics["eval/sums/contains_scored_count"] == 1
    body = server.sent_to("/v1/chat/completions")[1]
    assert body["messages"][0]["content"] in ("What is 2 plus 2?", "What is 3 plus 3?")
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0.2, 9, "fake")
    assert result.details["notes"] == ["the release is asked in place of the providers"]


@pytest.mark.parametrize(
    ("answer", "assertion", "passes"),
    [
        ("Hello, World!", {"type": "equals", "value": "Hello, World!"}, True),
        ('{"key": "value"}', {"type": "equals", "value": {"key": "value"}}, True),
        ("It costs 10", {"type": "contains", "value": 10}, True),
        ("HELLO", {"type": "icontains", "value": "hello"}, True),
        ("HELLO", {"type": "not-icontains", "value": "hello"}, False),
        ("b", {"type": "contains-any", "value": ["a", "b"]}, True),
        ("b", {"type": "contains-all", "value": "a, b"}, False),
        ("A B", {"type": "icontains-all", "value": ["a", "b"]}, True),
        ("Yes, it is", {"type": "starts-with", "value": "Yes"}, True),
        ("in 2026", {"type": "regex", "value": r"\d{4}"}, True),
        ("in 2026", {"type": "not-regex", "value": r"\d{4}"}, False),
        ('{"a": 1}', {"type": "is-json"}, True),
        ('{"a": "1"}', {"type": "is-json", "value": {"properties": {"a": {"type": "number"}}}}, False),
        ('see {"a": 1} here', {"type": "contains-json", "value": '{"required": ["a"]}'}, True),
        ("kitten", {"type": "levenshtein", "value": "sitting", "threshold": 3}, True),
        ("kitten", {"type": "levenshtein", "value": "sitting", "threshold": 2}, False),
        ("hello big world", {"type": "rouge-n", "value": "hello world"}, True),
        ("hello there", {"type": "rouge-n", "value": "hello world"}, False),
        ("hello world again and again", {"type": "bleu", "value": "hello world again and again", "threshold": 0.9}, True),
        ("hello world", {"type": "gleu", "value": ["nothing", "hello world"]}, True),
        ("hello world", {"type": "meteor", "value": "goodbye"}, False),
        ("one two", {"type": "word-count", "value": {"min": 2, "max": 3}}, True),
        ("I'm sorry, but I can't do that.", {"type": "is-refusal"}, True),
        ("x", {"type": "finish-reason", "value": "stop"}, True),
        ("Hello", {"type": "python", "value": "output[0:2] == 'He'"}, True),
        ("Hello", {"type": "python", "value": "len(output) / 10", "threshold": 0.6}, False),
        ("hi", {"type": "python", "value": "if output == context['vars']['q']:\n  return {'pass': True, 'score': 0.5}\nreturn False"}, True),
        ("hi", {"type": "python", "value": "{'pass': False, 'score': 0.9}"}, False),
        ("hi", {"type": "not-python", "value": "'error' in output"}, True),
    ],
)  # fmt: skip
def test_assertions_mean_what_promptfoo_says(
    server: OpenAIServer, tmp_path: Path, answer: str, assertion: dict[str, Any], passes: bool
) -> None:
    server.answer = lambda body: answer
    path = write_promptfoo(tmp_path, "one.yaml", prompts="{{q}}", tests=[{"vars": {"q": "hi"}, "assert": [assertion]}])
    result = run(path, None, server)
    name, metrics = result.details["criteria"][0], result.metrics
    passed = metrics[f"eval/one/{name}_{'score' if name in result.details['yes or no'] else 'pass_ratio'}"]
    assert passed == float(passes), result.texts["reason"].to_list()


def judge_says(body: Body) -> str:
    text = json.dumps(body, ensure_ascii=False)
    result: object = 0.9 if '"number"' in text else "Y" if '"Y"' in text else "D"
    return json.dumps({"steps": [{"description": "", "conclusion": "as asked"}], "result": result})


def test_model_graded_assertions_take_the_judge(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = lambda body: "An answer"
    assertions = [
        {"type": "llm-rubric", "value": "Answers {{q}}", "threshold": 0.8},
        {"type": "g-eval", "value": ["Clear", "Short"]},
        {"type": "model-graded-closedqa", "value": "is an answer"},
        {"type": "factuality", "value": "The earth is round"},
        {"type": "not-llm-rubric", "value": "is rude"},
    ]
    config: dict[str, Any] = {"prompts": ["{{q}}"], "tests": [{"vars": {"q": "why?"}, "assert": assertions}]}
    with OpenAIServer(answer=judge_says, model="judge") as judge:
        result = run(write_promptfoo(tmp_path, "judged.yaml", **config), None, server, judge=judged_by(judge))
        asked = [json.dumps(body["messages"], ensure_ascii=False) for body in judge.sent_to("/v1/chat/completions")[1:]]
    ends = {
        name: "score" if name in result.details["yes or no"] else "pass_ratio" for name in result.details["criteria"]
    }
    ratios = {name: result.metrics[f"eval/judged/{name}_{end}"] for name, end in ends.items()}
    assert ratios == {
        "llm_rubric": 1.0, "g_eval": 1.0, "model_graded_closedqa": 1.0, "factuality": 0.0, "not_llm_rubric": 0.0,
    }  # fmt: skip
    assert any("Answers why?" in text and "An answer" in text for text in asked)
    assert any("why?" in text and "is an answer" in text for text in asked)


def test_a_rubric_prompt_of_the_users_own_is_sent(server: OpenAIServer, tmp_path: Path) -> None:
    prompt = [{"role": "system", "content": "채점하세요."}, {"role": "user", "content": "{{output}} / {{rubric}}"}]
    tests = [{"vars": {"q": "hi"}, "assert": [{"type": "llm-rubric", "value": "친절하다"}]}]
    config: dict[str, Any] = {
        "prompts": "{{q}}",
        "defaultTest": {"options": {"rubricPrompt": json.dumps(prompt)}},
        "tests": tests,
    }
    with OpenAIServer(answer=judge_says, model="judge") as judge:
        run(write_promptfoo(tmp_path, **config), None, server, judge=judged_by(judge))
        messages = judge.sent_to("/v1/chat/completions")[1]["messages"]
    assert [part["content"] for part in messages] == ["채점하세요.", "The answer is 42. / 친절하다"]


def test_weights_and_a_tests_threshold_decide_about_the_row(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = lambda body: "yes"
    assertions = [{"type": "equals", "value": "yes", "weight": 3}, {"type": "equals", "value": "no"}]
    tests = [{"threshold": threshold, "assert": assertions} for threshold in (0.75, 0.8)] + [{"assert": assertions}]
    result = run(write_promptfoo(tmp_path, "w.yaml", prompts="Say yes", tests=tests), None, server)
    assert result.metrics["eval/w/every_criterion_pass_ratio"] == pytest.approx(1 / 3)


def test_what_is_in_other_files_is_read(tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text(
        '[{"role": "system", "content": "Be {{tone}}"}, {"role": "user", "content": "{{q}}"}]'
    )
    (tmp_path / "two.txt").write_text("First {{q}}\n---\nSecond {{q}}")
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    (tmp_path / "check.py").write_text(
        "def get_assert(output, context): return context['config']['least'] < len(output)"
    )
    (tmp_path / "tests.csv").write_text(
        'q,tone,__expected\n1+1?,kind,2\n"안녕?",맑게,icontains: 안녕\nz,z,similar(0.8): a\n'
    )
    assertions = [
        {"type": "is-json", "value": "file://schema.json"},
        {"type": "python", "value": "file://check.py", "config": {"least": 3}},
    ]
    found = load_plan(
        write_promptfoo(
            tmp_path,
            prompts=["file://chat.json", "file://two.txt"],
            tests="file://tests.csv",
            defaultTest={"assert": assertions},
        )
    )
    assert len(found.rows) == 3 * 3
    assert found.rows[3].messages == [
        {"role": "system", "content": "Be 맑게"},
        {"role": "user", "content": "안녕?"},
    ]
    assert found.rows[1].messages == [{"role": "user", "content": "First 1+1?"}]
    assert found.criteria == ["is_json", "python", "equals", "icontains", "similar"]
    assert found.needs == ["endpoint", "embeddings", "sandbox"]


def test_a_list_of_values_is_a_test_for_each(tmp_path: Path) -> None:
    tests = [{"vars": {"q": ["a", "b"], "to": ["fr", "de"]}, "assert": [{"type": "contains", "value": "{{to}}"}]}]
    assert len(load_plan(write_promptfoo(tmp_path, prompts="{{q}} {{to}}", tests=tests)).rows) == 4
    kept = [{**tests[0], "options": {"disableVarExpansion": True, "prefix": "> ", "suffix": " <"}}]
    rows = load_plan(write_promptfoo(tmp_path, prompts="{{q}}", tests=kept)).rows
    assert [row.messages for row in rows] == [[{"role": "user", "content": '> ["a", "b"] <'}]]


def test_all_that_is_not_possible_is_named_in_one_message(tmp_path: Path) -> None:
    assertions: list[dict[str, Any]] = [
        {"type": "javascript", "value": "output.length > 3"},
        {"type": "equals", "value": "x"},
        {"type": "javascript", "value": "true"},
        {"type": "latency", "threshold": 500},
        {"type": "cost", "threshold": 0.1},
        {"type": "moderation"},
        {"type": "equals", "value": "{{ want | upper }}"},
        {"type": "contains", "value": "x", "transform": "output.trim()"},
        {"type": "python", "value": "def ("},
    ]
    with pytest.raises(EvalError) as caught:
        plan(tmp_path, *assertions, scenarios=[{"config": []}])
    said = str(caught.value)
    assert "\n" not in said
    for part in (
        "javascript (at tests[0].assert[0], 2 times): it is no Python; write it as a python assertion",
        "latency (at tests[0].assert[3]): speed is measured under load",
        "cost (at tests[0].assert[4])",
        "moderation (at tests[0].assert[5]): there is no such grader here",
        "the expression '{{ want | upper }}'",
        "transform of an assertion",
        "scenarios (at scenarios): write each combination as a test",
        "this python (at tests[0].assert[8]): has a source that is no Python",
        "leave it out with --skip-unsupported",
    ):
        assert part in said


def test_by_choice_it_is_left_out_and_noted(tmp_path: Path) -> None:
    found = plan(tmp_path, {"type": "javascript", "value": "1"}, {"type": "equals", "value": "x"}, skip=True)
    assert found.criteria == ["equals"]
    assert found.notes == [
        "left out: javascript (at tests[0].assert[0]): it is no Python; write it as a python assertion"
    ]
    with pytest.raises(EvalError, match="no test with an assertion is left"):
        plan(tmp_path, {"type": "javascript", "value": "1"}, skip=True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"prompts": ["file://prompt.js"]}, "prompts from code"),
        ({"prompts": ["exec:./make.sh"]}, "the prompt 'exec:./make.sh'"),
        ({"prompts": ["{% if q %}{{q}}{% endif %}"]}, "Nunjucks logic"),
        ({"prompts": ["file://gone.txt"]}, "cannot be read"),
        ({"tests": "file://tests.py"}, "values from code"),
        ({"defaultTest": {"options": {"transform": "output.trim()"}}}, "options.transform"),
        ({"tests": [{"vars": {"a": "{{b}}", "b": "x"}, "assert": [{"type": "is-json"}]}]}, "that refers to another"),
        (
            {"defaultTest": {"assert": [{"type": "assert-set", "threshold": 0.5, "assert": []}]}},
            "assert-set with a threshold",
        ),
    ],
)
def test_what_is_not_possible_around_the_assertions(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(EvalError, match=said):
        plan(tmp_path, {"type": "is-json"}, **more)


def test_a_variable_that_a_test_lacks_is_a_bad_row(tmp_path: Path) -> None:
    tests = [{"vars": {"q": "a"}, "assert": [{"type": "is-json"}]}, {"assert": [{"type": "is-json"}]}]
    found = load_plan(write_promptfoo(tmp_path, prompts="{{q}}", tests=tests))
    assert [(row.line, row.reason) for row in found.bad_rows] == [
        (2, "cannot be used: item.q has no value: 'q' is not among its names: it has none")
    ]
