"""A results URL, and what is said when ClickHouse cannot be used: one sentence, the variable to change, no password."""

import base64
import logging
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from vllm_quality.results.connection import Embedded, Server, connect
from vllm_quality.results.database import ResultsError, ResultStore
from vllm_quality_tests.results.conftest import PASSWORD, fill
from vllm_quality_tests.results.samples import result_rows


@contextmanager
def answering(status: int, body: str, code: str = "") -> Iterator[str]:
    """Something at a port that gives the same answer to everything; its results URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-ClickHouse-Exception-Code", code)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://me:hush-hush@127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def sentence(url: str) -> str:
    with pytest.raises(ResultsError) as caught:
        ResultStore(url).runs(limit=1)
    assert "hush-hush" not in "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_urls_and_what_they_stand_for() -> None:
    assert connect("chdb:///data/my results") == Embedded(Path("/data/my results"))
    assert connect("https://me:p%40ss@ch.example:9443/other_db") == Server(
        "ch.example", 9443, True, "me", "p@ss", "other_db"
    )
    assert connect("https://ch.example") == Server("ch.example", 8443, True, "default", "", "vllm_eval")
    assert connect("http://[::1]/") == Server("::1", 8123, False, "default", "", "vllm_eval")


@pytest.mark.parametrize(
    "url",
    [
        "chdb://results",
        "chdb://memory",
        "chdb:///data?x=1",
        "http://",
        "http://me:hush-hush@host:99999",
        "http://me:hush-hush@host/a-b",
        "http://me:hush-hush@host/a/b",
        "http://me:hush-hush@host/db?verify=false",
        "ftp://host",
    ],
)
def test_an_url_that_stands_for_nothing_is_refused(url: str) -> None:
    with pytest.raises(ResultsError, match="VLLM_QUALITY_RESULTS_URL") as caught:
        ResultStore(url)
    assert "hush-hush" not in "".join(traceback.format_exception(caught.value))


def test_the_password_is_in_no_text() -> None:
    store = ResultStore("https://me:hush-hush@host/db")
    assert "hush-hush" not in f"{store!r} {store} {store._connection!r}"
    assert "host" in repr(store)


def test_a_server_that_is_away_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        told = sentence("http://me:hush-hush@127.0.0.1:1/db")
    assert told == (
        "ClickHouse at 127.0.0.1:1 cannot be reached (the connection was refused or broken); "
        "check that it runs there and that VLLM_QUALITY_RESULTS_URL is right."
    )
    assert "hush-hush" not in caplog.text


def test_a_host_that_is_unknown_is_told() -> None:
    assert "(the host name is not known)" in sentence("http://me:hush-hush@no-such-host.invalid/db")


def test_tls_against_plain_http_is_told(server_url: str) -> None:
    port = server_url.rpartition(":")[2].partition("/")[0]
    assert "(TLS failed)" in sentence(f"https://me:hush-hush@127.0.0.1:{port}/db")


def test_a_wrong_password_is_told(server_url: str) -> None:
    address = server_url.rpartition("@")[2]
    told = sentence(f"http://us%20er:hush-hush@{address}")
    assert "refuses the user or password; correct VLLM_QUALITY_RESULTS_URL" in told
    assert PASSWORD not in told


def test_a_right_lacking_is_told() -> None:
    with answering(403, "Code: 497. DB::Exception: me: Not enough privileges. (ACCESS_DENIED)", "497") as url:
        assert "grant it CREATE, INSERT and SELECT on vllm_eval.*" in sentence(url)


def test_a_full_server_is_told() -> None:
    with answering(500, "Code: 243. DB::Exception: Cannot reserve 1.00 MiB. (NOT_ENOUGH_SPACE)", "243") as url:
        assert "has no disk space left" in sentence(url)


@pytest.mark.parametrize(("status", "body"), [(404, "<html>nginx</html>"), (200, "<html>welcome</html>"), (501, "no")])
def test_what_is_not_clickhouse_is_told(status: int, body: str) -> None:
    with answering(status, body) as url:
        assert "is not ClickHouse's HTTP interface; correct the port" in sentence(url)


def test_a_proxy_whose_server_is_away_is_told() -> None:
    with answering(503, "<html>try later</html>") as url:
        assert "cannot be reached (HTTP status 503)" in sentence(url)


def test_a_server_that_quotes_the_password_is_not_quoted() -> None:
    basic = base64.b64encode(b"me:hush-hush").decode()
    with answering(500, f"Code: 1. DB::Exception: me:hush-hush {basic} is odd", "1") as url:
        told = sentence(url)
    assert "is odd" in told
    assert basic not in told


def test_a_folder_that_cannot_be_made_names_the_variables(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "VLLM_QUALITY_RESULTS_URL or VLLM_QUALITY_HOME" in sentence(f"chdb://{tmp_path}/file/results")


def test_a_full_disk_is_told_and_keeps_what_was_stored(small_disk: Path, run_id: str) -> None:
    store = ResultStore(f"chdb://{small_disk}/results")
    store.write_results(result_rows(run_id, {"m": 1.0}))
    filler = fill(small_disk)
    told = "There is no space left for the results folder"
    with pytest.raises(ResultsError, match=told):
        store.write_results(result_rows(run_id, {f"m{number}": 2.0 for number in range(1000)}))
    with pytest.raises(ResultsError, match=told):
        ResultStore(f"chdb://{small_disk}/other").runs(limit=1)
    filler.unlink()
    assert store.results_of(run_id) == {"m": 1.0}
    store.write_results(result_rows(run_id, {"n": 2.0}))
    assert store.results_of(run_id) == {"m": 1.0, "n": 2.0}


def test_a_folder_open_in_a_foreign_program_is_told(tmp_path: Path) -> None:
    hold = f"import chdb, time; handle = chdb.connect({str(tmp_path / 'results')!r}); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "held\n"
            assert "open in a program that is not vllm-quality" in sentence(f"chdb://{tmp_path}/results")
        finally:
            program.kill()
    assert ResultStore(f"chdb://{tmp_path}/results").runs(limit=1) == []
