"""`evals run` and `evals list`: exit codes, tables, files; and the evals that are part of an evaluation."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from vllm_quality.eval.assets import build_eval_steps
from vllm_quality.eval.evals.catalog import chosen_evals, list_evals, needs_of
from vllm_quality.eval.evals.command import EvalOptions, run_command
from vllm_quality.eval.evals.load import load_plan
from vllm_quality.eval.evals.plan import EvalError
from vllm_quality.settings import Settings, load_settings
from vllm_quality_tests.eval.evals.eval_files import sums, write_eval, write_promptfoo, write_rows
from vllm_quality_tests.servers.toy_llm import ToyModel, serve_toy


@pytest.fixture(scope="module")
def release() -> Iterator[str]:
    answers = {row["item"]["question"]: row["item"]["answer"] for row in sums(9)}
    with serve_toy(ToyModel(answers=answers, key="k-1", itl_s=0)) as base_url:
        yield base_url


def evals(*arguments: str, key: str = "k-1", **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-m", "vllm_quality", "evals", *arguments]
    names = {f"VLLM_QUALITY_{name}": value for name, value in {"API_KEY": key, **variables}.items()}
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **names})


def test_a_run_shows_a_table_and_leaves_files(release: str, tmp_path: Path) -> None:
    rows = write_rows(tmp_path, [*sums(10), "broken"])
    out = tmp_path / "out"
    done = evals("run", str(write_eval(tmp_path)), "--data", str(rows), "--base-url", release, "--output", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    line = next(line for line in done.stdout.splitlines() if line.startswith("Right_sum"))
    assert line.split() == ["Right_sum", "0.900", "±", "0.100", "90.0%", "±", "10.0%", "10"]
    assert "all of them" in done.stdout
    assert "Left out: line 11 is no JSON" in done.stdout
    assert "Slowest: " in done.stdout
    assert {path.name for path in out.iterdir()} == {
        "summary.json",
        "samples.parquet",
        "texts.parquet",
        "bad_rows.jsonl",
    }
    assert pl.read_parquet(out / "texts.parquet")["suite"].value_counts(sort=True).rows() == [
        ("sums", 10),
        ("sums@1", 2),
    ]
    assert json.loads((out / "summary.json").read_text(encoding="utf-8"))["metrics"]["eval/sums/items_count"] == 10
    assert "k-1" not in done.stdout + (out / "summary.json").read_text(encoding="utf-8")


def here(eval_file: Path, release: str | None = None, **options: Any) -> tuple[int, str]:
    """The command in this process: its exit code and what it shows."""
    shown = Console(file=io.StringIO(), width=160)
    settings = load_settings(**({"base_url": release, "api_key": "k-1"} if release else {}))
    code = run_command(EvalOptions(eval_file, **options), settings, shown)
    return code, shown.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_below_its_least_is_exit_1(release: str, tmp_path: Path) -> None:
    rows = write_rows(tmp_path, sums(10))
    code, shown = here(write_eval(tmp_path), release, data=rows, min_pass=0.95)
    assert (code, "Below its least: Right_sum reaches 0.900, and must reach 0.95." in shown) == (1, True)
    code, shown = here(write_eval(tmp_path, min_pass={"Right sum": 0.91}), release, data=rows, as_json=True)
    assert (code, json.loads(shown)["below"]) == (1, ["Right_sum reaches 0.900, and must reach 0.91"])
    assert here(write_eval(tmp_path, min_pass=0.9), release, data=rows)[0] == 0


def test_what_could_not_be_told_is_exit_2_in_one_sentence(release: str, tmp_path: Path) -> None:
    rows = str(write_rows(tmp_path, sums(10)))
    wrong = evals("run", str(write_eval(tmp_path)), "--data", rows, "--base-url", release, key="k-2")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "refused the API key" in wrong.stderr
    with pytest.raises(EvalError, match="name the release to ask with --base-url"):
        here(write_eval(tmp_path), data=Path(rows))
    rubric = {"type": "llm-rubric", "value": "good"}
    judged = write_promptfoo(tmp_path, prompts="{{q}}", tests=[{"vars": {"q": "?"}, "assert": [rubric]}])
    code, shown = here(judged, release)
    assert (code, "llm_rubric has no scores: no judge is configured." in shown) == (2, True)


def test_only_grading_needs_no_release(tmp_path: Path) -> None:
    rows = [{**row, "sample": {"output_text": row["item"]["answer"]}} for row in sums(3)]
    assert here(write_eval(tmp_path), data=write_rows(tmp_path, rows))[0] == 0


def test_the_packaged_example_is_listed_and_runs(release: str) -> None:
    done = evals("list")
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if line.startswith("short_answers"))
    assert line.split()[:3] == ["short_answers", "24", "endpoint"]
    packaged = next(entry for entry in list_evals(Settings()) if entry.name == "short_answers")
    plan = load_plan(packaged.path)
    assert (len(plan.rows), len(plan.bad_rows)) == (24, 0)
    assert {row.item["language"] for row in plan.rows} == {"en", "ko"}
    assert here(packaged.path, release)[0] == 0


def test_only_what_was_asked_for_becomes_part_of_an_evaluation(tmp_path: Path) -> None:
    folder = tmp_path / "evals"
    write_eval(folder, "mine.json", data="rows.jsonl")
    write_rows(folder, sums(2))
    write_eval(folder, "later.json", optional=True)
    given = Settings(config_dir=tmp_path)
    assert [entry.name for entry in chosen_evals(Settings())] == []
    assert [entry.name for entry in chosen_evals(given)] == ["mine"]
    assert [entry.name for entry in chosen_evals(given.model_copy(update={"evals": ("all",)}))] == [
        "later", "mine", "short_answers",
    ]  # fmt: skip
    assert needs_of(chosen_evals(given)[0]) == (2, ["endpoint"])
    with pytest.raises(
        EvalError, match="names 'his', and there is no such eval; there are: later, mine, short_answers"
    ):
        chosen_evals(given.model_copy(update={"evals": ("his",)}))


def test_an_asset_for_each(tmp_path: Path) -> None:
    write_eval(tmp_path / "evals", "mine.json")
    (built,) = build_eval_steps(Settings(config_dir=tmp_path), after=[], taken=())
    assert (built.step, built.asset.key.to_user_string()) == ("eval/mine", "eval_mine")
    with pytest.raises(EvalError, match="has the name of a suite"):
        build_eval_steps(Settings(config_dir=tmp_path), after=[], taken=("eval/mine",))


def test_the_operators_file_wins_and_two_of_a_name_are_refused(tmp_path: Path) -> None:
    write_eval(tmp_path / "evals", "short_answers.json")
    entry = next(entry for entry in list_evals(Settings(config_dir=tmp_path)) if entry.name == "short_answers")
    assert (entry.packaged, entry.optional) == (False, False)
    write_promptfoo(tmp_path / "evals", "short_answers.yaml", tests=[])
    with pytest.raises(EvalError, match="make evals of the same name"):
        list_evals(Settings(config_dir=tmp_path))
