"""What assets, checks and sensors reach the stores through."""

import dagster as dg

from vllm_quality.results.database import ResultStore
from vllm_quality.results.objects import ObjectStore, open_objects
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.run_tags import EVALUATION_TAG
from vllm_quality.settings import load_settings


class ResultsResource(dg.ConfigurableResource[None]):
    """The result store and the object store of the settings. They are read when used: no secret is ever in its config."""

    def store(self) -> ResultStore:
        """The tables."""
        return ResultStore(load_settings().results)

    def objects(self) -> ObjectStore:
        """The object store."""
        return open_objects(load_settings())

    def run_folder(self, run_id: str) -> RunFolder:
        """The objects of one evaluation (its `evaluation_id`)."""
        return RunFolder(self.objects(), run_id)


def evaluation_id(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The id of the evaluation that a run works on: its own, or the one it goes on with.

    A run goes on with an evaluation when it was told so (`EVALUATION_TAG`), or when it re-executes a run from failure, or
    executes only some of that evaluation's steps. Re-executing all of them is a new evaluation.
    """
    parent = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    told = run.tags.get(EVALUATION_TAG)
    # A re-execution inherits its parent's tags; then it was the parent that was told.
    if told and (parent is None or parent.tags.get(EVALUATION_TAG) != told):
        return told
    if run.parent_run_id is None:
        return run.run_id
    evaluation = run.parent_run_id if parent is None else evaluation_id(instance, parent)
    return evaluation if _goes_on(instance, run, evaluation) else run.run_id


def _goes_on(instance: dg.DagsterInstance, run: dg.DagsterRun, evaluation: str) -> bool:
    """Whether a re-execution needs what the evaluation stored.

    Dagster marks only "from failure". The marks of its other partial re-executions ("from asset failure", selected steps)
    are either not set from Python or are inherited by whole re-executions of them, so the steps decide.
    """
    if run.is_resume_retry:
        return True
    executed, planned = _steps(instance, run)
    if executed == planned and not run.asset_selection and not run.asset_check_selection:
        return False  # the whole job, though it may have had more steps when the evaluation began
    first = instance.get_run_by_id(evaluation)
    return executed < (planned if first is None else _steps(instance, first)[1])


def _steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[frozenset[str], frozenset[str]]:
    """The steps that a run executes, and those that its plan has."""
    if run.execution_plan_snapshot_id is None:
        return frozenset(), frozenset()
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    return frozenset(plan.step_keys_to_execute), frozenset(step.key for step in plan.steps)
