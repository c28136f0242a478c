"""`vllm-quality dedup`: from files to a folder of results."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vllm_quality.cli import cli, explain
from vllm_quality.datasets.dedup.cli.outputs import whole_folder
from vllm_quality.datasets.dedup.ledger import PAIR_SCHEMA, undo
from vllm_quality.datasets.schema import DatasetError
from vllm_quality.errors import UserError
from vllm_quality_tests.datasets.dedup.rows import families

RESULTS = ["kept.parquet", "manifest.json", "pairs.parquet", "removed.parquet"]


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str | Path) -> Done:
    """The command in this process; an error as the console script tells it."""
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            code = cli.main(["dedup", *map(str, arguments)], standalone_mode=False)
        except UserError as error:
            code = 2
            print(f"Error: {explain(error)}", file=errors)
    return Done(code, out.getvalue(), errors.getvalue())


def test_the_console_script_knows_the_command(tmp_path: Path) -> None:
    path = write(tmp_path / "ours.jsonl", [{"id": 1, "text": "fine"}])
    command = [sys.executable, "-m", "vllm_quality", "dedup", str(path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ours" in done.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    frame = pl.DataFrame(rows)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    elif path.suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    return path


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return families(80, 21, (6, 14))


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet"])
def test_rows_with_id_and_text_become_kept_removed_pairs_and_a_manifest(
    ending: str, texts: list[str], tmp_path: Path
) -> None:
    rows = [{"id": f"q{at}", "text": text, "topic": f"t{at % 3}"} for at, text in enumerate(texts)]
    done = run(write(tmp_path / f"ours.{ending}", rows), "--out", tmp_path / "out", "--most-removed", "1")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == RESULTS
    kept, removed = (pl.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("kept", "removed"))
    pairs = pl.read_parquet(tmp_path / "out" / "pairs.parquet")
    assert dict(pairs.schema) == dict(PAIR_SCHEMA)
    assert kept.height + removed.height == len(rows)
    assert removed.height == pairs.filter(pl.col("decision").str.starts_with("drop")).height > 10
    whole = undo(kept, removed)
    assert [
        {"id": row["id"], "text": row["text"], **json.loads(row["fields"])} for row in whole.iter_rows(named=True)
    ] == rows
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["rows"] == len(rows)
    assert manifest["kept"] == kept.height
    assert manifest["sets"]["ours"]["near"] + manifest["sets"]["ours"]["exact"] == removed.height
    assert manifest["certificate"]["verdict"] == "pass"
    assert manifest["method"]["threshold"] == "0.2"
    assert "near pairs" in done.stdout
    assert str(tmp_path) not in (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")


def test_the_same_files_give_the_same_bytes(texts: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "ours.jsonl", [{"id": at, "text": text} for at, text in enumerate(texts)])
    for out in ("one", "two"):
        run(path, "--out", tmp_path / out)
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in RESULTS)


def test_the_first_file_keeps_its_rows_unless_it_is_said_otherwise(tmp_path: Path) -> None:
    text = "Describe the river that runs below the old stone bridge"
    files = [write(tmp_path / f"{name}.jsonl", [{"id": 1, "text": text + name}]) for name in ("", "a", "b")][1:]
    more = ("--most-removed", "1", "--json", "--overwrite", "--out", tmp_path / "out")

    def kept(*options: str) -> list[str]:
        done = run(*files, *options, *more)
        assert done.returncode == 0, done.stderr
        return [name for name, entry in json.loads(done.stdout)["sets"].items() if entry["kept"]]

    assert kept() == ["a"]
    assert kept("--priority", "b=1") == ["b"]
    assert kept("--policy", "a:b=drop-a") == ["b"]
    assert kept("--policy", "b:a=drop-a") == ["a"]
    assert kept("--policy", "flag") == ["a", "b"]
    assert kept("--policy", "flag", "--policy", "a:b=drop-a") == ["b"]
    assert kept("--role", "a=benchmark") == ["a", "b"]
    assert kept("--threshold", "0.01") == ["a", "b"]


def test_other_formats_are_told_from_their_rows(tmp_path: Path) -> None:
    chat = [{"messages": [{"role": "user", "content": f"Who was {name}?"}]} for name in ("Ada", "Bob", "Ada")]
    alpaca = [{"instruction": "Who was Ada?", "output": "A mathematician."}]
    files = [write(tmp_path / "chat.jsonl", chat), write(tmp_path / "alpaca.json", alpaca)]
    done = run(*files, "--out", tmp_path / "out", "--json")
    assert done.returncode == 1  # two rows of three are duplicates: an alarm
    sets = json.loads(done.stdout)["sets"]
    assert (sets["chat"]["format"], sets["chat"]["kept"]) == ("openai_chat", 2)
    assert (sets["alpaca"]["format"], sets["alpaca"]["kept"]) == ("alpaca", 0)


def test_arithmetic_keeps_its_items_and_is_exit_1(tmp_path: Path) -> None:
    rows = [{"id": f"{a}+{b}", "text": f"What is {a} plus {b}?"} for a in range(10, 25) for b in range(10, 25)]
    done = run(write(tmp_path / "arithmetic.jsonl", rows), "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "Alarm: Set 'arithmetic'" in done.stdout
    assert pl.read_parquet(tmp_path / "out" / "kept.parquet").height == len(rows)


def test_bad_rows_are_told_by_line_and_reason_and_never_by_content(tmp_path: Path) -> None:
    path = tmp_path / "ours.jsonl"
    path.write_text('{"id": 1, "text": "fine"}\n{"id": 2, "text": "sec', encoding="utf-8")
    with path.open("a", encoding="utf-8") as stream:
        stream.write('ret"\n{"id": 3}\n')
    done = run(path, "--out", tmp_path / "out")
    assert done.returncode == 0
    assert "2 rows were left out, such as ours.jsonl row 2" in done.stdout
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert [row["line"] for row in manifest["sets"]["ours"]["quarantined"]] == [2, 3]
    assert "secret" not in done.stdout + json.dumps(manifest)


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ('{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}', (), "rows 1 and 2 have the same id"),
        ("not json", (), "ours.jsonl"),
        ("", (), "ours.jsonl"),
        ('{"id": 1, "text": "a"}', ("--threshold", "2"), "is not between 0 and 1"),
        ('{"id": 1, "text": "a"}', ("--policy", "ours:theirs=flag"), "does not name two sets; there are ours"),
        ('{"id": 1, "text": "a"}', ("--policy", "keep"), "is no policy for all sets"),
        ('{"id": 1, "text": "a"}', ("--priority", "ours=high"), "is no whole number"),
        ('{"id": 1, "text": "a"}', ("--priority", "theirs=1"), "--priority names 'theirs'; there are ours"),
        ('{"id": 1, "text": "a"}', ("--role", "ours=king"), "write one of benchmark"),
        ('{"id": 1, "text": "a"}', ("--within", "keep"), "write drop or flag"),
        ('{"id": 1, "text": "a"}', ("--format", "xml"), "'xml' is no format"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_exit_2_and_leaves_nothing(
    content: str, options: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "ours.jsonl"
    path.write_text(content, encoding="utf-8")
    done = run(path, "--out", tmp_path / "out", *options)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["ours.jsonl"]


def test_a_circle_of_policies_and_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.jsonl", [{"id": 1, "text": name}]) for name in "abc"]
    rules = ("--policy", "a:b=drop-a", "--policy", "b:c=drop-a", "--policy", "c:a=drop-a")
    done = run(*files, "--out", tmp_path / "out", *rules)
    assert done.returncode == 2
    assert "The policy goes in a circle" in done.stderr
    (tmp_path / "more").mkdir()
    twin = write(tmp_path / "more" / "a.csv", [{"id": 1, "text": "a"}])
    assert "Two files are named 'a'" in run(files[0], twin, "--out", tmp_path / "out").stderr


def test_a_folder_that_is_there_is_replaced_only_on_demand_and_as_a_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "ours.jsonl", [{"id": 1, "text": "fine"}])
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    done = run(path, "--out", out)
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert (out / "notes.txt").exists()
    assert run(path, "--out", out, "--overwrite").returncode == 0
    assert sorted(file.name for file in out.iterdir()) == RESULTS
    with suppress(RuntimeError), whole_folder(out, overwrite=True) as folder:
        (folder / "half").write_text("written", encoding="utf-8")
        raise RuntimeError
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ours.jsonl", "out"]
    assert sorted(file.name for file in out.iterdir()) == RESULTS
    with pytest.raises(DatasetError, match="is no folder"), whole_folder(path, overwrite=True):
        pass


def test_anonymise_replaces_personal_data_before_anything_is_compared_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = ("010-1234-5678", "010-9876-5432")
    rows = [
        {"id": at, "text": f"{number}로 전화해 주세요", "note": f"mail kim{at}@example.co.kr"}
        for at, number in enumerate(numbers)
    ]
    path = write(tmp_path / "ours.jsonl", rows)
    key = "a key of the tests, long enough for this purpose"
    monkeypatch.setenv("VLLM_QUALITY_PII_KEY", key)
    done = run(path, "--out", tmp_path / "out", "--anonymise", "--most-removed", "1")
    assert done.returncode == 0, done.stderr
    assert pl.read_parquet(tmp_path / "out" / "kept.parquet").height == 1
    written = [pl.read_parquet(tmp_path / "out" / name) for name in RESULTS if name.endswith(".parquet")]
    everything = done.stdout + done.stderr + "".join(str(frame.to_dicts()) for frame in written)
    assert not any(secret in everything for secret in (*numbers, "kim0", "kim1", key))
    assert "<PHONE_" in everything
