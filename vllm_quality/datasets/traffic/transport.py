"""GET requests to a server of stored completions that end: bounded in time, size and attempts."""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from vllm_quality.datasets.traffic.source import TrafficError
from vllm_quality.releases.headers import retry_after_s
from vllm_quality.settings import PREFIX

ATTEMPTS = 5
MAX_BODY = 256 * 2**20  # bytes of one page
LONGEST_WAIT_S = 60.0
_TRY_AGAIN = (408, 409, 429, 500, 502, 503, 504)


class GoneError(Exception):
    """404: there is no such thing, or no longer."""


class _PassingError(TrafficError):
    """A failure that may be over in a moment."""

    def __init__(self, text: str, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class JsonClient:
    """One server, its key, and how patient we are. No error and no repr has the key or what the server answered."""

    def __init__(self, base_url: str, key: str | None, *, timeout_s: float, first_pause_s: float = 1.0) -> None:
        self._base, self._host = base_url.rstrip("/"), urlsplit(base_url).netloc
        self._pause = wait_random_exponential(multiplier=first_pause_s, max=LONGEST_WAIT_S / 2)
        self._timeout_s = timeout_s
        headers = {"User-Agent": "vllm-quality", "Accept": "application/json"}
        # Redirects are not followed: the key is for this host alone.
        self._http = httpx.Client(
            headers=headers | ({"Authorization": f"Bearer {key}"} if key else {}), follow_redirects=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, params: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
        """The JSON object at a path. 429, 5xx, time-outs and cut-off answers are tried again. Raises `TrafficError`, `GoneError`."""
        retrying = Retrying(
            retry=retry_if_exception_type(_PassingError),
            wait=self._wait,
            stop=stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        return retrying(self._once, path, params)

    def _once(self, path: str, params: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
        ends = time.monotonic() + self._timeout_s
        try:
            query = httpx.QueryParams(list(params))
            with self._http.stream("GET", f"{self._base}{path}", params=query, timeout=self._timeout_s) as response:
                body = self._read(response, path, ends)
        except httpx.TimeoutException:
            raise _PassingError(
                f"{self._host} did not answer {path} in time; check the server, or raise {PREFIX}REQUEST_TIMEOUT_S."
            ) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise TrafficError(f"{self._host} is no address to ask; correct {PREFIX}QUERIES_URL.") from None
        except httpx.HTTPError as error:
            raise _PassingError(
                f"{self._host} could not be read ({type(error).__name__} at {path}); check {PREFIX}QUERIES_URL and the network."
            ) from None
        self._check(response, body, path)
        return self._parsed(body, path)

    def _read(self, response: httpx.Response, path: str, ends: float) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                raise TrafficError(
                    f"{self._host} sent more than {MAX_BODY >> 20} MiB for {path}; check what answers there."
                )
            if time.monotonic() > ends:
                raise httpx.ReadTimeout("slow")
        return bytes(body)

    def _check(self, response: httpx.Response, body: bytes, path: str) -> None:
        status = response.status_code
        if status == 200:
            return
        if status in _TRY_AGAIN:
            header = response.headers.get("Retry-After")
            wait_s = retry_after_s(header, body[:4096].decode("utf-8", "replace"), datetime.now(UTC)) or 0.0
            if wait_s > LONGEST_WAIT_S:
                raise TrafficError(
                    f"{self._host} asks to wait {wait_s:.0f} s ({status} at {path}); run this again later."
                )
            raise _PassingError(
                f"{self._host} answers {path} with {status}; run this again when it has recovered.", wait_s
            )
        if status in (401, 403):
            raise TrafficError(f"{self._host} does not let us in ({status} at {path}); set {PREFIX}QUERIES_API_KEY.")
        if status == 404:
            raise GoneError
        raise TrafficError(
            f"{self._host} answers {path} with {status}; {PREFIX}QUERIES_URL must be a server that lists stored completions, with /v1."
        )

    def _parsed(self, body: bytes, path: str) -> Mapping[str, Any]:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise _PassingError(f"{self._host} sent what is no whole JSON for {path}; check the server.") from None
        if not isinstance(found, dict):
            raise TrafficError(f"{self._host} sent no JSON object for {path}; check {PREFIX}QUERIES_URL.")
        return found

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return max(self._pause(state), error.wait_s if isinstance(error, _PassingError) else 0.0)
