"""The one way in which evaluation talks to a server: JSON over HTTP, bounded in flight, in time, in size and in retries."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from vllm_quality.eval.http_facts import proxy_for, retry_after, said_in
from vllm_quality.serving.endpoint import EndpointError, auth_headers

if TYPE_CHECKING:
    import aiohttp

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
    reached  False when the time for all requests was over before this one had its answer
    """

    def __init__(self, reason: str, *, refused: bool = False, reached: bool = True) -> None:
        super().__init__(reason)
        self.refused = refused
        self.reached = reached


class _TransientError(Exception):
    def __init__(self, reason: str, *, retry_after_s: float | None = None, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.timed_out = timed_out


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently one request is tried, and how many retries all requests of a client share.

    reserve, share  a client may retry `reserve` times, and `share` times more for each request: what a server that fails
                    half of the time needs, but never several times the work
    """

    attempts: int = 4
    first_wait_s: float = 0.5
    longest_wait_s: float = 10.0
    reserve: int = 50
    share: float = 1.0

    def is_last(self, error: _TransientError, attempt: int) -> bool:
        """Whether a request whose try number `attempt` (from 1) ended so has been tried often enough."""
        return attempt >= (min(self.attempts, _TRIES_AFTER_TIMEOUT) if error.timed_out else self.attempts)

    def wait_s(self, error: _TransientError, attempt: int) -> float:
        """Seconds before the next try, twice as many each time; the server's own wish goes first."""
        if error.retry_after_s is not None:
            return min(error.retry_after_s, _LONGEST_RETRY_AFTER_S)
        jitter = random.uniform(0, self.first_wait_s)  # noqa: S311  # so that those who failed together come apart
        return min(self.first_wait_s * 2.0 ** (attempt - 1) + jitter, self.longest_wait_s)


class ModelClient:
    """Posts JSON to one server; use it as an async context manager.

    deadline  on the monotonic clock; from then on every request fails at once, as not reached
    gave_up   why the server is taken for gone, after `give_up_after` failures in a row: then every request fails at once
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
        deadline: float | None = None,
    ) -> None:
        self.base_url = base_url
        self.gave_up: str | None = None
        self.give_up_after = max(16, 2 * concurrency)
        self._api_key = api_key
        self._key_setting = key_setting
        self._largest_answer = largest_answer
        self._timeout_s = timeout_s
        self._deadline = deadline
        self._retry = retry or RetryPolicy()
        self._retries_left = float(self._retry.reserve)
        self._slots = asyncio.Semaphore(concurrency)
        self._failed_in_a_row = 0
        self._concurrency = concurrency
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # httpx takes 1.5 ms of CPU for a request, which is what a loglikelihood suite would then wait for.
        import aiohttp

        self._http = aiohttp.ClientSession(
            headers={**auth_headers(self._api_key), "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(_CONNECT_S, self._timeout_s)),
            connector=aiohttp.TCPConnector(limit=self._concurrency),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy_for(self.base_url),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def post(self, path: str, body: Mapping[str, Any], read: Callable[[dict[str, Any]], Result]) -> Result:
        """What `read` makes of the JSON object that the server answers.

        An answer that `read` cannot use (it raises ValueError or a lookup's error) is asked for again. Raises
        `RequestFailedError` when this request cannot be had, `EndpointError` when none can (key refused, nothing there).
        """
        if self.gave_up is not None:
            raise RequestFailedError(self.gave_up)
        content = json.dumps(body).encode()  # escaped: half a surrogate pair has no UTF-8
        self._retries_left += self._retry.share
        try:
            async with asyncio.timeout(None if self._deadline is None else self._deadline - time.monotonic()):
                result = await self._with_retries(path, content, read)
        except TimeoutError:
            raise RequestFailedError("the time for this suite was over", reached=False) from None
        except _TransientError as error:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= self.give_up_after and self.gave_up is None:
                self.gave_up = (
                    f"{self.base_url} stopped answering: {self._failed_in_a_row} requests in a row failed ({error})"
                )
            raise RequestFailedError(str(error)) from None
        self._failed_in_a_row = 0
        return result

    async def _with_retries(self, path: str, content: bytes, read: Callable[[dict[str, Any]], Result]) -> Result:
        attempt = 0
        while True:
            attempt += 1
            try:
                return _understand(await self._once(path, content), read)
            except _TransientError as error:
                if self._retry.is_last(error, attempt) or self._retries_left < 1:
                    raise
                self._retries_left -= 1
                pause = self._retry.wait_s(error, attempt)
            await asyncio.sleep(pause)

    async def _once(self, path: str, content: bytes) -> dict[str, Any]:
        from aiohttp import ClientError

        try:
            async with self._slots, asyncio.timeout(self._timeout_s):
                status, headers, raw = await self._exchange(path, content)
        except TimeoutError:
            raise _TransientError(f"no answer within {self._timeout_s:g} s", timed_out=True) from None
        except ClientError as error:
            raise _TransientError(self._clean(f"{type(error).__name__}: {error}")) from None
        self._refuse(path, status, headers, raw)
        try:
            answer = json.loads(raw)
        except ValueError:
            raise _TransientError("the answer is not JSON") from None
        if not isinstance(answer, dict):
            raise _TransientError("the answer is not a JSON object")
        return answer

    async def _exchange(self, path: str, content: bytes) -> tuple[int, Mapping[str, str], bytes]:
        if self._http is None:
            raise RuntimeError("a ModelClient is used as a context manager")
        async with self._http.post(self.base_url + path, data=content, allow_redirects=False) as response:
            raw = bytearray()
            async for chunk in response.content.iter_any():
                raw += chunk
                if len(raw) > self._largest_answer:
                    raise RequestFailedError(f"the answer is larger than {self._largest_answer} bytes", refused=True)
            return response.status, response.headers, bytes(raw)

    def _refuse(self, path: str, status: int, headers: Mapping[str, str], raw: bytes) -> None:
        if status < 300:
            return
        said = self._clean(said_in(raw))
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
            raise _TransientError(f"HTTP {status}{f': {said}' if said else ''}", retry_after_s=retry_after(headers))
        raise RequestFailedError(f"HTTP {status}{f': {said}' if said else ''}", refused=True)

    def _clean(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text


def _understand(answer: dict[str, Any], read: Callable[[dict[str, Any]], Result]) -> Result:
    try:
        return read(answer)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _TransientError(f"the answer is not what the OpenAI interface promises ({error!r})") from None


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
