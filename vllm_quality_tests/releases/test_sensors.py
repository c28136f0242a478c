"""The sensor on a real Dagster instance and a registry on a real socket."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef

from vllm_quality.partitions import model_tags
from vllm_quality.releases.plan import Retag
from vllm_quality.releases.resources import RegistryResource
from vllm_quality.releases.sensors import SENSOR_NAME, AlertHook, build_release_sensor
from vllm_quality.run_tags import IMAGE_DIGEST_TAG, SEEN_AT_TAG
from vllm_quality_tests.servers.oci_registry import FakeRegistry, Fault


@dg.asset(partitions_def=model_tags)
def measured() -> None:
    """What a run would do."""


JOB = dg.define_asset_job("evaluate_release", selection=[measured])
DEFINITIONS = dg.Definitions(assets=[measured], jobs=[JOB])

# Dagster resolves a run request's partition only where the context has a reference to an instance; it uses `instance` then.
ANY_REFERENCE = InstanceRef.from_dir(tempfile.gettempdir())


@dataclass
class Daemon:
    """Ticks the sensor as Dagster's daemon does: partitions first, then one run for each run key that has none."""

    instance: dg.DagsterInstance
    on_alert: AlertHook | None = None
    cursor: str | None = None
    launched: list[str] = field(default_factory=list)

    def tick(self, launch: bool = True) -> tuple[list[dg.RunRequest], str]:
        """One tick: the run requests and the message."""
        sensor = build_release_sensor(JOB, self.on_alert)
        with dg.build_sensor_context(
            instance=self.instance,
            instance_ref=ANY_REFERENCE,
            cursor=self.cursor,
            definitions=DEFINITIONS,
            resources={"registry": RegistryResource(budget_s=20.0, first_pause_s=0.001)},
        ) as context:
            data = sensor.evaluate_tick(context)
        for change in data.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(change.partitions_def_name, list(change.partition_keys))
        self.cursor = data.cursor
        requests = list(data.run_requests or [])
        if launch:
            self._launch(requests)
        return requests, data.skip_message or ""

    def _launch(self, requests: list[dg.RunRequest]) -> None:
        for request in requests:
            key = str(request.run_key)
            if not self.instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": key})):
                self.instance.add_run(
                    dg.DagsterRun(JOB.name, run_id=str(uuid4()), tags={**request.tags, "dagster/run_key": key})
                )
                self.launched.append(key)

    def partitions(self) -> set[str]:
        return set(self.instance.get_dynamic_partitions("model_tag"))


def tags_of(requests: list[dg.RunRequest]) -> list[str | None]:
    return [request.partition_key for request in requests]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    with FakeRegistry(auth="token", private=True) as server:
        monkeypatch.setenv("VLLM_QUALITY_IMAGE", server.image)
        monkeypatch.setenv("VLLM_QUALITY_REGISTRY_PLAIN_HTTP", "true")
        monkeypatch.setenv("VLLM_QUALITY_REGISTRY_USER", "robot")
        monkeypatch.setenv("VLLM_QUALITY_REGISTRY_TOKEN", "s3cret-pat")
        yield server


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Daemon(instance)


def push_releases(registry: FakeRegistry, minors: range) -> None:
    for minor in minors:
        registry.push(f"release-1.{minor}.0")
        registry.push(f"sha-{minor}")


def test_without_an_image_nothing_is_watched(daemon: Daemon) -> None:
    assert daemon.tick() == ([], "No registry is watched; set VLLM_QUALITY_IMAGE, for example to ghcr.io/OWNER/NAME.")
    assert build_release_sensor(JOB).default_status is dg.DefaultSensorStatus.STOPPED


def test_with_an_image_the_sensor_runs_by_itself(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_QUALITY_POLL_SECONDS", "123")
    sensor = build_release_sensor(JOB)
    assert sensor.name == SENSOR_NAME
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 123


def test_of_hundreds_of_old_tags_only_the_newest_are_evaluated(registry: FakeRegistry, daemon: Daemon) -> None:
    push_releases(registry, range(400))
    requests, _ = daemon.tick()
    assert tags_of(requests) == ["release-1.397.0", "release-1.398.0", "release-1.399.0"]
    assert daemon.partitions() == {f"release-1.{minor}.0" for minor in range(400)}
    assert registry.asked("HEAD ") == 3
    for _ in range(3):
        assert daemon.tick()[0] == []
    assert len(str(daemon.cursor)) < 400 * 50


def test_a_pushed_tag_becomes_a_partition_and_a_run(registry: FakeRegistry, daemon: Daemon) -> None:
    push_releases(registry, range(2))
    daemon.tick()
    digest = registry.push("release-1.10.0")
    before = datetime.now(UTC)
    [request], _ = daemon.tick()
    assert request.run_key == f"release-1.10.0@{digest}"
    assert request.partition_key == request.tags["dagster/partition"] == "release-1.10.0"
    assert request.tags[IMAGE_DIGEST_TAG] == digest
    assert request.tags["dagster/priority"] == "10"
    assert before <= datetime.fromisoformat(request.tags[SEEN_AT_TAG]) <= before + timedelta(seconds=60)
    assert "release-1.10.0" in daemon.partitions()


def test_ticks_over_the_same_tags_ask_for_nothing_more(registry: FakeRegistry, daemon: Daemon) -> None:
    push_releases(registry, range(2))
    daemon.tick()
    for _ in range(4):
        requests, message = daemon.tick()
        assert requests == []
        assert message.startswith("No release is due. 2 of 4 tags")
        assert "the newest is release-1.1.0" in message
    assert len(daemon.launched) == 2


def test_an_empty_registry_is_not_looked_at_for_the_first_time_twice(
    registry: FakeRegistry, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_QUALITY_FIRST_RELEASES", "0")
    daemon.tick()
    push_releases(registry, range(1))
    assert tags_of(daemon.tick()[0]) == ["release-1.0.0"]


def test_more_new_tags_than_one_look_reads_are_all_evaluated(registry: FakeRegistry, daemon: Daemon) -> None:
    daemon.tick()
    push_releases(registry, range(60))
    ticks = [tags_of(daemon.tick()[0]) for _ in range(4)]
    assert [len(tags) for tags in ticks] == [25, 25, 10, 0]
    assert ticks[0][-1] == "release-1.59.0"


def test_a_moved_tag_is_evaluated_again(registry: FakeRegistry, daemon: Daemon) -> None:
    push_releases(registry, range(2))
    daemon.tick()
    first = registry.digest("release-1.0.0")
    moved = registry.push("release-1.0.0", "rebuilt")
    [request], _ = daemon.tick()
    assert request.run_key == f"release-1.0.0@{moved}"
    assert daemon.tick()[0] == []
    # Moved back: asked for, but Dagster has that run key.
    assert registry.push("release-1.0.0") == first
    daemon.tick()
    assert len(daemon.launched) == 3
    assert daemon.tick()[0] == []


def test_a_moved_tag_is_ignored(registry: FakeRegistry, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_QUALITY_ON_RETAG", "ignore")
    push_releases(registry, range(2))
    daemon.tick()
    registry.push("release-1.0.0", "rebuilt")
    assert daemon.tick()[0] == []
    assert registry.asked("HEAD ") == 2


def test_a_moved_tag_is_reported(registry: FakeRegistry, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_QUALITY_ON_RETAG", "alert")
    told: list[Retag] = []
    daemon.on_alert = told.append
    push_releases(registry, range(2))
    daemon.tick()
    moved = registry.push("release-1.0.0", "rebuilt")
    requests, message = daemon.tick()
    assert requests == []
    assert "release-1.0.0 was moved to another image: from" in message
    assert [(retag.tag, retag.digest) for retag in told] == [("release-1.0.0", moved)]
    assert "moved" not in daemon.tick()[1]
    assert len(told) == 1


def test_a_report_that_fails_holds_nothing_up_and_is_repeated(
    registry: FakeRegistry, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_QUALITY_ON_RETAG", "alert")
    failures = [OSError("no network"), None]

    def tell(retag: Retag) -> None:
        if failure := failures.pop(0):
            raise failure

    daemon.on_alert = tell
    push_releases(registry, range(2))
    daemon.tick()
    registry.push("release-1.0.0", "rebuilt")
    registry.push("release-2.0.0")
    assert tags_of(daemon.tick()[0]) == ["release-2.0.0"]
    assert "moved" in daemon.tick()[1]
    assert failures == []


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("tags/list", 500, times=100), "answers /v2/acme/vllm/tags/list with 500"),
        (Fault("tags/list", 429, {"Retry-After": "600"}, times=100), "allows no more requests for now (429)"),
        (Fault("tags/list", 403), "refuses to show 'acme/vllm' (403)"),
        (Fault("/token", 403, body=b'{"errors":[{"code":"DENIED"}]}'), "refuses to show 'acme/vllm' (403 DENIED)"),
        (Fault("tags/list", 200, body=b"<html>"), "sends something that is no list of tags"),
        (Fault("tags/list", 200, {"Link": '<http://127.0.0.1:9/>; rel="next"'}, b'{"tags":[]}'), "which is refused"),
        (Fault("HEAD ", 503, times=100), "with 503"),
    ],
)
def test_a_failed_read_changes_nothing(registry: FakeRegistry, daemon: Daemon, fault: Fault, sentence: str) -> None:
    push_releases(registry, range(2))
    daemon.tick()
    before = daemon.cursor
    registry.push("release-1.2.0")
    registry.fail(fault)
    requests, message = daemon.tick()
    assert requests == []
    assert sentence in message
    assert "s3cret" not in message
    assert daemon.cursor == before
    registry.faults.clear()
    assert tags_of(daemon.tick()[0]) == ["release-1.2.0"]


def test_a_release_whose_manifest_is_broken_is_named_and_waited_for(registry: FakeRegistry, daemon: Daemon) -> None:
    daemon.tick()
    push_releases(registry, range(2))
    registry.fail(Fault("manifests/release-1.1.0", 404, times=2))
    assert tags_of(daemon.tick()[0]) == ["release-1.0.0"]
    message = daemon.tick()[1]
    assert "1 new releases could not be read yet" in message
    assert "lists the tag 'release-1.1.0', but has no manifest for it" in message
    assert tags_of(daemon.tick()[0]) == ["release-1.1.0"]


@pytest.mark.parametrize(
    "cursor", ["", "nonsense", "{}", "[]", '{"version": 0}', '{"version": 2, "watched": "x"}', "null"]
)
def test_a_damaged_cursor_starts_anew_and_run_keys_keep_runs_single(
    registry: FakeRegistry, daemon: Daemon, cursor: str
) -> None:
    push_releases(registry, range(5))
    daemon.tick()
    daemon.cursor = cursor
    requests, _ = daemon.tick()
    assert tags_of(requests) == ["release-1.2.0", "release-1.3.0", "release-1.4.0"]
    assert len(daemon.launched) == 3
    assert daemon.tick()[0] == []


def test_another_pattern_or_image_starts_anew(
    registry: FakeRegistry, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_releases(registry, range(40))
    daemon.tick()
    monkeypatch.setenv("VLLM_QUALITY_TAG_PATTERN", "sha-.+")
    assert tags_of(daemon.tick()[0]) == ["sha-37", "sha-38", "sha-39"]


def test_a_partition_added_by_hand_is_evaluated_all_the_same(registry: FakeRegistry, daemon: Daemon) -> None:
    daemon.instance.add_dynamic_partitions("model_tag", ["release-1.0.0", "by-hand"])
    push_releases(registry, range(1))
    assert tags_of(daemon.tick()[0]) == ["release-1.0.0"]
    assert daemon.partitions() == {"release-1.0.0", "by-hand"}


def test_a_partition_deleted_by_hand_stays_deleted(registry: FakeRegistry, daemon: Daemon) -> None:
    push_releases(registry, range(5))
    daemon.tick()
    daemon.instance.delete_dynamic_partition("model_tag", "release-1.0.0")
    daemon.tick()
    assert "release-1.0.0" not in daemon.partitions()


def test_a_tick_that_is_killed_before_its_cursor_is_stored_is_repeated(registry: FakeRegistry, daemon: Daemon) -> None:
    push_releases(registry, range(1))
    daemon.tick()
    before = daemon.cursor
    registry.push("release-1.1.0")
    [lost], _ = daemon.tick(launch=False)
    daemon.cursor = before
    [again], _ = daemon.tick()
    assert again.run_key == lost.run_key
    daemon.cursor = before
    daemon.tick()
    assert len(daemon.launched) == len(set(daemon.launched)) == 2


def test_a_tag_that_cannot_be_a_partition_is_named(registry: FakeRegistry, daemon: Daemon) -> None:
    registry.push("release-1...2")
    _, message = daemon.tick()
    assert "'release-1...2' cannot be evaluated: Dagster refuses '...' in a partition key." in message


def test_a_message_stays_short(registry: FakeRegistry, daemon: Daemon) -> None:
    for number in range(50):
        registry.push(f"release-1...{number}")
    message = daemon.tick()[1]
    assert message.count("cannot be evaluated") == 5
    assert message.endswith("(And 45 more like that.)")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("IMAGE", "acme/vllm", "names no registry"),
        ("POLL_SECONDS", "never", "VLLM_QUALITY_POLL_SECONDS"),
        ("REGISTRY_TOKEN", "", "VLLM_QUALITY_REGISTRY_USER is set without VLLM_QUALITY_REGISTRY_TOKEN"),
    ],
)
def test_a_wrong_setting_is_a_sentence(
    registry: FakeRegistry, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    sensor = build_release_sensor(JOB)
    monkeypatch.setenv(f"VLLM_QUALITY_{name}", value)
    resources = {"registry": RegistryResource()}
    result = sensor(dg.build_sensor_context(instance=daemon.instance, resources=resources))
    assert isinstance(result, dg.SkipReason)
    assert sentence in str(result.skip_message)


def test_no_secret_is_stored(registry: FakeRegistry, daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    push_releases(registry, range(1))
    daemon.tick()
    shown = f"{daemon.cursor} {RegistryResource()!r} {capfd.readouterr()}"
    assert "s3cret" not in shown
    assert "tok-1-secret" not in shown
    assert set(json.loads(str(daemon.cursor))) == {"version", "watched", "seen", "checked"}
