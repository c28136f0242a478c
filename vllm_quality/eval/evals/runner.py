"""The rows of an eval asked of a release and graded, side by side."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from vllm_quality.eval.answers import Answer, Asking, Progress, ask, check_ready
from vllm_quality.eval.client import ModelClient, RetryPolicy, in_order
from vllm_quality.eval.evals.outcome import Outcome, judge_of, result_of
from vllm_quality.eval.evals.plan import Check, EvalError, Plan, Row
from vllm_quality.eval.evals.rows import complete_sample
from vllm_quality.eval.graders.bench import Bench, Grade
from vllm_quality.eval.graders.embeddings import Embedder
from vllm_quality.eval.graders.python_grader import PythonLimits
from vllm_quality.eval.judge import Judge, JudgeSettings


class Runner:
    """Asks and grades the rows of one plan; `asking` is None where nobody has to be asked."""

    def __init__(
        self,
        plan: Plan,
        asking: Asking | None,
        judge: JudgeSettings | None,
        embedding_model: str | None,
        concurrency: int,
        timeout_s: float,
        retry: RetryPolicy,
        limits: PythonLimits | None,
        grading_limit_s: float,
    ) -> None:
        self._plan, self._asking, self._judge, self._embedding_model = plan, asking, judge, embedding_model
        self._concurrency, self._timeout_s, self._retry, self._limits = concurrency, timeout_s, retry, limits
        self._grading_limit_s, self._grade_until = grading_limit_s, 0.0
        self._embeds = judge is not None and embedding_model is not None and "embeddings" in plan.needs

    async def run(
        self, rows: Sequence[tuple[str, Row]], on_progress: Progress | None
    ) -> tuple[list[Outcome], str | None]:
        """What became of each row, and why the release was given up, if it was. Raises `EndpointError`."""
        done = 0

        def tick() -> None:
            nonlocal done
            done += 1
            if on_progress is not None:
                on_progress(done, 2 * len(rows))

        async def answer(pair: tuple[str, Row]) -> tuple[Answer, float]:
            started = time.monotonic()
            found = await self._answer(client, pair[1])
            tick()
            return found, time.monotonic() - started

        async def grade(entry: tuple[tuple[str, Row], tuple[Answer, float]]) -> Outcome:
            (key, row), (found, asked_s) = entry
            outcome = await self._grade(bench, key, row, found, asked_s)
            tick()
            return outcome

        async with AsyncExitStack() as stack:
            bench = await self._bench(stack)  # the judge first: a wrong address must not cost a round of answers
            client = None
            if self._asking is not None and any(row.sample is None for _, row in rows):
                client = await stack.enter_async_context(self._asking.client())
                await check_ready(client, self._asking.endpoint, self._plan.sampling, chat=True)
            answers = await in_order(rows, answer, workers=self._concurrency)
            pairs = list(zip(rows, answers, strict=True))
            self._grade_until = time.monotonic() + self._grading_limit_s
            outcomes = await in_order(pairs, grade, workers=self._concurrency)
            return outcomes, client.gave_up if client else None

    async def _bench(self, stack: AsyncExitStack) -> Bench:
        judge = embedder = None
        if self._judge is not None and {"judge", "embeddings"} & set(self._plan.needs):
            caller = self._judge.client(concurrency=self._concurrency, timeout_s=self._timeout_s, retry=self._retry)
            client = await stack.enter_async_context(caller)
            if "judge" in self._plan.needs:
                judge = Judge(client, self._judge.model)
                await judge.check_ready()
            if self._embeds:
                embedder = Embedder(client, self._embedding_model or "")
                await embedder.check_ready()
        return Bench(judge, embedder, self._limits)

    async def _answer(self, client: ModelClient | None, row: Row) -> Answer:
        if row.sample is not None:
            return Answer(str(row.sample["output_text"]), "ok")
        if client is None or self._asking is None or row.messages is None:
            raise EvalError(f"Eval {self._plan.name!r}: line {row.line} has nobody to ask.")
        return await ask(client, self._asking.endpoint, row.messages, self._plan.sampling)

    async def _grade(self, bench: Bench, key: str, row: Row, answer: Answer, asked_s: float) -> Outcome:
        sample = row.sample if row.sample is not None else self._sample(row, answer)
        results = {}
        for name, check in row.checks.items():
            lost = answer.status == "infra_error"
            judge = judge_of(
                check, self._judge.model if self._judge else None, self._embedding_model if self._embeds else None
            )
            grade = None if lost else await self._one_grade(bench, check, sample, row)
            results[name] = result_of(check, answer, grade, judge)
        return Outcome(row, key, answer, results, asked_s)

    async def _one_grade(self, bench: Bench, check: Check, sample: Mapping[str, Any], row: Row) -> Grade:
        """A judge, or somebody's code, that takes its time must not take everybody's."""
        try:
            async with asyncio.timeout(self._grade_until - time.monotonic()):
                return await bench.grade(check.grader, sample, row.item)
        except TimeoutError:
            return Grade(None, status="judge_error", reason="the time for grading was over")

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
