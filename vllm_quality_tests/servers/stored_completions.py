"""A server that stores chat completions, on a loopback socket: OpenAI's list with its pages, filters, order and messages."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from vllm_quality_tests.servers.loopback import LoopbackServer

PREFIX = "/v1/chat/completions"


@dataclass
class Trouble:
    """What is wrong with the next answers: an HTTP status, or how the body ends."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_json: bool = False
    cut_body: bool = False
    wait_s: float = 0.0


class StoredCompletionsServer(LoopbackServer):
    """A context manager; everything may be changed while it runs.

    completions    as they are stored: id, created, metadata, model, messages, choices; oldest first
    inline         whether the list holds each completion's messages, as OpenAI's own does not
    page           the most entries of a page, whatever is asked for
    filters        whether metadata select; else all are listed
    orders         whether `order` is heeded; else the list is as it is stored
    overlap        entries of a page that are repeated at the beginning of the next one
    says_more      whether answers have has_more
    troubles       used up one by one, in order, by the requests that come
    requests       "path?query" of everything that was asked, in order
    """

    def __init__(self, completions: Sequence[dict[str, Any]], *, key: str | None = None, page: int = 1000) -> None:
        self.completions, self.key, self.page = list(completions), key, page
        self.inline, self.filters, self.orders, self.overlap, self.says_more = False, True, True, 0, True
        self.stuck = False
        self.troubles: list[Trouble] = []
        self.requests: list[str] = []
        super().__init__(_handler(self))

    @property
    def url(self) -> str:
        return f"http://{self.address}/v1"

    def listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The answer to a request for the list."""
        wanted = {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[")}
        found = [
            {name: value for name, value in one.items() if self.inline or name != "messages"}
            for one in self.completions
            if not self.filters or all((one.get("metadata") or {}).get(k) == v for k, v in wanted.items())
        ]
        if self.orders and query.get("order", "asc") == "desc":
            found.reverse()
        return self.paged(found, query)

    def paged(self, found: Sequence[Mapping[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
        """A page of what was found."""
        start = 0
        if "after" in query and not self.stuck:
            start = next(at for at, one in enumerate(found, start=1) if one["id"] == query["after"])
        end = start + min(self.page, int(query.get("limit", 20)))
        page = list(found[max(0, start - self.overlap) : end])
        answer = {"object": "list", "data": page, "first_id": None, "last_id": None, "has_more": end < len(found)}
        if page:
            answer |= {"first_id": page[0]["id"], "last_id": page[-1]["id"]}
        if not self.says_more:
            del answer["has_more"]
        return answer

    def messages(self, completion: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        """The answer to a request for a completion's messages; None where there is no such completion."""
        for one in self.completions:
            if one["id"] == completion:
                return self.paged([{"id": f"{one['id']}-{at}", **m} for at, m in enumerate(one["messages"])], query)
        return None


def _handler(server: StoredCompletionsServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            server.requests.append(unquote(self.path))
            trouble = server.troubles.pop(0) if server.troubles else Trouble()
            time.sleep(trouble.wait_s)
            if server.key is not None and self.headers.get("Authorization") != f"Bearer {server.key}":
                self._answer(401, b'{"error": {"message": "wrong key"}}', {})
                return
            if trouble.status != 200:
                self._answer(trouble.status, b'{"error": {"message": "not now"}}', trouble.headers)
                return
            parts = urlsplit(self.path)
            found = self._found(unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True)))
            if found is None:
                self._answer(404, b"{}", {})
                return
            body = json.dumps(found, ensure_ascii=False).encode()
            self._answer(200, body[: len(body) // 2] if trouble.cut_json else body, {}, cut=trouble.cut_body)

        def _found(self, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
            if path == PREFIX:
                return server.listed(query)
            if path.startswith(f"{PREFIX}/") and path.endswith("/messages"):
                return server.messages(path.removeprefix(f"{PREFIX}/").removesuffix("/messages"), query)
            return None

        def _answer(self, status: int, body: bytes, headers: Mapping[str, str], *, cut: bool = False) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
