"""What was saved from OpenAI's Evals API becomes evals that run here, and what cannot be carried over is told."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from vllm_quality.cli import cli
from vllm_quality.eval.evals.import_command import import_command
from vllm_quality.eval.evals.load import load_plan
from vllm_quality.eval.evals.openai_agreement import Agreement
from vllm_quality.eval.evals.openai_import import Imported, import_evals
from vllm_quality.eval.evals.plan import EvalError
from vllm_quality_tests.eval.evals.eval_files import CRITERIA, add_up, sums, write_rows
from vllm_quality_tests.eval.evals.openai_saved import TEMPLATE, eval_object, output_item, page, run_object
from vllm_quality_tests.eval.evals.test_run import run
from vllm_quality_tests.eval.graders.test_schema import SCORE
from vllm_quality_tests.servers.openai_api import OpenAIServer

INLINE = {"type": "file_content", "content": sums(4)}
FILE = {"type": "file_id", "id": "file-Abc123"}
HELD = {"type": "stored_completions", "metadata": {"usecase": "sums"}, "limit": 100}


def save(folder: Path, **files: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return folder


def carry(folder: Path, **files: Any) -> tuple[list[Imported], list[str]]:
    return import_evals([save(folder / "saved", **files)], folder / "evals")


def stored(entry: Imported) -> Mapping[str, Any]:
    assert entry.path is not None
    found: Mapping[str, Any] = json.loads(entry.path.read_text(encoding="utf-8"))
    return found


def test_an_eval_with_its_run_asks_what_it_asked_and_grades_as_it_did(tmp_path: Path, server: OpenAIServer) -> None:
    sampling = {"temperature": 0.5, "seed": 42, "top_p": 0.9, "max_completion_tokens": 77}
    found = run_object(INLINE, sampling_params=sampling)
    [entry], of_all = carry(tmp_path, evals=page([eval_object()]), runs=page([found]))
    assert entry.path is not None
    assert (entry.path.name, entry.rows, entry.criteria) == ("Sums.json", 4, ["Right_sum", "similar"])
    assert (entry.notes, of_all) == (["the release is asked in place of gpt-4o-mini"], [])
    server.answer = add_up
    result = run(entry.path, None, server)
    assert result.metrics["eval/Sums/Right_sum_score"] == 1.0
    # Items are asked side by side and arrive in any order; the first request is a probe.
    body = min(server.sent_to("/v1/chat/completions")[1:], key=lambda sent: str(sent["messages"][-1]["content"]))
    assert body["messages"] == [
        {"role": "system", "content": "Answer with a number."},
        {"role": "user", "content": "What is 0 plus 0?"},
    ]
    assert (body["temperature"], body["seed"], body["top_p"], body["max_tokens"]) == (0.5, 42, 0.9, 77)


def test_a_data_file_is_found_by_its_id(tmp_path: Path) -> None:
    files = {"evals": page([eval_object()]), "runs": page([run_object(FILE)])}
    [entry], _ = carry(tmp_path / "without", **files)
    assert (entry.path, entry.notes) == (
        None, ["its rows are OpenAI's file file-Abc123; save its content as file-Abc123.jsonl"],
    )  # fmt: skip
    write_rows(tmp_path / "with" / "saved", [*sums(4), "{broken"], "2026-11-01 file-Abc123.jsonl")
    [entry], _ = carry(tmp_path / "with", **files)
    assert entry.rows == 4
    assert 'line 5 of its rows has no object "item"' in entry.notes


def test_rows_that_openai_holds_come_from_the_output_items(tmp_path: Path, server: OpenAIServer) -> None:
    """What was sent is asked again, since nobody but OpenAI can fill the template."""
    config = {"type": "stored_completions", "schema": {}, "metadata": {"usecase": "sums"}}
    items = [output_item(number) for number in range(4)]
    pages = {"items_1": page(items[:2], has_more=True), "items_2": page(items[2:])}
    [entry], _ = carry(tmp_path, evals=page([eval_object(config=config)]), runs=page([run_object(HELD)]), **pages)
    assert entry.rows == 4
    assert entry.notes == [
        "the messages are those that OpenAI's run sent, kept in item.sampled_input",
        "the release is asked in place of the model of the run",
        "it is asked at temperature 0, as the run gives none",
    ]
    assert entry.path is not None
    server.answer = add_up
    assert run(entry.path, None, server).metrics["eval/Sums/Right_sum_score"] == 1.0
    assert server.sent_to("/v1/chat/completions")[1]["messages"][0]["content"] == "Answer with a number."
    [bare], _ = carry(tmp_path / "bare", evals=page([eval_object(config=config)]), runs=page([run_object(HELD)]))
    assert "OpenAI holds its rows (stored_completions); save the run's output items" in bare.notes[0]


def test_output_items_alone_are_enough_even_for_a_strict_schema(tmp_path: Path) -> None:
    strict = {"type": "custom", "item_schema": {"type": "object", "additionalProperties": False, "properties": {"question": {}, "answer": {}}}}  # fmt: skip
    wrapped = {"item": {"question": "?", "answer": "8"}, "sample": {}}
    items = [output_item(0), output_item(1), output_item(4, item=wrapped)]
    config = {"type": "custom", "schema": {"properties": {"item": strict["item_schema"]}}}
    [entry], _ = carry(tmp_path, one=eval_object(config=config), items=items)
    assert entry.rows == 3
    assert load_plan(entry.path or Path()).rows[2].item["answer"] == "8"


def test_the_newest_run_with_rows_is_taken(tmp_path: Path) -> None:
    old = run_object({"type": "file_content", "content": sums(2)}, run_id="evalrun_old", created_at=1)
    newest = run_object(FILE, run_id="evalrun_new", created_at=3)
    middle = run_object({"type": "file_content", "content": sums(3)}, run_id="evalrun_middle", created_at=2)
    [entry], _ = carry(tmp_path, evals=page([eval_object()]), runs=page([newest, middle, old]))
    assert entry.rows == 3


def test_rows_with_answers_are_graded_as_they_are(tmp_path: Path) -> None:
    rows = [{**row, "sample": {"output_text": row["item"]["answer"]}} for row in sums(3)]
    source = {"type": "file_content", "content": rows}
    [entry], _ = carry(tmp_path, evals=page([eval_object()]), runs=page([run_object(source, kind="jsonl")]))
    assert entry.notes == ["its rows have their answers, which are graded as they are"]
    assert entry.path is not None
    assert load_plan(entry.path).needs == []


def test_our_graders_are_held_against_openais_results(tmp_path: Path) -> None:
    items = [output_item(0), output_item(1, said="three"), output_item(2), output_item(3, passed=False)]
    files = {"evals": page([eval_object()]), "runs": page([run_object(INLINE)]), "items": page(items)}
    [entry], _ = carry(tmp_path, **files)
    # Of the last answer OpenAI said that it fails, which ours does not find.
    assert entry.agreement == {"Right sum": Agreement(3, 4), "similar": Agreement(3, 4)}
    shown = Console(file=io.StringIO(), width=200)
    assert import_command([tmp_path / "saved"], tmp_path / "again", shown) == 0
    told = shown.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "Right sum 3 of 4; similar 3 of 4" in told
    assert f"1 of 1 evals are in {tmp_path / 'again'}." in told


def test_what_cannot_be_carried_over_is_told(tmp_path: Path) -> None:
    image = {"role": "user", "content": {"type": "input_image", "image_url": "{{item.picture}}"}}
    criteria = [
        *CRITERIA,
        {**SCORE, "name": "looks", "input": [image]},
        {**CRITERIA[0], "name": "calls", "input": "{{sample.output_tools[0].function.name}}"},
        SCORE,
    ]
    tool = {"type": "function", "function": {"name": "add", "parameters": {}}}
    sampling = {"tools": [tool], "reasoning_effort": "low", "temperature": 0}
    found = run_object(INLINE, sampling_params=sampling)
    [entry], _ = carry(tmp_path, evals=page([eval_object(criteria=criteria)]), runs=page([found]))
    assert entry.notes == [
        "criterion 'looks' is left out: has input_image, and only texts are sent here",
        "criterion 'calls' is left out: sample.output_tools[0].function.name is not among what answers have here",
        "the configured judge grades in place of o4-mini-2025-04-16, at temperature 0",
        "its tools are left out: the release is asked for a text",
        "reasoning_effort 'low' is not sent",
        "the release is asked in place of gpt-4o-mini",
    ]
    assert entry.criteria == ["Right_sum", "similar", "my_score_model"]
    assert "tools" not in stored(entry)["data_source"]["sampling_params"]


def test_an_eval_of_which_nothing_is_left_has_no_file(tmp_path: Path) -> None:
    calls = {**CRITERIA[0], "input": "{{sample.output_tools}}"}
    listed = [
        eval_object("none of its criteria", "eval_1", criteria=[calls]),
        eval_object("no run", "eval_2"),
        eval_object("pictures", "eval_3"),
        eval_object("Sums", "eval_4"),
    ]
    picture = {"type": "template", "template": [{"role": "user", "content": {"type": "input_image", "image_url": "x"}}]}
    runs = [
        run_object(INLINE, run_id="r1", eval_id="eval_1"),
        run_object(INLINE, run_id="r3", eval_id="eval_3", input_messages=picture),
        run_object(INLINE, run_id="r4", eval_id="eval_4"),
    ]
    found, _ = carry(tmp_path, evals=page(listed), runs=page(runs))
    assert [entry.path is None for entry in found] == [True, True, True, False]
    assert "is left out: sample.output_tools is not among" in found[0].notes[-1]
    assert found[1].notes == ["no run of it was saved, and so no rows (GET /v1/evals/{id}/runs)"]
    assert "not of texts alone" in found[2].notes[0]
    assert sorted(path.name for path in (tmp_path / "evals").iterdir()) == ["Sums.json", "Sums.jsonl"]
    assert import_command([tmp_path / "saved"], tmp_path / "again", Console(file=io.StringIO())) == 2


def test_pages_that_are_missing_are_told(tmp_path: Path) -> None:
    evals, runs = page([eval_object()], has_more=True), page([run_object(HELD, total=9)])
    [entry], of_all = carry(tmp_path, evals=evals, runs=runs, items=page([output_item(0)], has_more=True))
    assert "only 1 of the run's 9 output items were saved" in entry.notes
    assert of_all == ["the last page of the evals was not saved (has_more is true on all that were)"]


def test_two_evals_of_a_name_and_strange_names_become_files_of_their_own(tmp_path: Path) -> None:
    listed = [eval_object("합계 1/2", "eval_a"), eval_object("합계 1/2", "eval_b"), eval_object("deepeval", "eval_c")]
    runs = [run_object(INLINE, run_id=f"r{n}", eval_id=f"eval_{n}") for n in "abc"]
    found, _ = carry(tmp_path, evals=page(listed), runs=page(runs))
    names = [entry.path.name for entry in found if entry.path]
    assert len(set(names)) == 3
    assert "deepeval.json" not in names
    assert [entry.title for entry in found] == ["합계 1/2", "합계 1/2", "deepeval"]


def test_what_openais_library_prints_is_read_as_well(tmp_path: Path) -> None:
    """`model_dump_json` has the names of Python's attributes where the API's are taken (`schema_`)."""
    from openai.types import EvalListResponse
    from openai.types.evals import RunListResponse

    printed = EvalListResponse.model_validate(eval_object()).model_dump_json()
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "evals.jsonl").write_text(f"{printed}\n", encoding="utf-8")
    run_printed = json.loads(RunListResponse.model_validate(run_object(INLINE)).model_dump_json())
    [entry], _ = carry(tmp_path, runs=[run_printed])
    assert "schema_" in stored(entry)["data_source_config"]
    assert load_plan(entry.path or Path()).bad_rows == []


def test_nothing_is_overwritten_and_nothing_else_is_taken(tmp_path: Path) -> None:
    files = {"evals": page([eval_object()]), "runs": page([run_object(INLINE)]), "usage": {"object": "usage"}}
    _, of_all = carry(tmp_path, **files)
    assert of_all == ["nothing of OpenAI's Evals is in usage.json"]
    with pytest.raises(EvalError, match=r"Sums.json is there already; move it away, or choose another --out"):
        carry(tmp_path, **files)
    with pytest.raises(EvalError, match="There is no eval in"):
        import_evals([save(tmp_path / "empty", runs=page([run_object(INLINE)]))], tmp_path / "other")
    with pytest.raises(EvalError, match="is not there; give files or folders"):
        import_evals([tmp_path / "nowhere"], tmp_path / "other")
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(EvalError, match="is not JSON"):
        import_evals([broken], tmp_path / "other")


def test_the_command_line_says_what_became_of_each(tmp_path: Path) -> None:
    saved = save(tmp_path / "saved", evals=page([eval_object()]), runs=page([run_object(INLINE)]))
    done = CliRunner().invoke(
        cli, ["evals", "import", str(saved), "--out", str(tmp_path / "out")], standalone_mode=False
    )
    assert (done.return_value, "1 of 1 evals are in" in done.output) == (0, True)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.sampled_from(["", "eval_67abd54d", "{{item.x}}"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["item", "type", "source", "content", "input", "template"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def spoilt(whole: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The object with one of its fields, or of its fields' fields, something else, or gone."""
    inner = [(name, within) for name, value in whole.items() if isinstance(value, dict) for within in value]
    deep = st.sampled_from(inner).flatmap(
        lambda place: JUNK.map(lambda junk: {**whole, place[0]: {**whole[place[0]], place[1]: junk}})
    )
    flat = st.sampled_from(sorted(whole)).flatmap(lambda name: JUNK.map(lambda junk: {**whole, name: junk}))
    gone = st.sampled_from(sorted(whole)).map(lambda name: {key: value for key, value in whole.items() if key != name})
    return st.just(dict(whole)) | flat | deep | gone


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)
@given(spoilt(eval_object()), spoilt(run_object(HELD)) | spoilt(run_object(INLINE)), spoilt(output_item(1)), JUNK)
def test_whatever_was_saved_the_answer_is_files_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, an_eval: Any, a_run: Any, an_item: Any, junk: Any
) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        found, notes = carry(folder, evals=[an_eval, junk], runs=[a_run], items=[an_item])
    except EvalError as error:
        found, notes = [], [str(error)]
    assert not any("\n" in note for note in [*notes, *(note for entry in found for note in entry.notes)])
    for entry in found:
        assert entry.path is None or load_plan(entry.path).rows


def test_templates_of_messages_stay_as_they_are(tmp_path: Path) -> None:
    [entry], _ = carry(tmp_path, evals=page([eval_object()]), runs=page([run_object(INLINE)]))
    assert stored(entry)["data_source"] == {"type": "completions", "input_messages": TEMPLATE}
