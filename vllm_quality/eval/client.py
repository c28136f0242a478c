"""The one way in which evaluation talks to a server: JSON over HTTP, bounded in flight, in time, in size and in retries."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from vllm_quality.serving.endpoint import EndpointError, auth_headers

LARGEST_ANSWER = 64 * 1024 * 1024  # bytes; the logprobs of a batch of long prompts are a few MiB
_CONNECT_S = 10.0
_LONGEST_RETRY_AFTER_S = 60.0
_TRIES_AFTER_TIMEOUT = 2  # a request that ran into the timeout twice will do so again
_KEY_REFUSED = (401, 403)
_TRANSIENT = (408, 425, 429)

Item = TypeVar("Item")
Result = TypeVar("Result")


class RequestFailedError(Exception):
    """One request could not be had, after all its retries. The text is safe to show.

    refused  the server answered that it does not take this request (400, 413, 422 …): asking again is no use
    """

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class _TransientError(Exception):
    def __init__(self, reason: str, *, retry_after_s: float | None = None, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.timed_out = timed_out


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently one request is tried."""

    attempts: int = 4
    first_wait_s: float = 0.5
    longest_wait_s: float = 10.0

    def _stop(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _TransientError) and error.timed_out and state.attempt_number >= _TRIES_AFTER_TIMEOUT:
            return True
        return state.attempt_number >= self.attempts

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _TransientError) and error.retry_after_s is not None:
            return min(error.retry_after_s, _LONGEST_RETRY_AFTER_S)
        wait = wait_exponential_jitter(multiplier=self.first_wait_s, max=self.longest_wait_s, jitter=self.first_wait_s)
        return wait(state)

    def retrying(self) -> AsyncRetrying:
        """The loop that tries a request again while its failure may pass."""
        return AsyncRetrying(
            stop=self._stop, wait=self._wait, retry=retry_if_exception_type(_TransientError), reraise=True
        )


class ModelClient:
    """Posts JSON to one server; use it as an async context manager.

    When `give_up_after` requests in a row have failed with all their retries, the server is taken for gone: from then on
    every request fails at once, with `gave_up` saying why.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        concurrency: int,
        timeout_s: float,
        retry: RetryPolicy | None = None,
        key_setting: str = "VLLM_QUALITY_API_KEY",
        largest_answer: int = LARGEST_ANSWER,
    ) -> None:
        self.base_url = base_url
        self.gave_up: str | None = None
        self.give_up_after = max(16, 2 * concurrency)
        self._api_key = api_key
        self._key_setting = key_setting
        self._largest_answer = largest_answer
        self._timeout_s = timeout_s
        self._retry = retry or RetryPolicy()
        self._slots = asyncio.Semaphore(concurrency)
        self._failed_in_a_row = 0
        self._http = httpx.AsyncClient(
            headers=auth_headers(api_key),
            timeout=httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s), pool=None),
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def post(self, path: str, body: Mapping[str, Any], read: Callable[[dict[str, Any]], Result]) -> Result:
        """What `read` makes of the JSON object that the server answers.

        An answer that `read` cannot use (it raises ValueError or a lookup's error) is asked for again. Raises
        `RequestFailedError` when this request cannot be had, `EndpointError` when none can (key refused, nothing there).
        """
        if self.gave_up is not None:
            raise RequestFailedError(self.gave_up)
        content = json.dumps(body).encode()  # escaped: half a surrogate pair has no UTF-8
        try:
            async for attempt in self._retry.retrying():
                with attempt:
                    result = _understand(await self._once(path, content), read)
        except _TransientError as error:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= self.give_up_after and self.gave_up is None:
                self.gave_up = (
                    f"{self.base_url} stopped answering: {self._failed_in_a_row} requests in a row failed ({error})"
                )
            raise RequestFailedError(str(error)) from None
        self._failed_in_a_row = 0
        return result

    async def _once(self, path: str, content: bytes) -> dict[str, Any]:
        try:
            # httpx times each read; a server that trickles its answer would never run into that.
            async with self._slots, asyncio.timeout(self._timeout_s):
                status, headers, raw = await self._exchange(path, content)
        except (httpx.TimeoutException, TimeoutError):
            raise _TransientError(f"no answer within {self._timeout_s:g} s", timed_out=True) from None
        except httpx.RequestError as error:
            raise _TransientError(self._clean(f"{type(error).__name__}: {error}")) from None
        self._refuse(path, status, headers, raw)
        try:
            answer = json.loads(raw)
        except ValueError:
            raise _TransientError("the answer is not JSON") from None
        if not isinstance(answer, dict):
            raise _TransientError("the answer is not a JSON object")
        return answer

    async def _exchange(self, path: str, content: bytes) -> tuple[int, httpx.Headers, bytes]:
        headers = {"Content-Type": "application/json"}
        async with self._http.stream("POST", self.base_url + path, content=content, headers=headers) as response:
            raw = bytearray()
            async for chunk in response.aiter_bytes():
                raw += chunk
                if len(raw) > self._largest_answer:
                    raise RequestFailedError(f"the answer is larger than {self._largest_answer} bytes", refused=True)
            return response.status_code, response.headers, bytes(raw)

    def _refuse(self, path: str, status: int, headers: httpx.Headers, raw: bytes) -> None:
        if status < 300:
            return
        said = self._clean(_message(raw))
        if status in _KEY_REFUSED:
            raise EndpointError(
                f"{self.base_url} refused the API key ({status}); set {self._key_setting} to one it accepts."
            )
        if status < 400 or status == 404:
            raise EndpointError(
                f"{self.base_url}{path} answered {status}{f' ({said})' if said else ''}; "
                "check the address and that the model is still served there."
            )
        if status in _TRANSIENT or status >= 500:
            raise _TransientError(f"HTTP {status}{f': {said}' if said else ''}", retry_after_s=_seconds(headers))
        raise RequestFailedError(f"HTTP {status}{f': {said}' if said else ''}", refused=True)

    def _clean(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text


def _understand(answer: dict[str, Any], read: Callable[[dict[str, Any]], Result]) -> Result:
    try:
        return read(answer)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _TransientError(f"the answer is not what the OpenAI interface promises ({error!r})") from None


def _message(raw: bytes) -> str:
    text = raw[:4096].decode("utf-8", "replace")
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        error = answer.get("error", answer)
        found = error.get("message", error.get("detail")) if isinstance(error, dict) else error
        text = str(found or text)
    return " ".join(text.split())[:200]


def _seconds(headers: httpx.Headers) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None


async def in_order(items: Sequence[Item], work: Callable[[Item], Awaitable[Result]], *, workers: int) -> list[Result]:
    """The result of `work` for each item, in the items' order; `workers` at a time. The first error ends it all."""
    results: dict[int, Result] = {}
    queue = iter(enumerate(items))

    async def take() -> None:
        for index, item in queue:
            results[index] = await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(workers, len(items))):
                group.create_task(take())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [results[index] for index in range(len(items))]


def run_async(start: Callable[[], Awaitable[Result]]) -> Result:
    """Run a coroutine function to its end, also where a loop already runs (a notebook)."""

    async def main() -> Result:
        return await start()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, main()).result()
