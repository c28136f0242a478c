"""The sensor on a real Dagster instance: which runs are told of, what the cards know, and that none is lost or doubled."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from vllm_quality.alerts.memory import Memory
from vllm_quality.alerts.sensors import announce_retag, announce_run, ended_runs, run_finished_sensors
from vllm_quality.alerts.teams import TeamsError
from vllm_quality.partitions import model_tags
from vllm_quality.releases.plan import Retag
from vllm_quality.report.data import report_key
from vllm_quality.results.database import ResultStore
from vllm_quality.results.objects import ObjectsError
from vllm_quality.results.publish import VERDICT_FILE
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.results.rows import AlertRow
from vllm_quality.serving.endpoint import EndpointError
from vllm_quality.serving.target import TARGET_FILE
from vllm_quality.settings import load_settings
from vllm_quality_tests.alerts.notices import PASS, TARGET, WORSE
from vllm_quality_tests.alerts.webhook import Answer, Webhook, webhook

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
    folder.put_json(VERDICT_FILE, (PASS if "good" in context.run.tags else WORSE).as_json())
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


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """One results folder with its engine running: starting it for every look is what these tests would wait for."""
    import chdb

    folder = tmp_path_factory.mktemp("results")
    handle = chdb.connect(str(folder))
    yield f"chdb://{folder}", handle
    handle.close()


@pytest.fixture(autouse=True)
def _use_results(engine: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """With an empty ledger: what another test sent would count for the channel's limits."""
    url, handle = engine
    monkeypatch.setenv("VLLM_QUALITY_RESULTS_URL", url)
    handle.query("CREATE DATABASE IF NOT EXISTS vllm_eval")
    handle.query("TRUNCATE TABLE IF EXISTS vllm_eval.alerts")


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


def ended(
    instance: dg.DagsterInstance,
    tag: str,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS,
    tags: Mapping[str, str] | None = None,
) -> dg.DagsterRun:
    """A run as it is when it has ended, without the work; a good one has a verdict."""
    run = instance.create_run_for_job(
        defs.resolve_job_def("evaluate_release"),
        tags={"dagster/partition": tag, **(tags or {})},
        status=dg.DagsterRunStatus.STARTED,
    )
    if status is dg.DagsterRunStatus.SUCCESS:
        ResultsResource().run_folder(run.run_id).put_json(VERDICT_FILE, (WORSE if "bad" in tag else PASS).as_json())
        instance.report_dagster_event(_ended_well(run), run.run_id)
    elif status is dg.DagsterRunStatus.CANCELED:
        instance.report_run_canceled(run)
    else:
        instance.report_run_failed(run, "The run's worker is gone.")
    return run


def _ended_well(run: dg.DagsterRun) -> dg.DagsterEvent:
    return dg.DagsterEvent(event_type_value="PIPELINE_SUCCESS", job_name=run.job_name)


class Ticks:
    """The sensor, ticked as the daemon does: its cursor is kept when the tick did not raise."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> str:
        """A tick; what it says in the UI."""
        context = dg.build_sensor_context(
            self.instance,
            self.cursor,
            repository_def=defs.get_repository_def(),
            sensor_name=ended_runs.name,
            resources={"results": ResultsResource()},
        )
        answer = ended_runs.evaluate_tick(context)
        self.cursor = answer.cursor
        assert not answer.run_requests
        return str(answer.skip_message)

    def later(self, **passed: float) -> None:
        """So much time goes by: what the sensor remembers is older by that."""
        memory = Memory.read(self.cursor, datetime.now(UTC))
        by = timedelta(**passed)
        memory.next_try = memory.next_try and memory.next_try - by
        memory.waiting = [
            alert.model_copy(
                update={"ended_at": alert.ended_at - by, "next_try": alert.next_try and alert.next_try - by}
            )
            for alert in memory.waiting
        ]
        self.cursor = memory.write()

    @property
    def memory(self) -> Memory:
        return Memory.read(self.cursor, datetime.now(UTC))


def outbox() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in (load_settings().home / "outbox").glob("*.json")}


def use_webhook(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("VLLM_QUALITY_TEAMS_WEBHOOK", url)
    monkeypatch.setenv("VLLM_QUALITY_TEAMS_MENTIONS", "LLM-Ops <ops@example.com>")


def cards(hook: Webhook) -> list[Mapping[str, Any]]:
    return [json.loads(body)["attachments"][0]["content"] for body in hook.received]


def test_a_successful_run_is_told_of_once_with_its_verdict(instance: dg.DagsterInstance) -> None:
    ticks = Ticks(instance)
    run = execute(instance)
    assert ticks.tick() == "1 run told of in 1 message."
    assert ticks.tick() == "Every run that ended was told of."
    card = outbox()[f"{run.run_id}-run_success.json"]
    for text in (
        "release-1.4.0 is worse than its baseline",
        "SmolLM2",
        "277 ms",
        f"/runs/{run.run_id}",
        "report.html",
        "view=partitions&partition=release-1.4.0",
    ):
        assert text in card
    (load_settings().home / "outbox" / f"{run.run_id}-run_success.json").unlink()
    notice = announce_run(instance, run, ResultsResource())
    assert (notice.outcome, notice.verdict) == ("success", WORSE)
    forgetful = Ticks(instance)
    assert forgetful.tick() == "Every run that ended was told of."
    assert outbox() == {}


def test_a_failed_run_is_told_of_with_its_first_step_cause_and_next_action(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as hook:
        use_webhook(monkeypatch, hook.url)
        execute(instance, endpoint_away="yes")
        assert Ticks(instance).tick() == "1 run told of in 1 message."
    text = hook.received[0].decode()
    assert '{"title":"Step","value":"serving\\\\_endpoint"}' in text
    assert '{"title":"Cause","value":"http://vllm:8000 cannot be reached; start it."}' in text
    assert '"Do next","value":"Bring the release\'s endpoint up' in text
    assert "<at>LLM-Ops</at>" in text
    assert "Traceback" not in text
    assert "hunter2" not in text


def test_a_bug_is_told_of_without_its_text(instance: dg.DagsterInstance) -> None:
    notice = announce_run(instance, execute(instance, bug="yes"), ResultsResource())
    assert notice.failed_step == "release_report"
    assert notice.error == "An unexpected KeyError; the run's log in Dagster has the traceback."
    assert notice.verdict == WORSE
    assert notice.report_url is not None


def test_runs_that_died_outside_of_their_steps_or_were_canceled(instance: dg.DagsterInstance) -> None:
    run = ended(instance, TAG, dg.DagsterRunStatus.FAILURE)
    ended(instance, "release-1.4.1", dg.DagsterRunStatus.CANCELED)
    notice = announce_run(instance, run, ResultsResource())
    assert (notice.outcome, notice.failed_step, notice.error) == ("failure", None, "The run's worker is gone.")
    assert notice.failure is not None
    assert "memory" in notice.failure.action
    assert notice.target is None
    assert Ticks(instance).tick() == "1 run told of in 1 message."
    assert any("release-1.4.1 was canceled" in card for card in outbox().values())


def test_a_failure_and_then_the_success_of_its_reexecution(instance: dg.DagsterInstance) -> None:
    ticks = Ticks(instance)
    failed = execute(instance, endpoint_away="yes")
    ticks.tick()
    again = execute(instance, **{"vllm_quality/evaluation": failed.run_id})
    assert ticks.tick() == "1 run told of in 1 message."
    assert announce_run(instance, again, ResultsResource()).run_id == failed.run_id
    assert sorted(outbox()) == [
        f"{failed.run_id}-run_failure-{failed.run_id}.json",
        f"{failed.run_id}-run_success.json",
    ]


def test_a_backfill_of_fifty_releases_is_a_few_messages_that_count_every_release(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(instance)
    names = [f"release-{number}" for number in range(50)]
    names[17], names[33] = "release-bad-17", "release-bad-33"
    with webhook() as hook:
        use_webhook(monkeypatch, hook.url)
        for name in names[:25]:
            ended(instance, name, tags={"dagster/backfill": "abcdefgh"})
        unfinished = instance.create_run_for_job(
            defs.resolve_job_def("evaluate_release"),
            tags={"dagster/partition": "release-late", "dagster/backfill": "abcdefgh"},
            status=dg.DagsterRunStatus.STARTED,
        )
        assert "25 alerts of backfill abcdefgh held for a digest at its end" in ticks.tick()
        for name in names[25:]:
            ended(instance, name, tags={"dagster/backfill": "abcdefgh"})
        assert "50 alerts of backfill abcdefgh held" in ticks.tick()
        assert hook.received == []
        instance.report_run_failed(unfinished, "The run's worker is gone.")
        assert ticks.tick() == "51 runs told of in 1 message."
        assert ticks.tick() == Ticks(instance).tick() == "Every run that ended was told of."
    (card,) = cards(hook)
    text = json.dumps(card, ensure_ascii=False)
    assert "2 worse, 1 failed, 48 not worse" in text
    assert all(name in text for name in names)
    assert "basics\\\\_ko: exact match: 52.2 % → 49.8 % (−2.4 points)" in text
    assert card["msteams"]["entities"][0]["mentioned"]["id"] == "ops@example.com"
    assert card["actions"][0]["url"].endswith("/runs/b/abcdefgh")
    told = "SELECT uniqExact(run_id), uniqExact(sent_at) FROM alerts FINAL WHERE detail LIKE '%digest of 51'"
    assert ResultStore(load_settings().results).query(told).row(0) == (51, 1)


def test_what_waited_while_teams_was_away_comes_as_one_digest_and_nothing_is_lost(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(instance)
    away = [Answer(429, headers=(("Retry-After", "600"),)), Answer(500), Answer(500)]
    with webhook(*away) as hook:
        use_webhook(monkeypatch, hook.url)
        ended(instance, "release-1")
        said = ticks.tick()
        assert said.startswith("1 alert held; delivery failed once in a row and is tried again at ")
        assert "HTTP 429" in said
        assert ticks.memory.next_try is not None
        assert ticks.memory.next_try > datetime.now(UTC) + timedelta(seconds=500), "Retry-After was not obeyed"
        for number in range(2, 9):
            ended(instance, f"release-{number}")
        assert ticks.tick().startswith("8 alerts held; ")
        assert len(hook.received) == 1, "it was asked again before its time"
        ticks.later(seconds=700)
        assert "delivery failed 2 times in a row" in ticks.tick()
        ticks.later(seconds=120)
        assert ticks.tick() == "8 runs told of in 1 message."
    assert "None of 8 releases is worse" in json.dumps(cards(hook)[-1])
    assert ticks.memory.failures == 0


def test_the_ledgers_recent_messages_count_for_the_channels_limits(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(instance)
    ended(instance, "release-1")
    recent = [datetime.now(UTC) - timedelta(minutes=30, seconds=index) for index in range(100)]
    store = ResultStore(load_settings().results)
    store.record_alerts([AlertRow(f"old-{n}", "t", "run_success", at, "teams", "") for n, at in enumerate(recent)])
    with webhook() as hook:
        use_webhook(monkeypatch, hook.url)
        assert "1 alert held for a digest at" in ticks.tick()
        ticks.later(minutes=11)
        assert "the channel takes no more before" in ticks.tick()
        assert hook.received == []
    monkeypatch.delenv("VLLM_QUALITY_TEAMS_WEBHOOK")
    assert ticks.tick() == "1 run told of in 1 message.", "an outbox has no limits"


def test_a_refused_card_holds_up_no_other_and_is_sent_in_its_smallest_form(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks(instance)
    run = execute(instance)
    ended(instance, "release-2")
    with webhook(Answer(413), Answer(400)) as hook:
        use_webhook(monkeypatch, hook.url)
        said = ticks.tick()
        assert "1 run told of in 1 message." in said
        assert "The alert of release-1.4.0 is tried again at" in said
        assert "sig=" not in said
        ticks.later(minutes=5)
        assert ticks.tick() == "1 run told of in 1 message."
    whole, smallest, other, again = cards(hook)
    assert len(json.dumps(smallest)) < len(json.dumps(whole)) / 2
    assert "release-1.4.0 is worse than its baseline" in smallest["fallbackText"]
    assert "release-2 is not worse" in other["fallbackText"]
    assert run.run_id in json.dumps(again)


def test_an_alert_is_not_tried_for_ever_and_its_end_is_not_silent(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = Ticks(instance)
    run = ended(instance, "release-1")
    with webhook(*[Answer(500)] * 20) as hook:
        use_webhook(monkeypatch, hook.url)
        ticks.tick()
        ticks.later(days=8)
        said = ticks.tick()
        assert "The alert of release-1 was given up: The Teams webhook at 127.0.0.1 did not take the card" in said
        ticks.later(days=1)
        assert ticks.tick() == "Every run that ended was told of."
    assert "was given up" in caplog.text
    store = ResultStore(load_settings().results)
    assert store.alerts_of([run.run_id]) == {(run.run_id, "given_up:run_success")}


def test_a_ledger_that_is_away_keeps_no_card_back_and_is_written_later(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = Ticks(instance)
    run = ended(instance, "release-1")
    good = load_settings().results
    monkeypatch.setenv("VLLM_QUALITY_RESULTS_URL", "http://user:hunter2@127.0.0.1:1/db?wrong=setting")
    assert ticks.tick().startswith("1 run told of in 1 message.")
    assert len(outbox()) == 1
    assert "1 sent alerts are not in the ledger yet" in ticks.tick()
    assert "hunter2" not in caplog.text
    monkeypatch.setenv("VLLM_QUALITY_RESULTS_URL", good)
    assert ticks.tick() == "Every run that ended was told of."
    assert ResultStore(good).alerts_of([run.run_id]) == {(run.run_id, "run_success")}


def test_a_ledger_that_answers_nothing_is_asked_once_a_tick(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four questions of half a minute each, and Dagster would cut the tick off after the card was sent."""
    ticks = Ticks(instance)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        asked: list[socket.socket] = []
        listener = threading.Thread(target=lambda: _hang_up(deaf, asked), daemon=True)
        listener.start()
        port = deaf.getsockname()[1]
        monkeypatch.setenv("VLLM_QUALITY_RESULTS_URL", f"http://user:hunter2@127.0.0.1:{port}/db")
        execute(instance)
        assert ticks.tick().startswith("1 run told of in 1 message.")
        first = len(asked)
        assert ticks.memory.unrecorded
        ticks.tick()
        assert len(asked) == 2 * first, "the second tick has one question alone, whether the ledger can be written now"
    assert len(outbox()) == 1


def _hang_up(server: socket.socket, asked: list[socket.socket]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        asked.append(connection)
        connection.close()


def test_a_run_that_ended_long_ago_and_was_touched_now_is_no_news(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(
        defs.resolve_job_def("evaluate_release"),
        tags={"dagster/partition": "release-1"},
        status=dg.DagsterRunStatus.STARTED,
    )
    instance.run_storage.handle_run_event(run.run_id, _ended_well(run), datetime.now(UTC) - timedelta(days=30))
    ticks = Ticks(instance)
    assert ticks.tick() == "Every run that ended was told of."
    instance.add_run_tags(run.run_id, {"note": "looked at"})
    assert ticks.tick() == "Every run that ended was told of."
    assert ticks.memory.waiting == []


def test_a_run_of_the_command_line_is_left_to_it_for_two_minutes(instance: dg.DagsterInstance) -> None:
    ticks = Ticks(instance)
    run = ended(instance, "release-1", tags={"vllm_quality/started_by": "cli"})
    assert "the command that started it sends it itself" in ticks.tick()
    assert outbox() == {}
    ticks.later(minutes=3)
    assert ticks.tick() == "1 run told of in 1 message."
    announce_run(instance, run, ResultsResource())
    assert len(outbox()) == 1


def test_an_unreadable_verdict_keeps_back_a_success_but_no_failure_and_no_other_run(
    instance: dg.DagsterInstance,
) -> None:
    ticks = Ticks(instance)
    broken = ended(instance, "release-1", dg.DagsterRunStatus.SUCCESS)
    stored = load_settings().home / "objects" / "runs" / broken.run_id / VERDICT_FILE
    stored.write_text("{", encoding="utf-8")
    failed = execute(instance, endpoint_away="yes")
    said = ticks.tick()
    assert "1 run told of in 1 message." in said
    assert "The alert of release-1 is tried again at" in said
    assert "is not JSON" in said
    with pytest.raises(ObjectsError):
        announce_run(instance, broken, ResultsResource())
    stored.write_text(json.dumps(PASS.as_json()), encoding="utf-8")
    ticks.later(minutes=5)
    assert ticks.tick() == "1 run told of in 1 message."
    assert announce_run(instance, failed, ResultsResource()).error == "http://vllm:8000 cannot be reached; start it."


def test_runs_that_evaluate_nothing_or_are_retried_by_dagster_are_left_alone(instance: dg.DagsterInstance) -> None:
    defs.resolve_job_def("other").execute_in_process(instance=instance)
    dg.materialize([something_else], instance=instance)
    ended(instance, TAG, dg.DagsterRunStatus.FAILURE, {"dagster/will_retry": "true"})
    assert Ticks(instance).tick() == "Every run that ended was told of."
    assert outbox() == {}


def test_an_asset_backfill_is_told_of_when_it_makes_a_verdict(instance: dg.DagsterInstance) -> None:
    job = defs.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(name) for name in ("serving_endpoint", "results", "release_report")]
    assert job.name == "__ASSET_JOB"
    job.execute_in_process(instance=instance, partition_key=TAG, asset_selection=keys[:1])
    job.execute_in_process(instance=instance, partition_key=TAG, asset_selection=keys)
    assert Ticks(instance).tick() == "1 run told of in 1 message."


def test_the_plain_call_raises_what_went_wrong(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    run = execute(instance)
    with webhook(Answer(400), Answer(400)) as hook:
        use_webhook(monkeypatch, hook.url)
        with pytest.raises(TeamsError):
            announce_run(instance, run, ResultsResource())


def test_a_moved_tag_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    retag = Retag(TAG, "5d41402abc4b2a76", "sha256:" + "9b74c989" * 8)
    with webhook() as hook:
        use_webhook(monkeypatch, hook.url)
        announce_retag(retag)
        announce_retag(retag)
    (card,) = cards(hook)
    assert card["fallbackText"] == "? release-1.4.0 was moved to another image"
    assert "sha256:9b74c9899b74" in json.dumps(card)


def test_a_deleted_run_is_named_and_forgotten(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(instance)
    run = ended(instance, "release-1")
    with webhook(Answer(500), Answer(500)) as hook:
        use_webhook(monkeypatch, hook.url)
        ticks.tick()
        instance.delete_run(run.run_id)
        ticks.later(minutes=5)
        assert f"Run {run.run_id} of release-1 was deleted" in ticks.tick()
    assert ticks.memory.waiting == []
