"""Which snapshots can be used: each check passes on a sound one, and says in a sentence what is wrong with another."""

from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest

from vllm_quality.datasets.freeze import build_snapshot
from vllm_quality.datasets.judging import judge_collapse, judge_counts, judge_fresh, judge_recall, judge_schema
from vllm_quality.datasets.manifest import Manifest
from vllm_quality.datasets.snapshot import load_snapshot
from vllm_quality.results.objects import FileObjects
from vllm_quality.settings import load_settings
from vllm_quality_tests.datasets.sets import lines, write_set

Sound = tuple[pl.DataFrame, Manifest, FileObjects]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    folder = tmp_path_factory.mktemp("sound")
    rows = [
        {"input": f"{word} ist was?", "reference": "x"} for word in ("Regen", "Sonnenschein", "Ein Gewitter", "Tau")
    ]
    objects = FileObjects(folder / "objects")
    sets = [
        write_set(folder, "mine", {"rows.jsonl": lines(rows)}, pii="keep"),
        write_set(folder, "old", {"rows.jsonl": lines([{"input": "Warum?"}])}, role="regression", as_of="2026-10-01"),
    ]
    snapshot = build_snapshot(sets, objects)
    return load_snapshot(objects, snapshot.hash), snapshot.manifest, objects


def with_counts(manifest: Manifest, name: str, **changes: int) -> Manifest:
    entry = manifest.sets[name]
    changed = entry.model_copy(update={"counts": entry.counts.model_copy(update=changes)})
    return manifest.model_copy(update={"sets": {**manifest.sets, name: changed}})


def test_a_sound_snapshot_passes(sound: Sound) -> None:
    frame, manifest, _ = sound
    judged = [judge_schema(frame), judge_counts(frame, manifest), judge_collapse(manifest), judge_recall(manifest)]
    assert [one.passed for one in judged] == [True] * 4
    assert all(one.sentence.endswith(".") for one in judged)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"role": pl.lit("judge")}, "unknown role 'judge'"),
        ({"input": pl.lit("other")}, "do not end with a user's word that is their input"),
        ({"id": pl.lit("same")}, "have the id of another"),
        ({"metadata": pl.lit("[]")}, "metadata that are no object"),
        ({"dataset": pl.lit(None, pl.String())}, "have no dataset"),
        ({"source_line": pl.col("source_line").cast(pl.String())}, "not the schema of items"),
    ],
)
def test_items_of_another_form_are_named(sound: Sound, change: dict[str, Any], said: str) -> None:
    judged = judge_schema(sound[0].with_columns(**change))
    assert (judged.passed, judged.severity) == (False, "error")
    assert said in judged.sentence


def test_rows_that_nobody_accounts_for_are_an_error_and_many_bad_ones_a_warning(sound: Sound) -> None:
    frame, manifest, _ = sound
    lost = judge_counts(frame, with_counts(manifest, "mine", rows=9))
    assert (lost.passed, lost.severity) == (False, "error")
    assert lost.sentence == "Of the 9 rows of mine, the manifest accounts for 4."
    gone = judge_counts(frame.head(2), manifest)
    assert (gone.passed, gone.severity) == (False, "error")
    bad = judge_counts(frame, with_counts(manifest, "mine", rows=5, bad_rows=1))
    assert (bad.passed, bad.severity) == (False, "warning")
    assert "mine (20.0%)" in bad.sentence


def test_alarms_are_a_warning(sound: Sound) -> None:
    judged = judge_collapse(sound[1].model_copy(update={"alarms": ("mine lost 40 %.",)}))
    assert (judged.passed, judged.severity, judged.sentence) == (False, "warning", "mine lost 40 %.")


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        ({"verdict": "fail", "recall": 0.9, "high": 0.95}, "error"),
        ({"verdict": "undecided", "recall": 0.98}, "error"),
        ({"verdict": "undecided", "recall": 1.0}, "warning"),
        ({"verdict": "undecided", "recall": None}, "warning"),
    ],
)
def test_a_recall_below_what_is_required_is_an_error(sound: Sound, change: dict[str, Any], severity: str) -> None:
    certificate = sound[1].certificate
    assert certificate is not None
    changed = sound[1].model_copy(
        update={"certificate": replace(certificate, true_pairs=100 if change["recall"] else 0, **change)}
    )
    judged = judge_recall(changed)
    assert (judged.passed, judged.severity) == (False, severity)
    assert judge_recall(sound[1].model_copy(update={"certificate": None})).severity == "warning"


def test_an_old_regression_set_is_a_warning_and_without_one_there_is_nothing_to_say(sound: Sound) -> None:
    frame, manifest, objects = sound
    old = judge_fresh(frame, manifest, objects, load_settings(), date(2026, 12, 1))
    assert (old.passed, old.severity) == (False, "warning")
    assert "61 days ago" in old.sentence
    only = manifest.model_copy(update={"sets": {"mine": manifest.sets["mine"]}})
    assert judge_fresh(frame, only, objects, load_settings(), date(2026, 12, 1)).passed
