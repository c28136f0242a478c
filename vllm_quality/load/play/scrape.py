"""The server's own /metrics, read once a second beside a run: what the client saw is held against it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import httpx

from vllm_quality.load.figures.server import Scrape, parse_metrics
from vllm_quality.serving.endpoint import Endpoint, auth_headers

_EVERY_S = 1.0
_TIMEOUT_S = 5.0


class Scraper:
    """Keeps every scrape of a run, in order of time. `scrapes` is empty where the endpoint has no such metrics."""

    def __init__(self, endpoint: Endpoint, api_key: str | None) -> None:
        self._url, self._model = f"{endpoint.base_url}/metrics", endpoint.model
        self._client = httpx.Client(headers=auth_headers(api_key), timeout=_TIMEOUT_S)
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="scrape", daemon=True)
        self.scrapes: list[Scrape] = []
        self.available = False

    def now(self) -> None:
        """Scrape once, in this thread: between two stages, so that each has its own first and last."""
        if self.available:
            self._scrape()

    def _scrape(self) -> bool:
        with self._lock:
            try:
                answer = self._client.get(self._url)
            except httpx.HTTPError:
                # A server that is too busy to tell: the next one may succeed, and the stage has a gap in its series.
                return False
            at = perf_counter()
            state = parse_metrics(answer.text, self._model) if answer.status_code == 200 else None
            if state is not None:
                self.scrapes.append(Scrape(at, state))
            return state is not None

    def _follow(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._scrape()

    def start(self) -> None:
        """Begin, if the endpoint tells anything."""
        self.available = self._scrape()
        if self.available:
            self._thread.start()

    def close(self) -> None:
        """End the thread and the connection."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._client.close()


@contextmanager
def scraping(endpoint: Endpoint, api_key: str | None) -> Iterator[Scraper]:
    """Scrape while the block runs."""
    scraper = Scraper(endpoint, api_key)
    try:
        scraper.start()
        yield scraper
    finally:
        scraper.close()
