"""What a card shows beyond the verdict: answers without personal data, the speed curve against comparable releases."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vllm_quality.alerts.card import build_card
from vllm_quality.alerts.elements import encode
from vllm_quality.alerts.notice import RunNotice
from vllm_quality.alerts.reading import with_evidence
from vllm_quality.eval.result import texts_frame
from vllm_quality.results.database import ResultStore
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.objects import FileObjects
from vllm_quality.results.rows import ResultRow, RunRow
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.verdict.types import FlippedItem
from vllm_quality_tests.alerts.notices import REGRESSION, STARTED, SUCCESS, WORSE

METRIC = "eval/basics_ko/exact_match"
STAGE = "load/sweep/c8"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ResultStore]:
    import chdb

    folder = tmp_path_factory.mktemp("results")
    handle = chdb.connect(str(folder))
    yield ResultStore(f"chdb://{folder}")
    handle.close()


def measured(folder: RunFolder, answers: dict[str, str], slower: float = 1.0, tape: str = "tape") -> Measurement:
    """An evaluated suite with its texts, and a load stage."""
    rows: list[dict[str, object]] = [
        {
            "suite": "basics_ko",
            "item_hash": item,
            "prompt": json.dumps(
                [{"role": "system", "content": "s"}, {"role": "user", "content": f"{item}: 010-1234-5678 로 전화"}]
            ),
            "answer": answer,
            "expected": "네",
            "error": None,
        }
        for item, answer in answers.items()
    ]
    files = {"texts": folder.put_frame("eval/basics_ko/texts", texts_frame(rows))}
    folder.put_measurement(Measurement("eval/basics_ko", {METRIC: 0.5}, "k", files=files))
    speed = {"output_tokens_per_s": 900 / slower, "ttft_p99_s": 0.2 * slower, "tpot_p50_s": 0.01}
    return folder.put_measurement(Measurement("load/sweep", {f"{STAGE}/{k}": v for k, v in speed.items()}, tape))


def store_run(store: ResultStore, run_id: str, load: Measurement) -> None:
    row = RunRow(
        run_id=run_id,
        model_tag=f"release-{run_id}",
        image_digest="",
        snapshot_hash="",
        suite_hash="",
        engine="vllm",
        engine_version="",
        model="m",
        hardware="h",
        settings_hash="",
        step_hashes={f"eval/only-of-{run_id}": "e", load.step: load.comparable, "load/other": "o"},
        profile="standard",
        seen_at=None,
        started_at=STARTED,
        finished_at=STARTED,
        verdict="pass",
    )
    store.write_results(
        [ResultRow(run_id, row.model_tag, metric, value, STARTED) for metric, value in load.metrics.items()]
    )
    store.write_run(row)


@pytest.fixture
def world(tmp_path: Path, store: ResultStore) -> tuple[RunNotice, RunFolder]:
    """A release against three others, one of which played another tape."""
    objects = FileObjects(tmp_path / "objects")
    answers = {f"item{number}": "hana@example.com 에 물어보세요" for number in range(7)}
    for run_id, slower, tape in (("r1", 1.0, "tape"), ("r2", 1.5, "tape"), ("r3", 9.0, "other")):
        store_run(store, run_id, measured(RunFolder(objects, run_id), dict.fromkeys(answers, "네"), slower, tape))
    folder = RunFolder(objects, "run-7")
    measured(folder, answers, 2.5)
    flipped = tuple(FlippedItem(METRIC, f"item{number}", 1.0, 0.0, 1.0) for number in range(6))
    other = (FlippedItem("eval/other/em", "gone", 1.0, 0.0, 1.0), FlippedItem(METRIC, "item0", 1.0, 0.0, 1.0))
    verdict = replace(WORSE, baseline_runs=("r1", "r2", "r3"), flipped=(*other, *flipped))
    return replace(REGRESSION, verdict=verdict, flips=(), speed=()), folder


def test_answers_before_and_now_without_personal_data(world: tuple[RunNotice, RunFolder], store: ResultStore) -> None:
    notice, folder = world
    flips = with_evidence(notice, folder, store, None).flips
    assert [flip.item for flip in flips] == ["item0", "item1", "item2", "item3", "item4"], (
        "those of worse metrics first"
    )
    first = flips[0]
    assert (first.suite, first.before, first.now) == ("basics_ko", 1.0, 0.0)
    assert first.prompt == "item0: <PHONE> 로 전화"
    assert (first.expected, first.answer_before, first.answer) == ("네", "네", "<EMAIL> 에 물어보세요")
    text = encode(build_card(with_evidence(notice, folder, store, None))).decode()
    assert "1234" not in text
    assert "hana@" not in text


def test_the_worst_of_each_metric_come_before_the_second_of_any(
    world: tuple[RunNotice, RunFolder], store: ResultStore
) -> None:
    notice, folder = world
    assert notice.verdict is not None
    names = [("eval/a/em", "1"), ("eval/a/em", "2"), ("eval/a/em", "3"), ("eval/b/em", "1"), ("eval/b/em", "2")]
    flipped = tuple(FlippedItem(metric, item, 1.0, 0.0, 1.0) for metric, item in names)
    found = with_evidence(replace(notice, verdict=replace(notice.verdict, flipped=flipped)), folder, store, None)
    assert [(flip.suite, flip.item) for flip in found.flips] == [
        ("a", "1"),
        ("b", "1"),
        ("a", "2"),
        ("b", "2"),
        ("a", "3"),
    ]


def test_a_stage_too_small_for_a_p99_shows_its_median(store: ResultStore, tmp_path: Path) -> None:
    folder = RunFolder(FileObjects(tmp_path), "run-9")
    metrics = {f"{STAGE}/{name}": 1.0 for name in ("ttft_p50_s", "tpot_p90_s", "requests_per_s")}
    folder.put_measurement(Measurement("load/sweep", metrics, "another tape"))
    (stage,) = with_evidence(replace(SUCCESS, speed=()), folder, store, None).speed
    assert (stage.ttft.metric, stage.tpot.metric) == (f"{STAGE}/ttft_p50_s", f"{STAGE}/tpot_p90_s")
    assert (stage.throughput.now, stage.runs) == (None, 0)


def test_the_curve_is_held_against_comparable_releases_alone(
    world: tuple[RunNotice, RunFolder], store: ResultStore
) -> None:
    notice, folder = world
    (stage,) = with_evidence(notice, folder, store, None).speed
    assert (stage.stage, stage.runs) == (STAGE, 2)
    assert stage.ttft.now == pytest.approx(0.5)
    assert stage.ttft.before == pytest.approx(0.25)
    assert stage.ttft.change == pytest.approx(1.0)
    assert stage.throughput.change == pytest.approx(360 / 750 - 1)


def test_a_good_release_has_its_curve_and_no_answers(world: tuple[RunNotice, RunFolder], store: ResultStore) -> None:
    _, folder = world
    found = with_evidence(replace(SUCCESS, speed=()), folder, store, None)
    assert found.flips == ()
    assert found.speed[0].runs in (0, 2)


def test_texts_that_were_not_kept_leave_hash_and_score(tmp_path: Path, store: ResultStore) -> None:
    verdict = replace(WORSE, baseline_runs=(), flipped=(FlippedItem("eval/other/em", "abc", 1.0, 0.0, 1.0),))
    notice = replace(REGRESSION, verdict=verdict, flips=(), speed=())
    found = with_evidence(notice, RunFolder(FileObjects(tmp_path), "run-8"), store, None)
    (flip,) = found.flips
    assert (flip.item, flip.prompt, flip.answer) == ("abc", None, None)
    assert found.speed == ()


def test_a_store_that_is_away_takes_nothing_but_the_evidence(
    world: tuple[RunNotice, RunFolder], caplog: pytest.LogCaptureFixture
) -> None:
    notice, folder = world
    away = ResultStore("http://user:hunter2@127.0.0.1:1/db")
    assert with_evidence(notice, folder, away, None) == notice
    assert "shows no answers and no speed" in caplog.text
    assert "hunter2" not in caplog.text
