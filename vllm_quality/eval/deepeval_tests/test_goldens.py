"""A golden file asked of a release, each answer asserted by every metric that is meant for it.

`VLLM_QUALITY_BASE_URL=http://… deepeval test run <this folder> [--goldens FILE]`
"""

from collections.abc import Callable
from typing import Any

import pytest

from vllm_quality.eval.answers import Answer
from vllm_quality.eval.items import Item
from vllm_quality.eval.metric_registry import MetricClass


def test_golden(
    golden: Item, answer_of: Callable[[Item], Answer], metrics: list[MetricClass], judge: Any, record_property: Any
) -> None:
    """The release's answer passes every metric; a judged one is left out where there is no judge."""
    from deepeval import assert_test

    meant = [
        metric for metric in metrics if metric.applies_to(golden) and (judge is not None or not metric.needs_judge)
    ]
    if not meant:
        pytest.skip("no metric is meant for this golden")
    answer = answer_of(golden)
    if answer.status == "infra_error":
        pytest.fail(f"there is no answer: {answer.error}", pytrace=False)
    record_property("answer", answer.text)
    for conversational in (False, True):
        own = [metric for metric in meant if metric.conversational is conversational]
        if own:
            case = own[0].case_of(golden, answer.text)
            # Not run_async: it would need a loop that deepeval makes and never closes.
            assert_test(case, [metric.build(judge) for metric in own], run_async=False)
