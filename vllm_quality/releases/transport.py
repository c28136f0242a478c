"""Requests to a registry that end: bounded in time, size, attempts and redirects."""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from vllm_quality.errors import UserError
from vllm_quality.releases.headers import retry_after_s

MAX_BODY = 8 * 2**20  # bytes; a manifest has at most 4 MiB, 100 000 tags come to about 2 MB
ATTEMPTS = 4
MAX_REDIRECTS = 3
_TRY_AGAIN = (408, 429, 500, 502, 503, 504)


class RegistryError(UserError):
    """The registry could not be read."""


class OutOfTimeError(RegistryError):
    """The time for one look at the registry is used up."""


class _PassingError(RegistryError):
    """A failure that may be over in a moment."""

    def __init__(self, text: str, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Answer:
    """A response that was read to its end. `url` is where it came from, after redirects."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: httpx.URL


class Transport:
    """One connection pool whose requests, retries and pauses all fit in `budget_s` seconds from its making.

    A server that sends its header lines drop by drop can exceed the budget by `timeout_s` a line; then Dagster's own limit
    of 60 s ends the tick, and the next one starts from the same cursor.
    """

    def __init__(
        self, *, budget_s: float, timeout_s: float, first_pause_s: float, plain_http: bool, proxies: bool
    ) -> None:
        self._ends = time.monotonic() + budget_s
        self._budget_s, self._timeout_s, self._plain_http = budget_s, timeout_s, plain_http
        self._pause = wait_random_exponential(multiplier=first_pause_s, max=8)
        self._http = httpx.Client(
            follow_redirects=True,  # httpx drops Authorization when the host, port or scheme changes
            max_redirects=MAX_REDIRECTS,
            trust_env=proxies,
            verify=_tls(),
            headers={"Accept-Encoding": "identity", "User-Agent": "vllm-quality"},
            event_hooks={"request": [self._refuse_downgrade]},
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, method: str, url: httpx.URL, headers: Mapping[str, str]) -> Answer:
        """The answer, whatever its status; 429, 5xx and broken connections are tried again first. Raises `RegistryError`."""
        retrying = Retrying(
            retry=retry_if_exception_type(_PassingError),
            wait=self._wait,
            stop=self._stop,
            reraise=True,
            sleep=time.sleep,
        )
        return retrying(self._once, method, url, headers)

    def _once(self, method: str, url: httpx.URL, headers: Mapping[str, str]) -> Answer:
        left = self._left(url)
        try:
            with self._http.stream(method, url, headers=headers, timeout=min(self._timeout_s, left)) as response:
                answer = Answer(response.status_code, response.headers, self._read(response), response.url)
        except (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.DecodingError):
            raise RegistryError(
                f"{url.host} answers {url.path} with redirects or an encoding that lead nowhere; check that it is an OCI registry."
            ) from None
        except httpx.TimeoutException:
            raise _PassingError(
                f"{url.host} did not answer {url.path} in time; check the network and the registry's status."
            ) from None
        except httpx.ConnectError as error:
            reason = str(error)[:200]
            raise _PassingError(
                f"{url.host} cannot be reached ({reason}); check VLLM_QUALITY_IMAGE and the network."
            ) from None
        except httpx.TransportError as error:
            reason = type(error).__name__
            raise _PassingError(
                f"{url.host} broke off its answer to {url.path} ({reason}); check the network and its proxies."
            ) from None
        if answer.status in _TRY_AGAIN:
            raise _refused_for_now(answer, url)
        return answer

    def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                raise RegistryError(
                    f"{response.url.host} sent more than {MAX_BODY >> 20} MiB for {response.url.path}; check that it is an OCI registry."
                )
            self._left(response.url)
        return bytes(body)

    def _left(self, url: httpx.URL) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise OutOfTimeError(
                f"{url.host} is too slow: {self._budget_s:g} s were not enough to read its tags; the next look tries again."
            )
        return left

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return max(self._pause(state), error.wait_s if isinstance(error, _PassingError) else 0.0)

    def _stop(self, state: RetryCallState) -> bool:
        return state.attempt_number >= ATTEMPTS or time.monotonic() + state.upcoming_sleep >= self._ends

    def _refuse_downgrade(self, request: httpx.Request) -> None:
        if request.url.scheme != "https" and not self._plain_http:
            raise RegistryError(
                f"The registry redirects to {request.url.host} without TLS, which is refused; ask its operator."
            )


@cache
def _tls() -> ssl.SSLContext:
    """The trusted authorities; reading them takes longer than a whole look at a registry nearby."""
    return httpx.create_ssl_context()


def _refused_for_now(answer: Answer, url: httpx.URL) -> _PassingError:
    body = answer.body[:4096].decode("utf-8", "replace")
    wait_s = retry_after_s(answer.headers.get("Retry-After"), body, datetime.now(UTC))
    asks = "" if wait_s is None else f" and asks to wait {wait_s:.3g} s"
    if answer.status == 429:
        text = f"{url.host} allows no more requests for now (429){asks}; raise VLLM_QUALITY_POLL_SECONDS if this stays."
    else:
        text = f"{url.host} answers {url.path} with {answer.status}{asks}; check the registry's status if this stays."
    return _PassingError(text, wait_s or 0.0)
