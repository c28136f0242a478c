"""The items of a snapshot asked of a release, their answers measured, the judge watched: all that takes time."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from vllm_quality.eval.answers import Answer, Asking, Sampling, ask, check_ready
from vllm_quality.eval.canary_run import JudgedLabel
from vllm_quality.eval.client import in_order
from vllm_quality.eval.deepeval_alone import grade_alone
from vllm_quality.eval.deepeval_canary import judge_labelled
from vllm_quality.eval.deepeval_judge import make_deepeval_judge
from vllm_quality.eval.deepeval_measure import measure
from vllm_quality.eval.deepeval_results import Graded
from vllm_quality.eval.items import Item
from vllm_quality.eval.judge import Judge, JudgeSettings
from vllm_quality.eval.labelled import LabelledAnswer
from vllm_quality.eval.metric_registry import MetricClass

_MAX_TOKENS = 256


@dataclass(frozen=True)
class Work:
    """What there is to do.

    probe   how many of the first items are asked once more alone
    frozen  the answers that the judge grades again, where it judges anything
    """

    items: Sequence[Item]
    metrics: Sequence[MetricClass]
    probe: int
    frozen: Sequence[LabelledAnswer]

    @cached_property
    def meant(self) -> Mapping[str, Sequence[MetricClass]]:
        """Item's id -> the metrics that are meant for it."""
        return {item.id: [metric for metric in self.metrics if metric.applies_to(item)] for item in self.items}

    @property
    def judgements(self) -> int:
        """How often the judge is needed for the items."""
        return sum(metric.needs_judge for found in self.meant.values() for metric in found)


@dataclass
class Done:
    """What came of it; `forms` is how the judge was held to JSON and whether it gave logprobs."""

    graded: list[Graded] = field(default_factory=list)
    canary: list[JudgedLabel] = field(default_factory=list)
    alone: list[Graded] = field(default_factory=list)
    gave_up: str | None = None
    forms: Mapping[str, Any] = field(default_factory=dict)


class DeepevalRun:
    """Asks and measures the items of one snapshot.

    limit_s  seconds that the judge may take, after those that asking may
    """

    def __init__(self, work: Work, asking: Asking, judge: JudgeSettings | None, limit_s: float) -> None:
        self._work, self._asking, self._limit_s = work, asking, limit_s
        self._judge = judge if work.judgements else None
        self._frozen = work.frozen if self._judge is not None else []
        self._done, self._total = 0, 2 * len(work.items) + len(self._frozen)

    async def run(self) -> Done:
        """Ask, measure, ask some once more alone, and have the judge grade the canary. Raises `EndpointError`."""
        work, workers = self._work, self._asking.concurrency
        done = Done()
        async with AsyncExitStack() as stack:
            # The judge first: a wrong address must not cost a round of answers.
            judge = await self._open_judge(stack)
            model = make_deepeval_judge(judge) if judge is not None else None
            for metric in work.metrics:
                if model is not None or not metric.needs_judge:
                    metric.build(model)
            done.graded, done.gave_up = await self._grade_all(stack, model)
            if done.gave_up is None:
                drawn = [(item, sampling_of(item)) for item in work.items[: work.probe]]
                done.alone = await grade_alone(self._asking, drawn, work.meant)
            if judge is not None:
                done.canary = await judge_labelled(self._frozen, model, workers=workers)
                self._tick(len(self._frozen))
                done.forms = {"judge_form": judge.form, "judge_logprobs": judge.has_logprobs}
        return done

    async def _open_judge(self, stack: AsyncExitStack) -> Judge | None:
        if self._judge is None:
            return None
        asking = self._asking
        caller = self._judge.client(
            concurrency=asking.concurrency,
            timeout_s=asking.timeout_s,
            retry=asking.retry,
            deadline=None if asking.deadline is None else asking.deadline + self._limit_s,
        )
        # A judge that always breaks its JSON costs twice its judgements, not three times.
        spare = self._work.judgements + len(self._frozen)
        judge = Judge(await stack.enter_async_context(caller), self._judge.model, spare_asks=spare)
        await judge.check_ready()
        return judge

    async def _grade_all(self, stack: AsyncExitStack, model: Any) -> tuple[list[Graded], str | None]:
        """Every item's answer, measured, and why the release was given up, if it was."""
        asking, work = self._asking, self._work
        client = await stack.enter_async_context(asking.client())
        await check_ready(client, asking.endpoint, Sampling(_MAX_TOKENS), chat=True)

        async def answer(item: Item) -> Answer:
            found = await ask(client, asking.endpoint, item.messages, sampling_of(item))
            self._tick()
            return found

        async def grade(pair: tuple[Item, Answer]) -> Graded:
            item, found = pair
            judged = [await measure(metric, item, found, model) for metric in work.meant[item.id]]
            self._tick()
            return Graded(item, found, judged)

        answers = await in_order(work.items, answer, workers=asking.concurrency)
        pairs = list(zip(work.items, answers, strict=True))
        return await in_order(pairs, grade, workers=asking.concurrency), client.gave_up

    def _tick(self, count: int = 1) -> None:
        self._done += count
        if self._asking.on_progress is not None:
            self._asking.on_progress(self._done, self._total)


def sampling_of(item: Item) -> Sampling:
    """How an item is asked: greedily, with the length its metadata's `max_tokens` gives."""
    wanted = item.metadata.get("max_tokens")
    return Sampling(wanted if isinstance(wanted, int) and wanted > 0 else _MAX_TOKENS)
