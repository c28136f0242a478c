"""A few items of the snapshot asked once more, one at a time: some regressions show only under load (see `lm_alone.py`)."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from vllm_quality.eval.answers import Asking, Sampling, ask
from vllm_quality.eval.deepeval_measure import measure
from vllm_quality.eval.deepeval_results import STEP, SUITE, Graded, sample_rows, text_row
from vllm_quality.eval.items import Item
from vllm_quality.eval.lm_alone import Compared, alone_suite, load_metrics
from vllm_quality.eval.metric_registry import MetricClass


async def grade_alone(
    asking: Asking, items: Sequence[tuple[Item, Sampling]], meant: Mapping[str, Sequence[MetricClass]]
) -> list[Graded]:
    """The items asked at concurrency 1 and measured by those of their metrics that need no judge.

    meant  item's id -> the metrics that are meant for it
    """
    graded = []
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(replace(asking, concurrency=1).client())
        for item, sampling in items:
            answer = await ask(client, asking.endpoint, item.messages, sampling)
            metrics = [metric for metric in meant[item.id] if not metric.needs_judge]
            graded.append(Graded(item, answer, [await measure(metric, item, answer, None) for metric in metrics]))
    return graded


def alone_metrics(together: Sequence[Graded], alone: Sequence[Graded]) -> dict[str, float]:
    """How the answers under load differ from those alone, as in the benchmarks' suites; nothing where none was asked."""
    return load_metrics(STEP, [*map(_compared, together)], [*map(_compared, alone)]) if alone else {}


def _compared(entry: Graded) -> Compared:
    scores = {judged.metric.name: judged.score for judged in entry.judged if not judged.metric.needs_judge}
    return Compared(entry.item.id, scores, entry.answer.text, entry.answer.status)


def alone_samples(entry: Graded) -> list[dict[str, object]]:
    """An item's rows of the `samples` table; suite and metrics have other names than those of the suite's own run."""
    return [{**row, "suite": alone_suite(SUITE), "metric": f"{row['metric']}_alone"} for row in sample_rows(entry)]


def alone_text(entry: Graded) -> dict[str, object]:
    """An item's row of the texts."""
    return {**text_row(entry), "suite": alone_suite(SUITE)}
