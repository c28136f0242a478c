"""A model's answer to one prompt, with everything that decides whether it counts. Shared by lm-eval and deepeval suites."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vllm_quality.eval.client import ModelClient, RequestFailedError, RetryPolicy
from vllm_quality.serving.endpoint import Endpoint, EndpointError

Message = Mapping[str, str]
Prompt = str | Sequence[Message]
Progress = Callable[[int, int], None]  # what is done, what is to do
Status = Literal["ok", "model_error", "infra_error", "judge_error", "truncated"]

SEED = 1234
_MOST_STOPS = 4  # what OpenAI's interface promises; vLLM and llama.cpp take any number


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn: the same at any concurrency."""

    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    seed: int = SEED
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What came back for one prompt.

    status  "ok"; "truncated": the token limit cut it off; "model_error": the server answered without a text, or
            refused the prompt, and the empty text counts; "infra_error": there is no answer, so there is no score
    reached False where the time for the whole suite was over first
    """

    text: str
    status: Status
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    error: str | None = None
    reached: bool = True


@dataclass(frozen=True)
class Asking:
    """How an endpoint is asked: where, with which key, how many at once, how long and how often.

    deadline  on the monotonic clock: what has no answer by then gets none; None waits for everything
    """

    endpoint: Endpoint
    api_key: str | None = field(repr=False)
    concurrency: int
    timeout_s: float
    retry: RetryPolicy
    on_progress: Progress | None = None
    deadline: float | None = None

    def client(self) -> ModelClient:
        """A client for the endpoint, to be used as a context manager."""
        return ModelClient(
            self.endpoint.base_url,
            self.api_key,
            concurrency=self.concurrency,
            timeout_s=self.timeout_s,
            retry=self.retry,
            deadline=self.deadline,
        )


async def ask(client: ModelClient, endpoint: Endpoint, prompt: Prompt, sampling: Sampling) -> Answer:
    """One answer: a string goes to /v1/completions, messages to /v1/chat/completions with the server's own template.

    Raises `EndpointError` when no request at all can be had.
    """
    path, body = _request(endpoint, prompt, sampling)
    try:
        return await client.post(path, body, lambda answer: _read(answer, sampling.stop))
    except RequestFailedError as error:
        return unanswered(error)


def unanswered(error: RequestFailedError) -> Answer:
    """The answer in place of one that could not be had."""
    return Answer("", "model_error" if error.refused else "infra_error", error=str(error), reached=error.reached)


async def check_ready(client: ModelClient, endpoint: Endpoint, sampling: Sampling, *, chat: bool) -> None:
    """Send one tiny request of the kind that is to come. Raises `EndpointError` rather than let thousands fail alike."""
    path, body = _request(endpoint, [{"role": "user", "content": "Hi"}] if chat else "Hi", sampling)
    try:
        await client.post(path, {**body, "max_tokens": 1}, lambda answer: _read(answer, ()))
    except RequestFailedError as error:
        raise EndpointError(
            f"{client.base_url}{path} does not answer for {endpoint.model!r} ({error}); check the server and its log."
        ) from None


def _request(endpoint: Endpoint, prompt: Prompt, sampling: Sampling) -> tuple[str, dict[str, Any]]:
    stop = list(sampling.stop) if endpoint.engine != "unknown" else list(sampling.stop[:_MOST_STOPS])
    body: dict[str, Any] = {
        "model": endpoint.model,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "seed": sampling.seed,
        **sampling.extra,
    }
    if stop:
        body["stop"] = stop
    if isinstance(prompt, str):
        return "/v1/completions", {**body, "prompt": prompt}
    if prompt[-1]["role"] == "assistant" and endpoint.engine == "vllm":
        # The last message is the beginning of the answer; vLLM has to be told to go on with it.
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return "/v1/chat/completions", {**body, "messages": [dict(message) for message in prompt]}


def _read(answer: Mapping[str, Any], stop: Sequence[str]) -> Answer:
    choice = answer["choices"][0]
    text = choice["message"].get("content") if "message" in choice else choice["text"]
    finish, usage = choice.get("finish_reason"), answer.get("usage") or {}
    if finish == "length":
        status: Status = "truncated"
    else:
        status = "ok" if isinstance(text, str) else "model_error"
    error = None if isinstance(text, str) else "the answer's content is null"
    counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
    sound = (text or "").encode("utf-8", "replace").decode()  # JSON can hold half a surrogate pair, UTF-8 cannot
    return Answer(_cut(sound, stop), status, finish, *counts, error)


def _cut(text: str, stop: Sequence[str]) -> str:
    ends = [position for position in (text.find(mark) for mark in stop if mark) if position >= 0]
    return text[: min(ends)] if ends else text
