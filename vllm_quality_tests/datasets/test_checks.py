"""The snapshot's asset and its checks in Dagster: on the release's own partition, and blocking where they must be."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from vllm_quality.datasets.assets import evaluation_snapshot
from vllm_quality.datasets.checks import build_snapshot_checks
from vllm_quality.datasets.freeze import build_snapshot
from vllm_quality.datasets.pin import pin_snapshot
from vllm_quality.datasets.registry import find_sets
from vllm_quality.partitions import model_tags
from vllm_quality.results.resources import ResultsResource
from vllm_quality.run_tags import EVALUATION_TAG
from vllm_quality.settings import load_settings
from vllm_quality_tests.datasets.sets import lines, write_set

NAMES = {"schema", "counts", "collapse", "recall", "freshness"}
checks = build_snapshot_checks(evaluation_snapshot)


@dg.asset(partitions_def=model_tags, deps=[evaluation_snapshot])
def asked(context: dg.AssetExecutionContext) -> None:
    """What comes after the snapshot."""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    words = ["rain", "snow", "fog", "wind", "sun"]
    rows = [{"input": f"{word} {other}?"} for word in words for other in words]
    write_set(tmp_path / "sets", "mine", {"rows.jsonl": lines([*rows, *rows[:3]]) + "bad\n"}, pii="keep")
    monkeypatch.setenv("VLLM_QUALITY_DATASETS_DIR", str(tmp_path / "sets"))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(model_tags.name), ["release-1"])
        yield instance


def run(instance: dg.DagsterInstance, evaluation: str) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [evaluation_snapshot, asked, checks],
        partition_key="release-1",
        instance=instance,
        resources={"results": ResultsResource()},
        raise_on_error=False,
        tags={EVALUATION_TAG: evaluation},
    )


def test_a_run_shows_its_snapshot_and_every_check_on_the_partition(instance: dg.DagsterInstance) -> None:
    done = run(instance, "one")
    assert done.success
    found = {one.check_name: one for one in done.get_asset_check_evaluations()}
    assert set(found) == NAMES
    assert {one.partition for one in found.values()} == {"release-1"}
    assert found["recall"].passed
    assert found["freshness"].passed
    assert not found["collapse"].passed  # 3 of 28 rows are repeats
    assert found["collapse"].severity is dg.AssetCheckSeverity.WARN
    [shown] = [
        event.materialization
        for event in done.get_asset_materialization_events()
        if event.asset_key == evaluation_snapshot.key
    ]
    sets = shown.metadata["sets"]
    assert isinstance(sets, dg.TableMetadataValue)
    [mine] = [record.data for record in sets.records if record.data["set"] == "mine"]
    assert (mine["rows"], mine["bad_rows"], mine["repeated"]) == (29, 1, 3)
    certificate = shown.metadata["certificate"]
    assert isinstance(certificate, dg.JsonMetadataValue)
    assert isinstance(certificate.data, dict)
    assert certificate.data["verdict"] == "pass"


def test_a_search_that_missed_duplicates_stops_the_evaluation(instance: dg.DagsterInstance) -> None:
    settings, results = load_settings(), ResultsResource()
    built = build_snapshot(find_sets(settings), results.objects())
    certificate = built.manifest.certificate
    assert certificate is not None
    missed = type(certificate)(**{**vars(certificate), "verdict": "fail", "recall": 0.5, "high": 0.6, "true_pairs": 10})
    manifest = built.manifest.model_copy(update={"certificate": missed})
    pin_snapshot(results.run_folder("two"), type(built)(built.hash, manifest))
    done = run(instance, "two")
    assert not done.success
    assert {event.asset_key for event in done.get_asset_materialization_events()} == {evaluation_snapshot.key}


def test_a_check_alone_tells_of_nothing_rather_than_of_another_release(instance: dg.DagsterInstance) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = dg.materialize(
            [evaluation_snapshot, checks],
            selection=dg.AssetSelection.checks(checks),
            instance=instance,
            resources={"results": ResultsResource()},
            tags={"dagster/partition": "release-1"},
            raise_on_error=False,
        )
    assert not done.success
