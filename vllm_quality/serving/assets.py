"""The asset that every measurement stands on: who answers for this release."""

from datetime import UTC, datetime

import dagster as dg

from vllm_quality.deployment import step_tags
from vllm_quality.partitions import model_tags
from vllm_quality.results.resources import ResultsResource, evaluation_id
from vllm_quality.run_tags import ENDPOINT_TAG, IMAGE_DIGEST_TAG, SEEN_AT_TAG
from vllm_quality.serving.endpoint import EndpointError, endpoint_name, identify_when_ready, resolve_base_url
from vllm_quality.serving.target import TARGET_FILE, Target
from vllm_quality.settings import Settings, load_settings


class TargetConfig(dg.Config):
    """Where this run measures; what is left out comes from the settings."""

    base_url: str | None = None
    model: str | None = None
    profile: str | None = None


def find_target(settings: Settings, tag: str, run_id: str, run_tags: dict[str, str]) -> Target:
    """Identify the endpoint that answers for a tag. Raises `EndpointError` when none is set or it cannot be used."""
    if settings.base_url is None:
        raise EndpointError(f"No endpoint is known for {tag!r}; set VLLM_QUALITY_BASE_URL or give --base-url.")
    seen_at = run_tags.get(SEEN_AT_TAG)
    endpoint = identify_when_ready(
        resolve_base_url(settings.base_url, tag),
        settings.model,
        settings.endpoint_key,
        settings.request_timeout_s,
        # The sensor sees an image before anybody can have rolled it out; a person names an endpoint that is there.
        patience_s=settings.rollout_wait_s if seen_at else 0,
    )
    return Target(
        run_id=run_id,
        model_tag=tag,
        endpoint=endpoint,
        profile=settings.profile,
        hardware=settings.hardware,
        image_digest=run_tags.get(IMAGE_DIGEST_TAG, ""),
        seen_at=datetime.fromisoformat(seen_at) if seen_at else None,
        started_at=datetime.now(UTC),
    )


@dg.asset(partitions_def=model_tags, group_name="serving", kinds={"vllm"}, op_tags=step_tags("light"))
def serving_endpoint(
    context: dg.AssetExecutionContext, config: TargetConfig, results: ResultsResource
) -> dg.MaterializeResult[None]:
    """The endpoint that answers for the release: address, model, engine and version, what it can do."""
    folder = results.run_folder(evaluation_id(context.instance, context.run))
    stored = folder.get_json(TARGET_FILE)
    if stored is None:
        chosen = {name: value for name, value in config.model_dump().items() if value is not None}
        found = find_target(load_settings(**chosen), context.partition_key, folder.run_id, dict(context.run.tags))
        stored = folder.keep_json(TARGET_FILE, found.as_json())
    target = Target.from_json(stored)
    endpoint = target.endpoint
    context.instance.add_run_tags(context.run.run_id, {ENDPOINT_TAG: endpoint_name(endpoint.base_url)})
    return dg.MaterializeResult(
        metadata={
            "base_url": dg.MetadataValue.url(endpoint.base_url),
            "model": endpoint.model,
            "engine": f"{endpoint.engine} {endpoint.engine_version}",
            "capabilities": ", ".join(endpoint.capabilities),
            "max_model_len": endpoint.max_model_len,
            "profile": target.profile,
            "image_digest": target.image_digest or "unknown (started by hand)",
        }
    )
