"""A ClickHouse server for tests: its HTTP interface, as far as clickhouse-connect uses it, over a real engine (chdb).

    python -m vllm_quality_tests.servers.clickhouse_http --port 0 --path DIR [--user U --password P]

It runs in a process of its own because a process can hold one chdb folder only. Each request gets its own handle on the
engine, so settings and the current database last for one request, as they do in ClickHouse.
"""

import argparse
import base64
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

# Parameters of the HTTP interface itself; all others are settings of the query (Server/HTTPHandler.cpp).
OWN_PARAMETERS = {
    "buffer_size",
    "client_protocol_version",
    "compress",
    "database",
    "decompress",
    "default_format",
    "query",
    "query_id",
    "role",
    "session_check",
    "session_id",
    "session_timeout",
    "wait_end_of_query",
}
STATUS_OF_CODE = {"60": 404, "81": 404, "164": 500, "497": 403, "516": 401}
INSERT = re.compile(rb"\s*(INSERT\s+INTO\s.*?)\s+FORMAT\s+(\w+)\s*(?:\n|$)", re.IGNORECASE | re.DOTALL)
FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Query:
    """One request, taken apart: SQL, the rows of an insert in their format, and what it asks for by parameters."""

    sql: str
    rows: bytes | None
    rows_format: str
    parameters: dict[str, str]

    @classmethod
    def parse(cls, parameters: dict[str, str], body: bytes) -> "Query":
        """An insert's rows follow its SQL in the body, or are the body when the SQL is a parameter."""
        sql = parameters.get("query", "").encode()
        text = sql + b"\n" + body if sql else body
        insert = INSERT.match(text)
        if insert:
            return cls(insert[1].decode(), text[insert.end() :], insert[2].decode(), parameters)
        return cls(text.decode(), None, "", parameters)

    def settings(self) -> dict[str, str]:
        return {
            name: value
            for name, value in self.parameters.items()
            if name not in OWN_PARAMETERS and not name.startswith("param_")
        }

    def values(self) -> dict[str, str]:
        return {name[6:]: value for name, value in self.parameters.items() if name.startswith("param_")}


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def run_query(handle: Any, query: Query) -> tuple[bytes, str]:
    """The answer's bytes and format. Raises RuntimeError with ClickHouse's own message."""
    if "database" in query.parameters:
        handle.query(f"USE `{query.parameters['database']}`")
    for name, value in query.settings().items():
        handle.query(f"SET {name} = {quoted(value)}")
    if query.rows is not None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(query.rows)
            file.flush()
            handle.query(f"{query.sql} FROM INFILE {quoted(file.name)} FORMAT {query.rows_format}")
        return b"", query.rows_format
    wanted = FORMAT.search(query.sql)
    answer_format = wanted[1] if wanted else query.parameters.get("default_format", "TabSeparated")
    answer = handle.query(query.sql, answer_format, params=query.values())
    return (answer.bytes() or b"") if answer is not None else b"", answer_format


class Handler(BaseHTTPRequestHandler):
    """GET and POST of `/`, and `/ping`."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ping":
            self.answer(200, b"Ok.\n")
        else:
            self.serve(b"")

    def do_POST(self) -> None:
        self.serve(self.body())

    def serve(self, body: bytes) -> None:
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if not self.server.admits(self.headers.get("Authorization", "")):
            self.refuse(
                "Code: 516. DB::Exception: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)"
            )
            return
        if self.headers.get_content_type() == "multipart/form-data":
            parameters |= self.form(body)
            body = b""
        query = Query.parse(parameters, body)
        try:
            with self.server.handle() as handle:
                answer, answer_format = run_query(handle, query)
        except RuntimeError as error:
            self.refuse(str(error))
            return
        summary = json.dumps({"read_rows": "0", "written_rows": "0"})
        self.answer(200, answer, {"X-ClickHouse-Format": answer_format, "X-ClickHouse-Summary": summary})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            raw = b"".join(self.chunks())
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        encoding = self.headers.get("Content-Encoding", "identity")
        if encoding == "lz4":
            import lz4.frame  # type: ignore[import-untyped]  # clickhouse-connect's own dependency

            return bytes(lz4.frame.decompress(raw))
        if encoding != "identity":
            raise NotImplementedError(encoding)
        return raw

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def form(self, body: bytes) -> dict[str, str]:
        message = BytesParser().parsebytes(f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + body)
        fields = {}
        for part in message.get_payload():
            assert not isinstance(part, str)
            name = part.get_param("name", header="content-disposition")
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            fields[str(name)] = payload.decode()
        return fields

    def refuse(self, message: str) -> None:
        found = re.search(r"Code: (\d+)", message)
        code = found[1] if found else "1002"
        self.answer(STATUS_OF_CODE.get(code, 500), message.encode(), {"X-ClickHouse-Exception-Code": code})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"X-ClickHouse-Timezone": "UTC", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """The engine on `path`, behind a port. With a user, others are not let in."""

    daemon_threads = True

    def __init__(self, port: int, path: Path, user: str, password: str) -> None:
        import chdb

        super().__init__(("127.0.0.1", port), Handler)
        self.path = str(path)
        self.engine = chdb.connect(self.path)  # kept open: the engine lives as long as any handle does
        self.expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else None

    def admits(self, authorization: str) -> bool:
        return self.expected is None or authorization == self.expected

    @contextmanager
    def handle(self) -> Iterator[Any]:
        import chdb

        handle = chdb.connect(self.path)
        try:
            yield handle
        finally:
            handle.close()


@contextmanager
def running(path: Path, user: str = "", password: str = "", port: int = 0) -> Iterator[str]:
    """A server in a process of its own; its results URL, with user and password."""
    command = [
        sys.executable,
        "-m",
        "vllm_quality_tests.servers.clickhouse_http",
        "--port",
        str(port),
        "--path",
        str(path),
    ]
    if user:
        command += ["--user", user, "--password", password]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, "the ClickHouse server did not start"
            login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
            yield f"http://{login}{address}/vllm_eval"
        finally:
            process.kill()


def main() -> None:
    """Serve until killed; the first line of output is the address."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    arguments = parser.parse_args()
    server = Server(arguments.port, arguments.path, arguments.user, arguments.password)
    print(f"127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
