"""A Hugging Face hub on a loopback socket: data set repositories of plain files, as `HF_ENDPOINT` may name it."""

import hashlib
import json
import re
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from vllm_quality_tests.servers.loopback import LoopbackServer


class FakeHub(LoopbackServer):
    """A context manager; `push` may be called while it runs.

    requests  "METHOD /path" of everything that was asked, in order
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.requests: list[str] = []
        super().__init__(_handler(self))

    def push(self, repository: str, files: Mapping[str, bytes]) -> str:
        """Make these the files of the repository; returns the commit."""
        self.repositories[repository] = dict(files)
        return self.commit(repository)

    def commit(self, repository: str) -> str:
        """The commit of what the repository holds now."""
        listed = [
            [path, hashlib.sha1(data).hexdigest()] for path, data in sorted(self.repositories[repository].items())
        ]
        return hashlib.sha1(json.dumps(listed).encode()).hexdigest()

    @property
    def url(self) -> str:
        return f"http://{self.address}"


def _entry(path: str, data: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


def _tree(files: Mapping[str, bytes], folder: str, *, whole: bool) -> list[dict[str, Any]]:
    inside = {path: data for path, data in files.items() if path.startswith(f"{folder}/" if folder else "")}
    folders = {str(parent) for path in inside for parent in PurePosixPath(path).parents} - {".", folder}
    listed: list[dict[str, Any]] = [
        {"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in sorted(folders)
    ]
    listed += [_entry(path, data) for path, data in inside.items()]
    return [entry for entry in listed if whole or str(PurePosixPath(entry["path"]).parent) == (folder or ".")]


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(f"{self.command} {path}")
            file = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            api = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+))?/?(.*)", path)
            found = file or api
            if found is None or found[1] not in hub.repositories:
                self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
                return
            files, commit = hub.repositories[found[1]], hub.commit(found[1])
            if file is not None:
                self._file(files, commit, file[3])
            elif found[2] == "tree":
                self._json(_tree(files, found[4], whole="recursive=true" in self.path.lower()))
            elif found[2] == "paths-info":
                asked = {value for key, value in parse_qsl(sent) if key == "paths"}
                self._json([_entry(path, data) for path, data in files.items() if path in asked])
            else:
                siblings = [{"rfilename": path} for path in files]
                self._json({"id": found[1], "sha": commit, "private": False, "tags": [], "siblings": siblings})

        do_HEAD = do_POST = do_GET  # noqa: N815  # the library's names

        def _file(self, files: Mapping[str, bytes], commit: str, path: str) -> None:
            if path not in files:
                self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
                return
            etag = f'"{hashlib.sha1(files[path]).hexdigest()}"'
            self._answer(200, files[path], {"ETag": etag, "X-Repo-Commit": commit})

        def _json(self, value: object) -> None:
            self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
