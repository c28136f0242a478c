"""The sensor that turns pushed tags into partitions and runs."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from vllm_quality.errors import UserError
from vllm_quality.partitions import model_tags
from vllm_quality.releases.cursor import Cursor, watched
from vllm_quality.releases.image import parse_image
from vllm_quality.releases.look import Look, look
from vllm_quality.releases.plan import DueRelease, Retag
from vllm_quality.releases.resources import RegistryResource
from vllm_quality.run_tags import IMAGE_DIGEST_TAG, SEEN_AT_TAG
from vllm_quality.settings import load_settings

if TYPE_CHECKING:
    from dagster._core.definitions.target import ExecutableDefinition  # has no public name

SENSOR_NAME = "ghcr_release_sensor"
SENTENCES_OF_A_KIND = 5

AlertHook = Callable[[Retag], None]


def build_release_sensor(job: "ExecutableDefinition", on_alert: AlertHook | None = None) -> dg.SensorDefinition:
    """The sensor that asks for a run of `job` for each release that is due in the watched registry.

    It runs by itself once VLLM_QUALITY_IMAGE is set. With `on_retag: alert`, a tag that moved to another image is named in
    the tick's log and message, and handed to `on_alert`; if that raises, the same tag is handed over again the next time.
    """
    settings = load_settings()

    @dg.sensor(
        name=SENSOR_NAME,
        job=job,
        minimum_interval_seconds=settings.poll_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if settings.image else dg.DefaultSensorStatus.STOPPED,
        description="Evaluates every new release tag of the watched image, and those that moved to another digest.",
    )
    def ghcr_release_sensor(
        context: dg.SensorEvaluationContext, registry: RegistryResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            return _tick(context, registry, on_alert)
        except UserError as error:
            # No cursor is returned, so Dagster keeps the one it has: a failed look changes nothing.
            context.log.warning(str(error))
            return dg.SkipReason(str(error))

    return ghcr_release_sensor


def _tick(
    context: dg.SensorEvaluationContext, registry: RegistryResource, on_alert: AlertHook | None
) -> dg.SensorResult | dg.SkipReason:
    settings = load_settings()
    if settings.image is None:
        return dg.SkipReason("No registry is watched; set VLLM_QUALITY_IMAGE, for example to ghcr.io/OWNER/NAME.")
    image = parse_image(settings.image)
    memory = Cursor.read(context.cursor, watched(image, settings.tag_pattern))
    with registry.open(image, settings) as client:
        found = look(client, settings, memory)
    unheard = _alert(context, found.plan.alerts, on_alert)
    cursor = found.cursor.model_copy(update={"seen": {**found.plan.seen, **unheard}})
    partitions = found.plan.add_partitions
    message = _message(found)
    context.log.info(message)
    return dg.SensorResult(
        run_requests=[_run_request(due, datetime.now(UTC)) for due in found.plan.evaluate],
        skip_reason=None if found.plan.evaluate else message,
        dynamic_partitions_requests=[model_tags.build_add_request(list(partitions))] if partitions else [],
        cursor=cursor.write(),
    )


def _run_request(due: DueRelease, seen_at: datetime) -> dg.RunRequest:
    """The request for one release; Dagster launches one run per key and sensor, ever.

    Why none is lost in Dagster 1.13.27 (dagster/_daemon/sensor.py; the kills and the refusal were tried, the rest is read):
    - killed before the tick's requests are stored: the cursor is still the old one, so the next tick finds the same due;
    - killed between storing and launching: the tick is resumed within 24 hours under the run ids it had reserved, later it
      is given up with the old cursor; the key, or the reserved id, keeps either from launching twice;
    - the code server is unreachable while launching: the tick fails, keeps the old cursor, and is tried again;
    - the run queue refuses the run: the tick succeeds and the cursor moves on, but the run is there, as failed, with a
      failure for the alerts to report and a button to re-execute it.
    """
    return dg.RunRequest(
        run_key=f"{due.tag}@{due.digest}",
        partition_key=due.tag,
        tags={
            IMAGE_DIGEST_TAG: due.digest,
            SEEN_AT_TAG: seen_at.isoformat(),
            "dagster/priority": "10",  # before backfills
        },
    )


def _alert(context: dg.SensorEvaluationContext, alerts: Iterable[Retag], on_alert: AlertHook | None) -> dict[str, str]:
    """Tell of moved tags; gives back the old fingerprints of those that could not be told of, so that they come up again."""
    unheard = {}
    for retag in alerts:
        context.log.warning(_moved(retag))
        if on_alert is None:
            continue
        try:
            on_alert(retag)
        except Exception:  # releases must not wait for whatever is wrong with telling a person
            context.log.exception(f"The alert about {retag.tag} could not be delivered; the next look tries again.")
            unheard[retag.tag] = retag.before
    return unheard


def _message(found: Look) -> str:
    plan = found.plan
    parts = [found.summary] if plan.evaluate else ["No release is due.", found.summary]
    if offered := len(plan.add_partitions) - len(plan.evaluate):
        parts.append(f"{offered} tags are new partitions, for a backfill.")
    if plan.unread:
        parts.append(f"{len(plan.unread)} new releases could not be read yet; the next look goes on with them.")
    parts += _some([_moved(retag) for retag in plan.alerts])
    parts += _some([f"{tag!r} cannot be evaluated: {reason}." for tag, reason in plan.rejected.items()])
    parts += _some(list(found.failures.values()))
    return " ".join(parts)


def _some(sentences: list[str]) -> list[str]:
    """The first few: Dagster keeps the message with every tick."""
    more = len(sentences) - SENTENCES_OF_A_KIND
    return sentences if more <= 0 else [*sentences[:SENTENCES_OF_A_KIND], f"(And {more} more like that.)"]


def _moved(retag: Retag) -> str:
    return f"The tag {retag.tag} was moved to another image: from {retag.before}… to {retag.digest}."
