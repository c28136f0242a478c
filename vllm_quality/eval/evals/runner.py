"""The rows of an eval asked of a release and graded, side by side; a few asked once more alone, and the judge watched."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from vllm_quality.eval.answers import Answer, Asking, Progress, ask, check_ready
from vllm_quality.eval.canary_run import JudgedLabel
from vllm_quality.eval.client import ModelClient, RetryPolicy, in_order
from vllm_quality.eval.evals.alone import drawn_rows
from vllm_quality.eval.evals.canary import grade_labelled
from vllm_quality.eval.evals.outcome import Outcome, judge_of, result_of
from vllm_quality.eval.evals.plan import EvalError, Plan, Row
from vllm_quality.eval.evals.rows import complete_sample
from vllm_quality.eval.graders.bench import LATE, Bench, Grade
from vllm_quality.eval.graders.embeddings import Embedder
from vllm_quality.eval.graders.python_grader import PythonLimits
from vllm_quality.eval.graders.schema import Grader
from vllm_quality.eval.judge import Judge, JudgeSettings
from vllm_quality.eval.labelled import LabelledAnswer

Keyed = tuple[str, Row]


@dataclass(frozen=True)
class Grading:
    """How answers are graded: by which judge, with whose embeddings, how many at once and how long.

    limits   of python graders
    limit_s  seconds that grading may take in all; what is not graded by then has no score
    """

    judge: JudgeSettings | None
    embedding_model: str | None
    concurrency: int
    timeout_s: float
    retry: RetryPolicy
    limits: PythonLimits | None
    limit_s: float


@dataclass
class Done:
    """What became of the rows, of those asked once more alone, and of the canary; why the release was given up."""

    outcomes: list[Outcome] = field(default_factory=list)
    alone: list[Outcome] = field(default_factory=list)
    canary: list[JudgedLabel] = field(default_factory=list)
    gave_up: str | None = None


class Runner:
    """Asks and grades the rows of one plan; `asking` is None where nobody has to be asked."""

    def __init__(self, plan: Plan, asking: Asking | None, grading: Grading) -> None:
        self._plan, self._asking, self._grading = plan, asking, grading
        self._judges = grading.judge is not None and "judge" in plan.needs
        self._embeds = grading.judge is not None and grading.embedding_model is not None and "embeddings" in plan.needs
        self._grade_until = 0.0

    async def run(
        self,
        rows: Sequence[Keyed],
        on_progress: Progress | None,
        *,
        probe: int = 0,
        frozen: Sequence[LabelledAnswer] = (),
    ) -> Done:
        """Ask and grade. Raises `EndpointError`.

        probe   how many rows are asked once more alone, where the answers should be the same
        frozen  the answers that the judge grades again, where it judges anything
        """
        frozen, workers = frozen if self._judges else (), self._grading.concurrency
        tick = _ticker(on_progress, 2 * len(rows) + len(frozen))
        done = Done()
        async with AsyncExitStack() as stack:
            bench = await self._bench(stack)  # the judge first: a wrong address must not cost a round of answers
            client = await self._open(stack, rows)

            async def answer(pair: Keyed) -> tuple[Answer, float]:
                found = await self._answer(client, pair[1])
                tick(1)
                return found

            async def grade(entry: tuple[Keyed, tuple[Answer, float]]) -> Outcome:
                outcome = await self._grade(bench, *entry)
                tick(1)
                return outcome

            answers = await in_order(rows, answer, workers=workers)
            self._grade_until = time.monotonic() + self._grading.limit_s
            done.outcomes = await in_order([*zip(rows, answers, strict=True)], grade, workers=workers)
            done.gave_up = client.gave_up if client else None
            if self._asking is not None and self._plan.greedy and done.gave_up is None:
                done.alone = await self._alone(self._asking, bench, drawn_rows(rows, probe))
            done.canary = await self._canary(bench, frozen)
            tick(len(frozen))
        return done

    async def _bench(self, stack: AsyncExitStack) -> Bench:
        judge, embedder, given = None, None, self._grading
        if given.judge is not None and (self._judges or "embeddings" in self._plan.needs):
            caller = given.judge.client(concurrency=given.concurrency, timeout_s=given.timeout_s, retry=given.retry)
            client = await stack.enter_async_context(caller)
            if self._judges:
                judge = Judge(client, given.judge.model)
                await judge.check_ready()
            if self._embeds:
                embedder = Embedder(client, given.embedding_model or "")
                await embedder.check_ready()
        return Bench(judge, embedder, given.limits)

    async def _open(self, stack: AsyncExitStack, rows: Sequence[Keyed]) -> ModelClient | None:
        if self._asking is None or all(row.sample is not None for _, row in rows):
            return None
        client = await stack.enter_async_context(self._asking.client())
        await check_ready(client, self._asking.endpoint, self._plan.sampling, chat=True)
        return client

    async def _answer(self, client: ModelClient | None, row: Row) -> tuple[Answer, float]:
        """The answer and the seconds that it took."""
        if row.sample is not None:
            return Answer(str(row.sample["output_text"]), "ok"), 0.0
        if client is None or self._asking is None or row.messages is None:
            raise EvalError(f"Eval {self._plan.name!r}: line {row.line} has nobody to ask.")
        started = time.monotonic()
        found = await ask(client, self._asking.endpoint, row.messages, self._plan.sampling)
        return found, time.monotonic() - started

    async def _grade(self, bench: Bench, pair: Keyed, answered: tuple[Answer, float]) -> Outcome:
        (key, row), (answer, asked_s) = pair, answered
        sample = row.sample if row.sample is not None else self._sample(row, answer)
        model = self._grading.judge.model if self._grading.judge else None
        results = {}
        for name, check in row.checks.items():
            judge = judge_of(check, model, self._grading.embedding_model if self._embeds else None)
            lost = answer.status == "infra_error"
            grade = None if lost else await self._one_grade(bench, check.grader, sample, row.item)
            results[name] = result_of(check, answer, grade, judge)
        return Outcome(row, key, answer, results, asked_s)

    async def _one_grade(
        self, bench: Bench, grader: Grader, sample: Mapping[str, Any], item: Mapping[str, Any]
    ) -> Grade:
        """A judge, or somebody's code, that takes its time must not take everybody's."""
        try:
            async with asyncio.timeout(self._grade_until - time.monotonic()):
                return await bench.grade(grader, sample, item)
        except TimeoutError:
            return LATE

    async def _alone(self, asking: Asking, bench: Bench, rows: Sequence[Keyed]) -> list[Outcome]:
        if not rows:
            return []
        async with replace(asking, concurrency=1).client() as client:
            return [await self._grade(bench, pair, await self._answer(client, pair[1])) for pair in rows]

    async def _canary(self, bench: Bench, frozen: Sequence[LabelledAnswer]) -> list[JudgedLabel]:
        if self._grading.judge is None or not frozen:
            return []

        async def grade(grader: Grader, sample: Mapping[str, Any], item: Mapping[str, Any]) -> Grade:
            return await self._one_grade(bench, grader, sample, item)

        return await grade_labelled(frozen, grade, self._grading.judge.model, workers=self._grading.concurrency)

    def _sample(self, row: Row, answer: Answer) -> dict[str, Any]:
        """The answer in the form that OpenAI's graders see."""
        message = {"role": "assistant", "content": answer.text}
        return complete_sample(
            {
                "output_text": answer.text,
                "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
                "finish_reason": answer.finish_reason,
                "input": list(row.messages or ()),
                "model": self._asking.endpoint.model if self._asking else "",
            }
        )


def _ticker(on_progress: Progress | None, total: int) -> Callable[[int], None]:
    done = 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        if on_progress is not None:
            on_progress(done, total)

    return tick
