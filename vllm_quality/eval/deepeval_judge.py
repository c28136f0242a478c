"""The judge in the form that deepeval's metrics take, with logprob-weighted G-Eval where the server gives logprobs."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

from pydantic import BaseModel

from vllm_quality.eval.judge import Judge, JudgeBlockedError, Said

Result = TypeVar("Result")

_MOST_LOGPROBS = 20  # what OpenAI's interface allows and vLLM's default


class GEvalGrade(BaseModel):
    """What G-Eval's prompt asks for, the score a whole number so that it can be found among the tokens."""

    reason: str
    score: int


def make_deepeval_judge(judge: Judge) -> Any:
    """The judge as a `DeepEvalBaseLLM`. Call it inside the loop that the judge's client lives in.

    Its methods may be awaited in other loops too: `deepeval test run` has one of its own.
    """
    from deepeval.models import DeepEvalBaseLLM

    loop = asyncio.get_running_loop()

    async def at_home(work: Coroutine[Any, Any, Result]) -> Result:
        if asyncio.get_running_loop() is loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def from_outside(work: Coroutine[Any, Any, Result]) -> Result:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is loop:
            work.close()
            raise JudgeBlockedError(
                "a metric calls the judge's generate() inside a_measure(); it must await a_generate()"
            )
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    async def answer(prompt: str, schema: type[BaseModel] | None) -> BaseModel | str:
        return await (judge.text(prompt) if schema is None else judge.structured(prompt, schema))

    async def raw(prompt: str, top_logprobs: int) -> tuple[Any, None]:
        grade, said = await judge.graded(prompt, GEvalGrade, min(top_logprobs, _MOST_LOGPROBS))
        return completion(grade, said), None

    class EndpointJudge(DeepEvalBaseLLM):  # type: ignore[misc]  # deepeval's classes are untyped for mypy
        def load_model(self) -> str:
            return judge.model

        def get_model_name(self) -> str:
            return judge.model

        async def a_generate(self, prompt: str, schema: type[BaseModel] | None = None) -> BaseModel | str:
            return await at_home(answer(prompt, schema))

        def generate(self, prompt: str, schema: type[BaseModel] | None = None) -> BaseModel | str:
            return from_outside(answer(prompt, schema))

        async def a_generate_raw_response(self, prompt: str, top_logprobs: int = 5) -> tuple[Any, None]:
            return await at_home(raw(prompt, top_logprobs))

        def generate_raw_response(self, prompt: str, top_logprobs: int = 5) -> tuple[Any, None]:
            return from_outside(raw(prompt, top_logprobs))

    return EndpointJudge(judge.model)


def completion(grade: GEvalGrade, said: Said) -> Any:
    """A grade as the chat completion that deepeval reads: `choices[0].message.content` and `.logprobs.content`.

    Without logprobs deepeval takes the score as it is.
    """
    tokens = None if said.logprobs is None else said.logprobs.get("content")
    logprobs = SimpleNamespace(content=[_token(token, grade.score) for token in tokens]) if tokens else None
    message = SimpleNamespace(content=grade.model_dump_json())
    return SimpleNamespace(choices=[SimpleNamespace(message=message, logprobs=logprobs)])


def _token(token: Mapping[str, Any], score: int) -> SimpleNamespace:
    return SimpleNamespace(
        token=str(token["token"]).strip(),
        logprob=float(token["logprob"]),
        top_logprobs=list(_alternatives(token.get("top_logprobs") or [], score)),
    )


def _alternatives(found: list[Mapping[str, Any]], score: int) -> Iterator[SimpleNamespace]:
    """The alternatives at one place, without those whose meaning is unknown.

    Where a tokenizer cuts numbers into digits, a "1" beside another score may be the beginning of 10.
    """
    known = {str(other["token"]).strip() for other in found}
    for other in found:
        digits = str(other["token"]).strip()
        if digits == "1" and score != 1 and "10" not in known:
            continue
        yield SimpleNamespace(token=digits, logprob=float(other["logprob"]))
