"""Two releases of a results store, from the command line: items, requests, throughputs, and what cannot be compared."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from vllm_quality.cli import cli
from vllm_quality.results.database import ResultStore
from vllm_quality.results.publish import AGAIN
from vllm_quality_tests.results.samples import result_rows, run_row, samples_frame
from vllm_quality_tests.verdict.compare.releases import HASHES, ITEMS, RIGHT, Told, items_of, keep, requests_of

ROW = {
    *("name", "n", "baseline", "current", "effect", "ci_low", "ci_high"),
    *("p_value", "p_adjusted", "mde", "verdict", "reason", "method"),
}
TTFT, RATE = "load/baseline/0/ttft_p50_s", "load/baseline/capacity/rate_per_s"
LOST = tuple(0.0 if at % 10 == 0 and at < 400 else score for at, score in enumerate(RIGHT))  # 40 of them
CODES = {"pass": 0, "better": 0, "worse": 1}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One store for all tests, which work on tags of their own; a second handle keeps its engine up."""
    import chdb

    folder = tmp_path_factory.mktemp("chdb") / "results"
    ResultStore(f"chdb://{folder}").run("creates the tables")
    handle = chdb.connect(str(folder))
    yield f"chdb://{folder}"
    handle.close()


@pytest.fixture
def store(url: str, monkeypatch: pytest.MonkeyPatch) -> ResultStore:
    monkeypatch.setenv("VLLM_QUALITY_RESULTS_URL", url)
    return ResultStore(url)


@pytest.fixture(scope="module")
def plain(url: str) -> str:
    """The tag of a release that most tests hold another against."""
    return keep(ResultStore(url), new())


def new() -> str:
    return uuid.uuid4().hex


def run(before: str, after: str, *options: str) -> Result:
    return CliRunner().invoke(cli, ["compare", before, after, *options], standalone_mode=False)


def compared(before: str, after: str, *options: str) -> Any:
    result = run(before, after, "--json", *options)
    assert result.exception is None, result.output
    found = json.loads(result.output)
    assert result.return_value == CODES.get(found["verdict"], 2)
    return found


def rows(found: Any) -> dict[str, Any]:
    return {row["name"]: row for row in found["metrics"]}


def test_a_slower_release_is_worse_by_its_requests(store: ResultStore, plain: str) -> None:
    found = compared(plain, keep(store, new(), Told(slower=2.0, seed=2)))
    assert found["verdict"] == "worse"
    assert all(set(row) == ROW for row in found["metrics"])
    row = rows(found)[TTFT]
    assert row["verdict"] == "worse"
    assert row["effect"] == pytest.approx(1.0, abs=0.1)  # relative
    assert row["effect"] == pytest.approx(row["current"] / row["baseline"] - 1)
    assert 0 < row["ci_low"] < row["effect"] < row["ci_high"]
    assert row["n"] == 400
    assert "same tape" in row["method"]
    assert rows(found)[RATE]["effect"] == pytest.approx(-0.5)
    assert rows(found)[RATE]["verdict"] == "worse"
    assert rows(found)["eval/piqa/acc"]["verdict"] == "pass"


def test_what_matters_of_load_decides_whether_two_runs_can_tell(store: ResultStore, plain: str) -> None:
    before, after = plain, keep(store, new(), Told(seed=2))
    found = compared(before, after)
    assert found["verdict"] == "underpowered"
    assert {name for name, row in rows(found).items() if row["verdict"] == "underpowered"} >= {TTFT, RATE}
    assert "more runs, or steadier ones" in rows(found)[TTFT]["reason"]
    assert compared(before, after, "--matters-load", "0.6")["verdict"] == "pass"


def test_a_loss_of_scores_names_items_and_moves_nothing_else(store: ResultStore, plain: str) -> None:
    found = compared(plain, keep(store, new(), Told(LOST)))
    row = rows(found)["eval/piqa/acc"]
    assert (row["verdict"], row["n"]) == ("worse", ITEMS)
    assert row["effect"] == pytest.approx(-40 / ITEMS)
    assert len(found["flipped"]) == 20
    assert found["flipped"][0] == {
        "metric": "eval/piqa/acc", "item": "item 0", "baseline": 1, "current": 0, "loss": 1
    }  # fmt: skip
    assert found["moved"] == []


def test_alpha_and_what_matters_of_scores_are_asked_for(store: ResultStore, plain: str) -> None:
    few = tuple(0.0 if at % 10 == 0 and at < 80 else score for at, score in enumerate(RIGHT))  # 8 of them
    before, after = plain, keep(store, new(), Told(few))
    assert rows(compared(before, after))["eval/piqa/acc"]["verdict"] != "worse"
    assert rows(compared(before, after, "--alpha", "0.1"))["eval/piqa/acc"]["verdict"] == "worse"
    accepted = compared(before, after, "--alpha", "0.1", "--budget", "0.015")
    assert rows(accepted)["eval/piqa/acc"]["verdict"] == "pass"
    assert rows(compared(before, before, "--matters", "0.001"))["eval/piqa/acc"]["verdict"] == "underpowered"
    assert "--budget 0.02 is not below --matters 0.02" in str(run(before, after, "--budget", "0.02").exception)


def test_answers_of_another_length_are_told(store: ResultStore, plain: str) -> None:
    found = compared(plain, keep(store, new(), Told(chars=140.0)))
    [moved] = found["moved"]
    assert moved["metric"] == "eval/piqa/answer_chars"
    assert moved["current"] - moved["baseline"] == pytest.approx(40)
    assert found["verdict"] != "worse"


@pytest.mark.parametrize("belongs_to", ["candidate", "baseline"])
def test_slices_of_either_release_are_tested(store: ResultStore, belongs_to: str) -> None:
    korean = {at: {"slices": [f"language={'ko' if at % 10 == 0 else 'en'}"]} for at in range(ITEMS)}
    theirs = {side: korean if side == belongs_to else {} for side in ("baseline", "candidate")}
    before = keep(store, new(), Told(belong=theirs["baseline"]))
    found = compared(before, keep(store, new(), Told(LOST, belong=theirs["candidate"])))
    assert found["slices"][0]["name"] == "eval/piqa/acc[language=ko]"
    assert found["slices"][0]["verdict"] == "worse"
    assert {row["name"] for row in found["slices"]} == {f"eval/piqa/acc[language={each}]" for each in ("ko", "en")}
    assert rows(found)["eval/piqa/acc"]["p_adjusted"] > rows(found)["eval/piqa/acc"]["p_value"]  # half of alpha


def test_clusters_that_only_the_baseline_has_make_it_less_sure(store: ResultStore, plain: str) -> None:
    passages = {at: {"cluster": f"passage {at // 100}"} for at in range(ITEMS)}
    after = keep(store, new(), Told(LOST))
    alone = rows(compared(plain, after))["eval/piqa/acc"]
    together = rows(compared(keep(store, new(), Told(belong=passages)), after))["eval/piqa/acc"]
    assert together["p_value"] > alone["p_value"]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (Told(tape="b", row={"step_hashes": {**HASHES, "load/baseline": "other"}}), "the tape differs"),
        (Told(row={"step_hashes": {**HASHES, "load/baseline": "other"}}), "the tape or the scenario's settings differ"),
        (
            Told(row={"step_hashes": {**HASHES, "load/baseline": "other"}, "hardware": "8 cores"}),
            "the hardware differs (2 cores before, 8 cores now)",
        ),
        (Told(row={"step_hashes": {"eval/piqa": "items"}}), "load/baseline cannot be trusted"),
    ],
)
def test_load_under_other_conditions_is_not_comparable(store: ResultStore, plain: str, told: Told, reason: str) -> None:
    found = compared(plain, keep(store, new(), told))
    assert found["verdict"] == "not_comparable"
    for name in (TTFT, RATE):
        assert rows(found)[name]["verdict"] == "not_comparable"
        assert reason in rows(found)[name]["reason"]
        assert rows(found)[name]["effect"] is None
    assert rows(found)["eval/piqa/acc"]["verdict"] == "pass"


def test_a_baseline_that_could_not_be_trusted_is_named(store: ResultStore) -> None:
    run_id = new()
    before = keep(store, run_id, Told(row={"step_hashes": {"load/baseline": "tape"}}))
    row = rows(compared(before, keep(store, new())))["eval/piqa/acc"]
    assert row["verdict"] == "not_comparable"
    assert f"run {run_id} had a problem in it" in row["reason"]


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (RIGHT[:1400], "its items differ (1,500 before, 1,400 now, 1,400 in both)"),
        (RIGHT, "its settings, scoring or versions"),
    ],
)
def test_a_suite_under_other_conditions_is_not_comparable(
    store: ResultStore, plain: str, scores: tuple[float, ...], reason: str
) -> None:
    told = Told(scores, row={"step_hashes": {**HASHES, "eval/piqa": "other"}})
    assert reason in rows(compared(plain, keep(store, new(), told)))["eval/piqa/acc"]["reason"]


def test_too_few_common_items_are_not_comparable(store: ResultStore, plain: str) -> None:
    row = rows(compared(plain, keep(store, new(), Told(RIGHT[:1400]))))["eval/piqa/acc"]
    assert row["verdict"] == "not_comparable"
    assert "only 1,400 items have a score in both, of 1,500 and 1,400" in row["reason"]


def test_what_only_one_of_them_has_is_not_comparable(store: ResultStore) -> None:
    one, other = "load/sweep/plateau/requests_per_s", "load/baseline/1/ttft_p50_s"
    before, after = keep(store, new(), Told(also={one: 3.0})), keep(store, new(), Told(also={other: 3.0}))
    found = rows(compared(before, after))
    assert found[one]["reason"] == "only the baseline has it."
    assert found[other]["reason"] == "only the candidate has it."


def test_a_file_and_a_run_have_nothing_in_common(store: ResultStore, plain: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"item": "a", "score": 1}\n{"item": "b", "score": 0}\n')
    for sides in ((str(tmp_path / "a.jsonl"), plain), (plain, str(tmp_path / "a.jsonl"))):
        found = rows(compared(*sides))
        assert {"score", "eval/piqa/acc", TTFT} <= set(found)
        assert {found[name]["verdict"] for name in ("score", "eval/piqa/acc", TTFT)} == {"not_comparable"}
        assert "only the baseline has it." in {row["reason"] for row in found.values()}


def test_thresholds_of_the_settings_decide_what_is_judged(
    store: ResultStore, plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goodput = "load/baseline/0/goodput_ratio"
    before, after = plain, keep(store, new(), Told(slower=3.0))
    assert goodput not in rows(compared(before, after))
    own = {"performance": {"judged": [goodput]}, "floors": {"load/baseline/0/output_tokens_per_s": 20}}
    (tmp_path / "thresholds.yaml").write_text(yaml.safe_dump(own))
    monkeypatch.setenv("VLLM_QUALITY_CONFIG_DIR", str(tmp_path))
    found = rows(compared(before, after))
    assert set(found) == {goodput, "eval/piqa/acc", "load/baseline/0/output_tokens_per_s"}
    assert found[goodput]["verdict"] == "worse"
    assert "under the floor of 20" in found["load/baseline/0/output_tokens_per_s"]["reason"]
    assert found["load/baseline/0/output_tokens_per_s"]["baseline"] == 51


def test_a_second_measurement_is_left_alone(store: ResultStore) -> None:
    ids = new(), new()
    tags = [keep(store, run_id) for run_id in ids]
    expected = compared(*tags)
    for run_id, tag in zip(ids, tags, strict=True):
        again = Told(LOST, slower=5.0)
        store.write_samples(f"{run_id}{AGAIN}", tag, items_of(again))
        store.write_requests(f"{run_id}{AGAIN}", tag, requests_of(again))
        store.write_results(result_rows(f"{run_id}{AGAIN}", {TTFT: 9.0}, tag))
    assert compared(*tags) == expected
    assert compared(*ids) == expected


def test_a_judge_that_moved_makes_its_scores_incomparable(store: ResultStore) -> None:
    tags = []
    for shift in (0.0, 0.2):
        tag = keep(
            store, run_id := new(), Told(also={"eval/chat/helpful_score": 0.5}, row={"step_hashes": {"eval/chat": "x"}})
        )
        answers = [{"item_hash": str(at), "score": 0.5, "suite": "chat", "metric": "helpful_score"} for at in range(50)]
        frozen = [{"item_hash": str(at), "score": 0.1 + shift, "suite": "judge_canary_graders"} for at in range(20)]
        store.write_samples(run_id, tag, samples_frame([{**row, "judge": "gpt"} for row in answers + frozen]))
        tags.append(tag)
    row = rows(compared(*tags))["eval/chat/helpful_score"]
    assert row["verdict"] == "not_comparable"
    assert "the judge moved" in row["reason"]


def test_the_table_says_it_in_words(store: ResultStore) -> None:
    before, after = new(), new()
    keep(store, before)
    keep(store, after, Told(LOST, slower=2.0, seed=2, chars=140.0))
    result = run(before, after)
    assert result.return_value == 1
    said = " ".join(result.output.split())
    assert f"tag-{before} (run {before}) → tag-{after} (run {after})" in said
    assert "-50.0 %" in said
    assert "item 0: 1 → 0 (eval/piqa/acc)" in said
    assert "length of the answers 103 → 143" in said
    assert said.endswith("worse")


def test_what_cannot_be_compared_at_all_is_said_in_a_sentence(store: ResultStore, plain: str) -> None:
    good, unfinished, empty = plain, new(), new()
    store.write_run(run_row(unfinished, model_tag=f"tag-{unfinished}", finished_at=None))
    store.write_run(run_row(empty, model_tag=f"tag-{empty}"))
    assert "is no file, no stored run and no evaluated tag" in str(run(good, "unknown").exception)
    for name in (unfinished, f"tag-{unfinished}"):
        assert f"Run {unfinished} of tag-{unfinished} is not finished" in str(run(good, name).exception)
    for name in (empty, f"tag-{empty}"):
        assert f"Run {empty} of tag-{empty} has no figures in the results store" in str(run(name, good).exception)
