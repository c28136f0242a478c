"""The tags that our runs carry, beside Dagster's own."""

ENDPOINT_TAG = "endpoint"  # the run queue admits one run per value (dagster.yaml)
IMAGE_DIGEST_TAG = "vllm_quality/image_digest"
SEEN_AT_TAG = "vllm_quality/seen_at"  # when the sensor saw the tag, ISO 8601
EVALUATION_TAG = "vllm_quality/evaluation"  # the evaluation that this run goes on with

STARTED_BY_TAG = "vllm_quality/started_by"  # "cli": the command line, whose runs no daemon watches

PARTITION_TAG = "dagster/partition"  # Dagster's
