"""Two files of item scores, from the command line: verdicts, exit codes, JSON, and what is refused."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from scipy import stats  # noqa: TID253 - the independent implementation

from vllm_quality.cli import cli


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def answers(
    items: int, *, lost: int = 0, gained: int = 0, seed: int = 3
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """70 % right before; of the right ones so many lost, of the wrong ones so many gained."""
    generator = random.Random(seed)
    before = [{"item": f"문항 {number}", "score": int(number < 0.7 * items)} for number in range(items)]
    after = [dict(row) for row in before]
    for value, count in ((1, lost), (0, gained)):
        own = [at for at, row in enumerate(before) if row["score"] == value]
        for at in generator.sample(own, count):
            after[at]["score"] = 1 - value
    generator.shuffle(after)
    return before, after


def run(before: str, after: str, *options: str) -> Result:
    return CliRunner().invoke(cli, ["compare", before, after, *options], standalone_mode=False)


def compared(tmp_path: Path, before: list[dict[str, Any]], after: list[dict[str, Any]], *options: str) -> Any:
    result = run(write(tmp_path / "a.jsonl", before), write(tmp_path / "b.jsonl", after), "--json", *options)
    assert result.exception is None, result.output
    found = json.loads(result.output)
    assert result.return_value == {"pass": 0, "better": 0, "worse": 1}.get(found["verdict"], 2)
    return found


def test_a_loss_of_three_points_is_worse(tmp_path: Path) -> None:
    found = compared(tmp_path, *answers(1000, lost=40, gained=10))
    assert found["verdict"] == "worse"
    (metric,) = found["metrics"]
    assert metric["name"] == "score"
    assert metric["n"] == 1000
    assert metric["effect"] == pytest.approx(-0.03)
    assert metric["ci_low"] < -0.03 < metric["ci_high"] < 0
    assert metric["p_value"] == metric["p_adjusted"]
    assert metric["p_value"] == pytest.approx(stats.binomtest(40, 50, alternative="greater").pvalue, abs=1e-9)
    assert found["flipped"][0]["loss"] == 1


def test_equal_releases_pass_where_a_loss_would_have_shown(tmp_path: Path) -> None:
    found = compared(tmp_path, *answers(2000, lost=10, gained=10))
    assert found["verdict"] == "pass"
    assert found["metrics"][0]["mde"] <= 0.02


def test_equal_releases_of_too_few_items_are_underpowered(tmp_path: Path) -> None:
    found = compared(tmp_path, *answers(50, lost=2, gained=2))
    assert found["verdict"] == "underpowered"
    assert found["metrics"][0]["mde"] > 0.02
    assert "items instead of 50" in found["metrics"][0]["reason"]


def test_a_gain_is_better_and_a_budget_is_a_budget(tmp_path: Path) -> None:
    assert compared(tmp_path, *answers(1000, lost=5, gained=45))["verdict"] == "better"
    assert compared(tmp_path, *answers(5000, lost=60, gained=10))["verdict"] == "worse"
    within = compared(tmp_path, *answers(5000, lost=60, gained=10), "--budget", "0.015")
    assert within["verdict"] == "pass"
    assert "within the budget" in within["metrics"][0]["reason"]


def test_one_language_alone_is_seen(tmp_path: Path) -> None:
    before, after = answers(2000)
    for row in (*before, *after):
        row["slice"] = "ko" if int(row["item"].split()[1]) % 10 == 0 else "en"
    korean = [row for row in after if row["slice"] == "ko" and row["score"] == 1]
    for row in korean[:14]:
        row["score"] = 0
    for row in [row for row in after if row["slice"] == "en" and row["score"] == 0][:14]:
        row["score"] = 1  # as many won elsewhere: the mean stays what it was
    found = compared(tmp_path, before, after)
    assert found["verdict"] == "worse"
    assert found["metrics"][0]["verdict"] != "worse"
    assert [each["name"] for each in found["slices"] if each["verdict"] == "worse"] == ["score[ko]"]


def test_clusters_make_it_less_sure(tmp_path: Path) -> None:
    before, after = answers(400, lost=16)
    alone = compared(tmp_path, before, after)
    order = {row["item"]: at for at, row in enumerate(sorted(after, key=lambda row: (row["score"], row["item"])))}
    for row in (*before, *after):
        row["cluster"] = str(order[row["item"]] // 20)
    assert compared(tmp_path, before, after)["metrics"][0]["p_value"] > alone["metrics"][0]["p_value"]


def test_scores_between_zero_and_one_are_held_to_students_t(tmp_path: Path) -> None:
    generator = random.Random(1)
    before = [{"item": number, "score": generator.random()} for number in range(300)]
    after = [{"item": row["item"], "score": row["score"] + generator.gauss(-0.02, 0.1)} for row in before]
    found = compared(tmp_path, before, after)["metrics"][0]
    reference = stats.ttest_rel([row["score"] for row in after], [row["score"] for row in before], alternative="less")
    assert found["p_value"] == pytest.approx(reference.pvalue, abs=1e-9)


def test_what_matters_of_scores_that_are_no_shares_is_relative(tmp_path: Path) -> None:
    generator = random.Random(1)
    before = [{"item": number, "score": generator.uniform(20, 60)} for number in range(2000)]
    after = [{"item": row["item"], "score": row["score"] + generator.gauss(0, 3)} for row in before]
    found = compared(tmp_path, before, after)["metrics"][0]
    assert found["verdict"] == "pass"
    assert 0.02 < found["mde"] < 0.02 * 40


def test_other_items_are_not_comparable(tmp_path: Path) -> None:
    before, after = answers(100)
    found = compared(tmp_path, before, [{**row, "item": f"x{row['item']}"} for row in after[:20]] + after[20:])
    assert found["verdict"] == "not_comparable"
    assert "only 80 items have a score in both" in found["metrics"][0]["reason"]


def test_items_without_a_score_are_left_out(tmp_path: Path) -> None:
    before, after = answers(1000)
    after[0]["score"] = None
    assert compared(tmp_path, before, after)["metrics"][0]["n"] == 999


def test_the_table_says_it_in_words(tmp_path: Path) -> None:
    before, after = answers(1000, lost=40, gained=10)
    result = run(write(tmp_path / "a.jsonl", before), write(tmp_path / "b.jsonl", after))
    assert result.return_value == 1
    assert "-3 points; by chance" in " ".join(result.output.split())
    assert result.output.rstrip().endswith("worse")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"item": "a", "score": 1}\n{"item": "a", "score": 0}\n', "line 2: item 'a' is there twice"),
        ('{"item": "a"}\n', "line 1 has no 'item' and 'score'"),
        ("nonsense\n", "line 1 is not JSON"),
        ('{"item": "a", "score": NaN}\n', "'score' must be a number"),
        ('{"item": "a", "score": "1"}\n', "'score' must be a number"),
        ('{"item": ["a"], "score": 1}\n', "'item' must be a text"),
        ("", "has no item with a score"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(text, encoding="utf-8")
    result = run(str(bad), str(bad))
    assert complaint in str(result.exception)


def test_a_name_that_is_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_QUALITY_HOME", str(tmp_path / "home"))
    assert "is no file, no stored run and no evaluated tag" in str(run("release-x", "release-y").exception)
