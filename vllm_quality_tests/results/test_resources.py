"""Which evaluation a run works on, on a real instance, with the re-executions that Dagster has."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest

from vllm_quality.results.objects import FileObjects
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.run_tags import EVALUATION_TAG
from vllm_quality_tests.results.samples import result_rows

STEPS = ("endpoint", "load", "results")
broken: set[str] = set()


def build_step(name: str, deps: list[str]) -> dg.AssetsDefinition:
    @dg.asset(name=name, deps=deps)
    def step() -> None:
        if name in broken:
            raise RuntimeError(f"{name} is broken")

    return step


def build_job(*names: str) -> dg.JobDefinition:
    assets = [build_step(name, list(names[:place])) for place, name in enumerate(names)]
    job = dg.define_asset_job("evaluate", executor_def=dg.in_process_executor)
    return dg.Definitions(assets=assets, jobs=[job]).resolve_job_def("evaluate")


def evaluate_job() -> dg.JobDefinition:
    return build_job(*STEPS)


def smaller_job() -> dg.JobDefinition:
    """The job as it is after an operator took a step out."""
    return build_job("endpoint", "results")


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def first(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run that succeeded."""
    return execute(instance)


@pytest.fixture(autouse=True)
def _nothing_is_broken() -> Iterator[None]:
    yield
    broken.clear()


def execute(
    instance: dg.DagsterInstance,
    options: dg.ReexecutionOptions | None = None,
    *,
    job: Callable[[], dg.JobDefinition] = evaluate_job,
    tags: Mapping[str, str] | None = None,
) -> dg.DagsterRun:
    """Run the job as `dagster job execute` and Dagster's Python API do."""
    reconstructable = dg.reconstructable(job)
    with dg.execute_job(reconstructable, instance, reexecution_options=options, tags=dict(tags or {})) as result:
        run = instance.get_run_by_id(result.run_id)
    assert run is not None
    return run


def launch(
    instance: dg.DagsterInstance, parent: dg.DagsterRun, *, selection: set[str] | None = None, **tags: str
) -> dg.DagsterRun:
    """Create a run as the UI's "re-execute" does (`DagsterInstance.create_reexecuted_run`)."""
    keys = None if selection is None else frozenset(dg.AssetKey(name) for name in selection)
    job = evaluate_job() if keys is None else evaluate_job().get_subset(asset_selection=keys)
    return instance.create_run_for_job(
        job,
        parent_run_id=parent.run_id,
        root_run_id=parent.root_run_id or parent.run_id,
        asset_selection=keys,
        tags={f"dagster/{name}": value for name, value in tags.items()},
    )


def test_a_first_run_is_an_evaluation(instance: dg.DagsterInstance, first: dg.DagsterRun) -> None:
    assert evaluation_id(instance, first) == first.run_id


def test_from_failure_goes_on_however_often(instance: dg.DagsterInstance) -> None:
    broken.add("load")
    first = execute(instance)
    second = execute(instance, dg.ReexecutionOptions.from_failure(first.run_id, instance))
    broken.clear()
    third = execute(instance, dg.ReexecutionOptions.from_failure(second.run_id, instance))
    assert third.is_success
    assert evaluation_id(instance, second) == first.run_id
    assert evaluation_id(instance, third) == first.run_id


def test_from_failure_goes_on_even_when_nothing_had_succeeded(
    instance: dg.DagsterInstance, first: dg.DagsterRun
) -> None:
    """Run retries of Dagster's daemon and the UI set this tag; all steps are executed again, what they stored is there."""
    assert evaluation_id(instance, launch(instance, first, is_resume_retry="true")) == first.run_id


def test_selected_steps_go_on(instance: dg.DagsterInstance, first: dg.DagsterRun) -> None:
    second = execute(instance, dg.ReexecutionOptions(first.run_id, step_selection=["load+"]))
    assert evaluation_id(instance, second) == first.run_id


def test_selected_assets_go_on(instance: dg.DagsterInstance, first: dg.DagsterRun) -> None:
    """As "from asset failure" does; a whole re-execution of such a part is a part still."""
    part = launch(instance, first, selection={"load", "results"}, is_asset_resume_retry="true")
    same_part = launch(instance, part, selection={"load", "results"})
    assert evaluation_id(instance, part) == first.run_id
    assert evaluation_id(instance, same_part) == first.run_id


def test_all_steps_are_a_new_evaluation(instance: dg.DagsterInstance, first: dg.DagsterRun) -> None:
    again = execute(instance, dg.ReexecutionOptions(first.run_id))
    assert evaluation_id(instance, again) == again.run_id


def test_all_steps_of_a_part_are_a_new_evaluation_whatever_tags_are_inherited(
    instance: dg.DagsterInstance, first: dg.DagsterRun
) -> None:
    part = execute(instance, dg.ReexecutionOptions(first.run_id, step_selection=["results"]))
    whole = launch(instance, part, is_asset_resume_retry="true", step_selection="results")
    assert evaluation_id(instance, whole) == whole.run_id


def test_part_of_a_new_evaluation_goes_on_with_that_one(instance: dg.DagsterInstance, first: dg.DagsterRun) -> None:
    again = execute(instance, dg.ReexecutionOptions(first.run_id))
    part = execute(instance, dg.ReexecutionOptions(again.run_id, step_selection=["results"]))
    assert evaluation_id(instance, part) == again.run_id


def test_all_steps_are_new_after_a_step_was_taken_out(instance: dg.DagsterInstance, first: dg.DagsterRun) -> None:
    again = execute(instance, dg.ReexecutionOptions(first.run_id), job=smaller_job)
    assert evaluation_id(instance, again) == again.run_id


def test_a_run_can_be_told_its_evaluation(instance: dg.DagsterInstance, first: dg.DagsterRun) -> None:
    told = execute(instance, tags={EVALUATION_TAG: first.run_id})
    assert evaluation_id(instance, told) == first.run_id


def test_a_tag_inherited_from_a_told_run_tells_nothing(instance: dg.DagsterInstance, first: dg.DagsterRun) -> None:
    tags = {EVALUATION_TAG: first.run_id}
    told = execute(instance, tags=tags)
    whole = execute(instance, dg.ReexecutionOptions(told.run_id), tags=tags)
    part = execute(instance, dg.ReexecutionOptions(told.run_id, step_selection=["results"]), tags=tags)
    assert evaluation_id(instance, whole) == whole.run_id
    assert evaluation_id(instance, part) == first.run_id


def test_a_part_whose_parent_was_deleted_goes_on_with_it(instance: dg.DagsterInstance) -> None:
    first = execute(instance)
    part = execute(instance, dg.ReexecutionOptions(first.run_id, step_selection=["results"]))
    whole = execute(instance, dg.ReexecutionOptions(first.run_id))
    instance.delete_run(first.run_id)
    assert evaluation_id(instance, part) == first.run_id
    assert evaluation_id(instance, whole) == whole.run_id


def test_the_resource_reads_the_settings_when_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run_id: str
) -> None:
    resource = ResultsResource()
    monkeypatch.setenv("VLLM_QUALITY_HOME", str(tmp_path))
    resource.store().write_results(result_rows(run_id, {"m": 1.0}))
    assert (tmp_path / "results").is_dir()
    assert resource.store().results_of(run_id) == {"m": 1.0}
    assert resource.objects() == FileObjects(tmp_path / "objects")
    resource.run_folder("ab").put_json("x.json", 1)
    assert (tmp_path / "objects" / "runs" / "ab" / "x.json").exists()


def test_no_secret_is_in_the_resource(monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance) -> None:
    monkeypatch.setenv("VLLM_QUALITY_RESULTS_URL", "https://me:hush-hush@host/db")

    @dg.asset
    def uses_it(results: ResultsResource) -> str:
        return repr(results.store())

    outcome = dg.materialize([uses_it], instance=instance, resources={"results": ResultsResource()})
    assert "host" in outcome.output_for_node("uses_it")
    logged = [repr(record) for record in instance.all_logs(outcome.run_id)]
    assert "hush-hush" not in "".join([*logged, repr(ResultsResource()), repr(instance.get_run_by_id(outcome.run_id))])
