"""An OCI registry on a loopback socket: GHCR's protocol, and every way in which a registry can misbehave."""

import base64
import hashlib
import itertools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal, cast
from urllib.parse import parse_qs, urlsplit

from vllm_quality_tests.servers.loopback import LoopbackServer

MANIFEST_TYPE = "application/vnd.oci.image.index.v1+json"


@dataclass
class Fault:
    """An answer given in place of the real one to the next `times` requests whose "METHOD /path" contains `where`.

    silence_s  seconds of silence before the answer, or between the chunks of `trickle`
    cut        promise more bytes than are sent, then hang up
    """

    where: str
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    times: int = 1
    silence_s: float = 0.0
    cut: bool = False
    trickle: bool = False


@dataclass(frozen=True)
class SeenRequest:
    """A request as it arrived; `authorization` is its header, "" when there was none."""

    method: str
    path: str
    authorization: str


class FakeRegistry(LoopbackServer):
    """One repository. A context manager; `push` and `fail` may be called while it runs.

    auth         "none", "basic" (htpasswd) or "token" (GHCR); `private` then refuses anonymous tokens
    token_uses   requests after which a token has expired
    page_size    most tags on a page, whatever `n` asks for
    """

    def __init__(
        self,
        name: str = "acme/vllm",
        *,
        auth: Literal["none", "basic", "token"] = "none",
        private: bool = False,
        user: str = "robot",
        password: str = "s3cret-pat",
        token_uses: int = 1_000_000,
        page_size: int = 100,
        absolute_links: bool = False,
        digest_header: bool = True,
        head: bool = True,
    ) -> None:
        self.name, self.auth, self.private, self.page_size = name, auth, private, page_size
        self.token_uses, self.absolute_links, self.digest_header, self.head = (
            token_uses,
            absolute_links,
            digest_header,
            head,
        )
        self.basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.manifests: dict[str, bytes] = {}
        self.requests: list[SeenRequest] = []
        self.faults: list[Fault] = []
        self.tokens: dict[str, int] = {}
        self.stopping = threading.Event()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        super().__init__(_Handler, _Server)
        cast(_Server, self._server).registry = self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        super().__exit__(kind, error, trace)

    @property
    def host(self) -> str:
        """ "127.0.0.1:port"."""
        return self.address

    @property
    def image(self) -> str:
        """What VLLM_QUALITY_IMAGE has to be."""
        return f"{self.host}/{self.name}"

    def push(self, tag: str, content: str = "") -> str:
        """Add or move a tag; gives its digest, which depends on `content` alone (on the tag when that is empty)."""
        self.manifests[tag] = json.dumps({"schemaVersion": 2, "content": content or tag}).encode()
        return self.digest(tag)

    def digest(self, tag: str) -> str:
        """The digest that the tag points to now."""
        return "sha256:" + hashlib.sha256(self.manifests[tag]).hexdigest()

    def fail(self, fault: Fault) -> None:
        """Misbehave like that."""
        with self._lock:
            self.faults.append(fault)

    def asked(self, what: str) -> int:
        """How many requests contained `what` in "METHOD /path"."""
        return sum(what in f"{seen.method} {seen.path}" for seen in self.requests)

    def take_fault(self, line: str) -> Fault | None:
        """The fault that this request meets, used up once more."""
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and fault.where in line:
                    fault.times -= 1
                    return fault
        return None

    def new_token(self) -> str:
        """A token that serves `token_uses` requests."""
        with self._lock:
            token = f"tok-{next(self._numbers)}-secret"
            self.tokens[token] = self.token_uses
        return token

    def spend(self, authorization: str) -> bool:
        """True if a request with that header may pass."""
        if self.auth == "none":
            return True
        if self.auth == "basic":
            return authorization == self.basic
        token = authorization.removeprefix("Bearer ")
        with self._lock:
            self.tokens[token] = self.tokens.get(token, 0) - 1
            return self.tokens[token] >= 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    registry: FakeRegistry

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes, which would cost 40 ms each time
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        registry = self.server.registry
        authorization = self.headers.get("Authorization", "")
        registry.requests.append(SeenRequest(self.command, self.path, authorization))
        fault = registry.take_fault(f"{self.command} {self.path}")
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if fault is not None:
            self._misbehave(fault)
        elif url.path == "/token":
            self._token(authorization)
        elif not registry.spend(authorization):
            self._challenge()
        elif url.path == f"/v2/{registry.name}/tags/list":
            self._tags(query)
        elif url.path.startswith(f"/v2/{registry.name}/manifests/"):
            self._manifest(url.path.rpartition("/")[2])
        else:
            self._error(404, "NAME_UNKNOWN")

    def _tags(self, query: Mapping[str, str]) -> None:
        registry = self.server.registry
        tags = list(registry.manifests)
        start = tags.index(query["last"]) + 1 if query.get("last") in tags else 0
        size = min(int(query.get("n", registry.page_size)), registry.page_size)
        page, headers = tags[start : start + size], {}
        if start + size < len(tags):
            target = f"/v2/{registry.name}/tags/list?last={page[-1]}&n={size}"
            origin = f"http://{registry.host}" if registry.absolute_links else ""
            headers["Link"] = f'<{origin}{target}>; rel="next"'
        self._send(200, json.dumps({"name": registry.name, "tags": page or None}).encode(), headers)

    def _manifest(self, tag: str) -> None:
        registry = self.server.registry
        if self.command == "HEAD" and not registry.head:
            self._error(405, "UNSUPPORTED")
        elif tag not in registry.manifests or MANIFEST_TYPE not in self.headers.get("Accept", ""):
            self._error(404, "MANIFEST_UNKNOWN")
        else:
            headers = {"Content-Type": MANIFEST_TYPE}
            if registry.digest_header:
                headers["Docker-Content-Digest"] = registry.digest(tag)
            self._send(200, registry.manifests[tag], headers)

    def _token(self, authorization: str) -> None:
        registry = self.server.registry
        if authorization not in ("", registry.basic) or (registry.private and not authorization):
            self._error(403, "DENIED")
        else:
            self._send(200, json.dumps({"token": registry.new_token()}).encode())

    def _challenge(self) -> None:
        registry = self.server.registry
        bearer = f'Bearer realm="http://{registry.host}/token",service="{registry.host}",scope="repository:{registry.name}:pull"'
        challenge = bearer if registry.auth == "token" else 'Basic realm="Registry Realm"'
        self._error(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge})

    def _error(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps({"errors": [{"code": code, "message": "requested access to the resource is denied"}]})
        self._send(status, body.encode(), headers or {})

    def _misbehave(self, fault: Fault) -> None:
        registry = self.server.registry
        if not fault.trickle:
            registry.stopping.wait(fault.silence_s)
            self._send(fault.status, fault.body, fault.headers, promised=len(fault.body) + 1000 * fault.cut)
            self.close_connection = self.close_connection or fault.cut
            return
        self._send(fault.status, b"", fault.headers, promised=len(fault.body))
        for byte in fault.body:
            self.wfile.write(bytes([byte]))
            if registry.stopping.wait(fault.silence_s):
                break

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, promised: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
