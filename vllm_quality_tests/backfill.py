"""Evaluate tags one after the other in this process, as a backfill does, and print their verdicts as JSON.

    python -m vllm_quality_tests.backfill TAG…

The settings come from the environment; `{tag}` in VLLM_QUALITY_BASE_URL gives each release its own endpoint.
"""

import json
import sys
from uuid import uuid4

from vllm_quality.evaluation import evaluate, open_instance
from vllm_quality.settings import load_settings


def main(tags: list[str]) -> None:
    """Evaluate them in the order given."""
    found = {}
    with open_instance(load_settings()) as instance:
        for tag in tags:
            outcome = evaluate(instance, tag, overrides={}, dagster_run_id=str(uuid4()))
            found[tag] = outcome.error or (outcome.verdict.status if outcome.verdict else "nothing")
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
