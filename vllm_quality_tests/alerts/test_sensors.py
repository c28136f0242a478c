"""The sensors on a real Dagster instance: which runs are announced, what the card knows, and that no card is lost."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from vllm_quality.alerts.sensors import (
    AlertNotSentError,
    announce_run,
    is_tried_again,
    run_canceled,
    run_failed,
    run_finished_sensors,
    run_succeeded,
)
from vllm_quality.alerts.teams import TeamsError
from vllm_quality.partitions import model_tags
from vllm_quality.report.data import report_key
from vllm_quality.results.objects import ObjectsError
from vllm_quality.results.publish import VERDICT_FILE
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.serving.endpoint import EndpointError
from vllm_quality.serving.target import TARGET_FILE
from vllm_quality.settings import load_settings
from vllm_quality_tests.alerts.notices import TARGET, WORSE
from vllm_quality_tests.alerts.webhook import Answer, webhook

TAG = "release-1.4.0"


@dg.asset(partitions_def=model_tags)
def serving_endpoint(context: dg.AssetExecutionContext, results: ResultsResource) -> None:
    """Knows the endpoint, unless it is away."""
    if "endpoint_away" in context.run.tags:
        try:
            raise OSError("http://user:hunter2@vllm/")
        except OSError as error:
            raise EndpointError("http://vllm:8000 cannot be reached; start it.") from error
    folder = results.run_folder(evaluation_id(context.instance, context.run))
    folder.put_json(TARGET_FILE, replace(TARGET, run_id=folder.run_id).as_json())


@dg.asset(partitions_def=model_tags, deps=[serving_endpoint], name="results")
def results_asset(context: dg.AssetExecutionContext, results: ResultsResource) -> None:
    """Keeps the verdict and the report."""
    folder = results.run_folder(evaluation_id(context.instance, context.run))
    folder.put_json(VERDICT_FILE, WORSE.as_json())
    folder.objects.put(report_key(context.partition_key, folder.run_id), b"<p>")


@dg.asset(partitions_def=model_tags, deps=[results_asset])
def release_report(context: dg.AssetExecutionContext) -> None:
    """Has a bug when told so."""
    if "bug" in context.run.tags:
        raise KeyError("hunter2")


@dg.asset
def something_else() -> None:
    """No evaluation."""


defs = dg.Definitions(
    assets=[serving_endpoint, results_asset, release_report, something_else],
    jobs=[
        dg.define_asset_job("evaluate_release", selection=["serving_endpoint", "results", "release_report"]),
        dg.define_asset_job("other", selection=["something_else"]),
    ],
    sensors=run_finished_sensors,
    resources={"results": ResultsResource()},
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as instance:
        instance.add_dynamic_partitions(str(model_tags.name), [TAG])
        yield instance


def execute(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    job = defs.resolve_job_def("evaluate_release")
    result = job.execute_in_process(instance=instance, partition_key=TAG, tags=tags, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    return run


class Ticks:
    """One sensor, ticked as the daemon does: the cursor is kept only when the tick did not raise."""

    def __init__(self, instance: dg.DagsterInstance, sensor: dg.SensorDefinition) -> None:
        self.instance, self.sensor = instance, sensor
        self.cursor: str | None = None
        assert "Initiating" in str(self.tick().skip_message)

    def tick(self) -> Any:
        context = dg.build_sensor_context(
            self.instance,
            self.cursor,
            repository_def=defs.get_repository_def(),
            sensor_name=self.sensor.name,
            resources={"results": ResultsResource()},
        )
        answer = self.sensor.evaluate_tick(context)
        self.cursor = answer.cursor
        return answer

    def errors(self) -> list[str]:
        return [reaction.error.to_string() for reaction in self.tick().dagster_run_reactions if reaction.error]


def outbox() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in (load_settings().home / "outbox").glob("*.json")}


def use_webhook(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("VLLM_QUALITY_TEAMS_WEBHOOK", url)
    monkeypatch.setenv("VLLM_QUALITY_TEAMS_MENTIONS", "LLM-Ops <ops@example.com>")


def test_a_successful_run_is_announced_once_with_its_verdict(instance: dg.DagsterInstance) -> None:
    ticks = Ticks(instance, run_succeeded)
    run = execute(instance)
    assert ticks.errors() == []
    assert list(outbox()) == [f"{run.run_id}-run_success.json"]
    card = outbox()[f"{run.run_id}-run_success.json"]
    for text in ("release-1.4.0 is worse than its baseline", "SmolLM2", "277 ms", f"/runs/{run.run_id}", "report.html"):
        assert text in card
    (load_settings().home / "outbox" / f"{run.run_id}-run_success.json").unlink()
    notice = announce_run(instance, run, ResultsResource())
    assert (notice.outcome, notice.verdict) == ("success", WORSE)
    assert outbox() == {}


def test_a_failed_run_is_announced_with_its_first_step_and_one_sentence(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(instance, run_failed)
    with webhook() as hook:
        use_webhook(monkeypatch, hook.url)
        execute(instance, endpoint_away="yes")
        assert ticks.errors() == []
    text = hook.received[0].decode()
    assert "Failed at step serving\\\\_endpoint" in text
    assert '"text":"http://vllm:8000 cannot be reached; start it."' in text
    assert "<at>LLM-Ops</at>" in text
    assert "Traceback" not in text
    assert "hunter2" not in text


def test_a_bug_is_announced_without_its_text(instance: dg.DagsterInstance) -> None:
    notice = announce_run(instance, execute(instance, bug="yes"), ResultsResource())
    assert notice.failed_step == "release_report"
    assert notice.error == "An unexpected KeyError; the run's log in Dagster has the traceback."
    assert notice.verdict == WORSE
    assert notice.report_url is not None


def test_a_run_that_died_outside_of_its_steps(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(
        defs.resolve_job_def("evaluate_release"), tags={"dagster/partition": TAG}, status=dg.DagsterRunStatus.STARTED
    )
    instance.report_run_failed(run, "The run's worker is gone.")
    notice = announce_run(instance, run, ResultsResource())
    assert (notice.outcome, notice.failed_step, notice.error) == ("failure", None, "The run's worker is gone.")
    assert notice.target is None


def test_a_canceled_run_is_announced(instance: dg.DagsterInstance) -> None:
    ticks = Ticks(instance, run_canceled)
    run = instance.create_run_for_job(
        defs.resolve_job_def("evaluate_release"), tags={"dagster/partition": TAG}, status=dg.DagsterRunStatus.STARTED
    )
    instance.report_run_canceled(run)
    assert ticks.errors() == []
    (card,) = outbox().values()
    assert "release-1.4.0 was canceled" in card


def test_a_failure_and_then_the_success_of_its_reexecution(instance: dg.DagsterInstance) -> None:
    failed = execute(instance, endpoint_away="yes")
    announce_run(instance, failed, ResultsResource())
    again = execute(instance, **{"vllm_quality/evaluation": failed.run_id})
    assert announce_run(instance, again, ResultsResource()).run_id == failed.run_id
    announce_run(instance, again, ResultsResource())
    assert sorted(outbox()) == [
        f"{failed.run_id}-run_failure-{failed.run_id}.json",
        f"{failed.run_id}-run_success.json",
    ]


def test_a_card_that_teams_did_not_take_is_sent_at_a_later_tick(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(instance, run_succeeded)
    runs = [execute(instance), execute(instance)]
    away = Answer(429, headers=(("Retry-After", "600"),))
    with webhook(Answer(), away) as hook:
        use_webhook(monkeypatch, hook.url)
        with pytest.raises(AlertNotSentError, match="is tried again at the next tick"):
            ticks.tick()
        assert ticks.errors() == []
        assert ticks.errors() == []
    delivered = [json.loads(body)["attachments"][0]["content"] for body in [hook.received[0], hook.received[2]]]
    for run, card in zip(runs, delivered, strict=True):
        assert run.run_id in json.dumps(card)
    assert len(hook.received) == 3


def test_a_card_that_teams_refuses_fails_its_tick_and_holds_up_no_other(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(instance, run_succeeded)
    execute(instance)
    execute(instance)
    with webhook(Answer(400)) as hook:
        use_webhook(monkeypatch, hook.url)
        (error,) = ticks.errors()
    assert "TeamsError" in error
    assert "sig=" not in error
    assert len(hook.received) == 2


@pytest.mark.parametrize(
    ("error", "hours", "again"),
    [
        (TeamsError("Away."), 23, True),
        (TeamsError("Away."), 25, False),
        (TeamsError("No.", card_refused=True), 0, False),
        (ObjectsError("Away."), 1, True),
        (KeyError("bug"), 0.2, True),
        (KeyError("bug"), 0.3, False),
    ],
)
def test_how_long_a_card_is_tried_again(error: Exception, hours: float, again: bool) -> None:
    assert is_tried_again(error, timedelta(hours=hours)) is again


def test_a_ledger_that_cannot_be_opened_keeps_no_card_back(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = execute(instance)
    monkeypatch.setenv("VLLM_QUALITY_RESULTS_URL", "http://user:hunter2@127.0.0.1:1/db?wrong=setting")
    announce_run(instance, run, ResultsResource())
    assert len(outbox()) == 1
    assert "cannot be recorded" in caplog.text
    assert "hunter2" not in caplog.text


def test_the_plain_call_raises_what_went_wrong(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    run = execute(instance)
    with webhook(Answer(400)) as hook:
        use_webhook(monkeypatch, hook.url)
        with pytest.raises(TeamsError):
            announce_run(instance, run, ResultsResource())


def test_an_unreadable_verdict_keeps_back_a_success_but_no_failure(instance: dg.DagsterInstance) -> None:
    succeeded, failed = execute(instance), execute(instance, endpoint_away="yes")
    for run in (succeeded, failed):
        stored = load_settings().home / "objects" / "runs" / run.run_id / VERDICT_FILE
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text("{", encoding="utf-8")
    with pytest.raises(ObjectsError):
        announce_run(instance, succeeded, ResultsResource())
    assert announce_run(instance, failed, ResultsResource()).error == "http://vllm:8000 cannot be reached; start it."


def test_runs_that_evaluate_nothing_are_left_alone(instance: dg.DagsterInstance) -> None:
    ticks = Ticks(instance, run_succeeded)
    defs.resolve_job_def("other").execute_in_process(instance=instance)
    dg.materialize([something_else], instance=instance)
    assert ticks.errors() == []
    assert outbox() == {}


def test_an_asset_backfill_is_announced_when_it_makes_a_verdict(instance: dg.DagsterInstance) -> None:
    ticks = Ticks(instance, run_succeeded)
    job = defs.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(name) for name in ("serving_endpoint", "results", "release_report")]
    assert job.name == "__ASSET_JOB"
    job.execute_in_process(instance=instance, partition_key=TAG, asset_selection=keys[:1])
    job.execute_in_process(instance=instance, partition_key=TAG, asset_selection=keys)
    assert ticks.errors() == []
    assert len(outbox()) == 1


def test_a_run_that_dagster_retries_by_itself_is_not_announced(instance: dg.DagsterInstance) -> None:
    ticks = Ticks(instance, run_failed)
    run = execute(instance, endpoint_away="yes", **{"dagster/will_retry": "true"})
    assert f"Dagster retries run {run.run_id} by itself" in str(ticks.tick().skip_message)
    assert outbox() == {}
