"""What S3 says when it does not work, as one sentence that names what to change."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from vllm_quality.results.objects import ObjectsError, ObjectStore
from vllm_quality.results.s3_objects import S3Objects


@contextmanager
def answering(*answers: tuple[int, str]) -> Iterator[str]:
    """An S3 server with these answers (status, body), one after the other."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def do_GET(self) -> None:
            status, body = left.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def error(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>secret-ish</Message></Error>"


def page(*keys: str, after: str = "") -> str:
    found = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys)
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{after}</NextContinuationToken>" if after else ""
    return f"<ListBucketResult>{found}{more}</ListBucketResult>"


def every_way_to_ask(objects: ObjectStore) -> Iterator[str]:
    for ask in (
        lambda: objects.put("a", b""),
        lambda: objects.get("a"),
        lambda: objects.exists("a"),
        lambda: objects.list(""),
    ):
        with pytest.raises(ObjectsError) as caught:
            ask()
        yield str(caught.value)


def test_a_missing_bucket_is_never_an_empty_one(s3_endpoint: str, aws: None) -> None:
    for sentence in every_way_to_ask(S3Objects("no-such-bucket", "", s3_endpoint)):
        assert (
            sentence
            == f"There is no bucket no-such-bucket at {s3_endpoint}; create it, or correct VLLM_QUALITY_OBJECTS_URL."
        )


def test_wrong_credentials_name_their_variables(
    s3_endpoint: str, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    httpx.post(f"{s3_endpoint}/moto-api/reset-auth", content=b"0", timeout=10).raise_for_status()
    try:
        for sentence in every_way_to_ask(S3Objects(s3_bucket, "", s3_endpoint)):
            assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in sentence
            assert "wrong-secret" not in sentence
    finally:
        httpx.post(f"{s3_endpoint}/moto-api/reset-auth", content=b"inf", timeout=10).raise_for_status()


def test_no_credentials_name_their_variables(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for sentence in every_way_to_ask(S3Objects("bucket", "", "http://127.0.0.1:1")):
        assert "There are no credentials" in sentence


def test_an_endpoint_where_nobody_is_names_its_variable(aws: None) -> None:
    with pytest.raises(ObjectsError, match=r"http://127\.0\.0\.1:1 cannot be reached .*VLLM_QUALITY_S3_ENDPOINT"):
        S3Objects("bucket", "", "http://127.0.0.1:1").exists("a")


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (507, "XMinioStorageFull", "no space left"),
        (403, "QuotaExceeded", "no space left"),
        (400, "Odd", "failed with Odd"),
    ],
)
def test_other_refusals_are_told(aws: None, status: int, code: str, sentence: str) -> None:
    with answering((status, error(code))) as endpoint, pytest.raises(ObjectsError, match=sentence) as caught:
        S3Objects("bucket", "", endpoint).put("a", b"")
    assert "secret-ish" not in str(caught.value)


def test_a_conflict_is_tried_again(aws: None) -> None:
    conflict = (409, error("ConditionalRequestConflict"))
    with answering(conflict, (200, "")) as endpoint:
        assert S3Objects("bucket", "", endpoint).put("a", b"")
    with answering(conflict, (412, "")) as endpoint:
        assert not S3Objects("bucket", "", endpoint).put("a", b"")
    with answering(*[conflict] * 3) as endpoint, pytest.raises(ObjectsError, match="busy"):
        S3Objects("bucket", "", endpoint).put("a", b"")


def test_list_reaches_beyond_one_page(aws: None) -> None:
    with answering((200, page("p/a", "p/c", after="t")), (200, page("p/b"))) as endpoint:
        assert S3Objects("bucket", "p", endpoint).list("") == ["a", "b", "c"]


def test_a_page_that_fails_is_not_the_end_of_the_list(aws: None) -> None:
    with (
        answering((200, page("a", after="t")), (400, error("Odd"))) as endpoint,
        pytest.raises(ObjectsError, match="Odd"),
    ):
        S3Objects("bucket", "", endpoint).list("")


def test_the_content_type_is_kept(s3_bucket: str, s3_endpoint: str) -> None:
    import boto3

    S3Objects(s3_bucket, "p", s3_endpoint).put("a.html", b"<p>", "text/html")
    head = boto3.client("s3", endpoint_url=s3_endpoint).head_object(Bucket=s3_bucket, Key="p/a.html")
    assert head["ContentType"] == "text/html"
