"""Who answers, and every way in which nobody usable does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.serving.endpoint import (
    Endpoint,
    EndpointError,
    endpoint_name,
    identify,
    identify_when_ready,
    resolve_base_url,
)
from vllm_quality_tests.dagster_dev import free_port
from vllm_quality_tests.servers.toy_llm import ToyModel, serve_toy


def test_an_endpoint_identifies_itself() -> None:
    with serve_toy(ToyModel()) as url:
        endpoint = identify(url, None, None, 5)
    assert (endpoint.model, endpoint.engine_version, endpoint.max_model_len) == ("toy", "1.0", 4096)
    # It ignores `echo`, so a loglikelihood would be chance; it has no /tokenize.
    assert endpoint.capabilities == ("chat", "completions")
    assert Endpoint.from_json(endpoint.as_json()) == endpoint


@pytest.mark.parametrize(
    ("model", "wanted", "said"),
    [
        (ToyModel(), "gpt", "does not serve 'gpt' but toy"),
        (ToyModel(key="right"), None, "refused the API key (401); set VLLM_QUALITY_API_KEY"),
        (ToyModel(down=404), None, "no list of models"),
        (ToyModel(down=503), None, "with 503; wait until the server is ready"),
    ],
)
def test_what_is_wrong_is_one_sentence(model: ToyModel, wanted: str | None, said: str) -> None:
    with serve_toy(model) as url, pytest.raises(EndpointError) as caught:
        identify(url, wanted, "not-the-k3y", 5)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "not-the-k3y" not in str(caught.value)


def test_the_right_key_is_let_in() -> None:
    with serve_toy(ToyModel(key="right")) as url:
        assert identify(url, "toy", "right", 5).model == "toy"


def test_nobody_there_is_one_sentence_that_names_the_address() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(EndpointError, match="cannot be reached") as caught:
        identify(url, None, None, 5)
    assert url in str(caught.value)


def test_a_release_that_is_still_rolling_out_is_waited_for() -> None:
    model = ToyModel(down=503)
    with serve_toy(model) as url:
        timer = threading.Timer(2.0, setattr, (model, "down", 0))
        timer.start()
        endpoint = identify_when_ready(url, None, None, 5, patience_s=30, pause_s=0.1)
        timer.join()
    assert endpoint.model == "toy"


def test_patience_ends_and_is_not_wasted_on_what_waiting_cannot_mend() -> None:
    with serve_toy(ToyModel(down=503)) as url, pytest.raises(EndpointError, match="wait until the server is ready"):
        identify_when_ready(url, None, None, 5, patience_s=0)
    model = ToyModel(key="right")
    with serve_toy(model) as url, pytest.raises(EndpointError, match="refused the API key"):
        identify_when_ready(url, None, "wrong", 5, patience_s=60, pause_s=0.1)
    assert model.requests == 1


@contextmanager
def serve_bytes(body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>hello</html>", "no list of models"),
        (b"[]", "no list of models"),
        (b'{"data": [{"name": "x"}]}', "no list of models"),
        (b'{"data": []}', "lists no model"),
        (b'{"data": [{"id": "a"}, {"id": "b"}]}', "serves several models (a, b)"),
    ],
)
def test_garbage_is_one_sentence(body: bytes, said: str) -> None:
    with serve_bytes(body) as url, pytest.raises(EndpointError) as caught:
        identify(url, None, None, 5)
    assert said in str(caught.value)


def test_a_model_that_completes_nothing_is_refused() -> None:
    with serve_bytes(b'{"data": [{"id": "a"}]}') as url, pytest.raises(EndpointError, match="answers neither"):
        identify(url, None, None, 5)


@pytest.mark.parametrize("given_url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_a_base_url_may_end_as_people_write_it(given_url: str) -> None:
    assert resolve_base_url(given_url, "release-1") == "http://h:1"


def test_each_tag_may_have_an_endpoint_of_its_own() -> None:
    assert resolve_base_url("http://vllm-{tag}.serving:8000", "release-1") == "http://vllm-release-1.serving:8000"
    assert endpoint_name("http://vllm-release-1.serving:8000") == "vllm-release-1.serving:8000"


@given(st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,40}\Z"))
def test_resolving_twice_changes_nothing(tag: str) -> None:
    once = resolve_base_url("http://gateway:8000/{tag}/v1", tag)
    assert resolve_base_url(once, tag) == once
