"""`vllm-quality datasets` from its arguments to what a person reads."""

from pathlib import Path
from typing import get_args

import click
import pytest
from click.testing import CliRunner, Result

from vllm_quality.cli import cli, explain
from vllm_quality.datasets.commands import add_command
from vllm_quality.datasets.registry import find_sets
from vllm_quality.datasets.schema import Role
from vllm_quality.datasets.snapshot import list_snapshots
from vllm_quality.results.objects import open_objects
from vllm_quality.settings import load_settings
from vllm_quality_tests.datasets.sets import lines

PHONE = "010-2345-6789"
ROWS = [
    {"question": f"{name}의 번호는 {PHONE}인가요, 맞나요?", "answer": "네"} for name in ("택배", "은행", "병원", "학교")
]


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_QUALITY_DATASETS_DIR", str(tmp_path / "sets"))
    (tmp_path / "sets").mkdir()
    (tmp_path / "rows.jsonl").write_text(lines(ROWS) + f"{PHONE}\n", encoding="utf-8")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["datasets", *map(str, arguments)], standalone_mode=False)


def told(result: Result) -> str:
    """The sentence of a failure."""
    assert result.exception is not None
    return explain(result.exception) or str(result.exception)


def test_files_are_added_listed_and_shown(tmp_path: Path) -> None:
    done = run("add", "mine", tmp_path / "rows.jsonl", "--licence", "internal")
    assert done.exception is None, done.exception
    assert "mine: 4 of 5 rows can be used; prompt_response, ko, golden" in done.output
    assert "such as rows.jsonl row 5" in done.output
    [mine] = [found for found in find_sets(load_settings()) if found.name == "mine"]
    assert mine.description.licence == "internal"

    listed = run("list").output
    assert "basics_en" in listed
    assert any(
        line.split()[:5] == ["mine", "golden", "ko", "prompt_response", "internal"] for line in listed.splitlines()
    )

    shown = run("show", "mine").output
    assert "5 rows, 1 of them cannot be used" in shown
    assert "<PHONE>인가요" in shown
    assert PHONE not in listed + shown + done.output


def test_a_set_that_cannot_be_added_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("no JSON\n", encoding="utf-8")
    refused = run(
        "add", "mine", tmp_path / "bad.jsonl", "--licence", "internal", "--format", "jsonl", "--language", "en"
    )
    assert "None of the 1 rows can be used" in told(refused)
    assert list((tmp_path / "sets").iterdir()) == []
    assert run("add", "mine", tmp_path / "rows.jsonl", "--licence", "internal").exception is None
    assert "exists; choose another name" in told(run("add", "mine", tmp_path / "rows.jsonl", "--licence", "internal"))
    assert "cannot name a data set" in told(run("add", "a/b", tmp_path / "rows.jsonl", "--licence", "internal"))
    assert "it can be jsonl" in str(
        run("add", "x", tmp_path / "rows.jsonl", "--licence", "x", "--format", "xml").exception
    )


def test_an_import_is_anonymised_and_summarised(tmp_path: Path) -> None:
    options = ("--licence", "internal", "--columns", "input=question,reference=answer")
    done = run("import", "shared", tmp_path / "rows.jsonl", *options)
    assert done.exception is None, done.exception
    assert "shared: 4 of 5 rows stored; 1 cannot be used" in done.output
    assert "personal data replaced: 4 PHONE" in done.output
    assert "sets/shared/000001" in done.output
    again = run("import", "shared", tmp_path / "rows.jsonl", *options)
    assert "has all of this already; nothing was written" in again.output
    stored = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert stored
    assert not any(PHONE.encode() in path.read_bytes() for path in stored)
    assert any(
        line.split()[:2] == ["shared", "golden"] and line.split()[-1] == "4" for line in run("list").output.splitlines()
    )
    assert "imported " in run("show", "shared").output


def test_an_import_takes_one_kind_of_source() -> None:
    for arguments in ((), ("rows.jsonl", "--lm-eval", "arc"), ("--from-queries", "2026-11-01", "--lm-eval", "arc")):
        result = run("import", "shared", *arguments)
        assert isinstance(result.exception, click.UsageError)
    assert "There is no day 2026-11-01" in told(run("import", "shared", "--from-queries", "2026-11-01"))
    assert "Give --licence" in str(run("import", "shared", "--lm-eval", "arc").exception)


def test_a_snapshot_is_frozen_listed_and_shown(tmp_path: Path) -> None:
    run("add", "mine", tmp_path / "rows.jsonl", "--licence", "internal")
    done = run("freeze")
    assert (done.exception, done.return_value) == (None, 0)
    [found] = list_snapshots(open_objects(load_settings()))
    for output in (done.output, run("show", found).output, run("show", found[:8]).output):
        assert f"snapshot {found}" in output
        assert "search for near duplicates: pass" in output
        assert PHONE not in output
    assert "nothing was written" in run("freeze").output
    assert found[:16] in run("list", "--snapshots").output
    assert "There is no data set 'nothing'" in told(run("show", "nothing"))


def test_the_roles_of_the_options_are_those_of_the_schema() -> None:
    [role] = [one for one in add_command.params if one.name == "role"]
    assert isinstance(role.type, click.Choice)
    assert tuple(role.type.choices) == get_args(Role)
